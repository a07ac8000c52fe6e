/** A certificate for 127.0.0.1 and localhost, and the authority that signed it. Made anew for each test file. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runOrThrow, temporaryFolder } from './process.ts'
import { find } from './require.ts'

export interface Certificate {
  /** The authority, PEM: what a client must trust. */
  readonly ca: string
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export async function makeCertificate(): Promise<Certificate> {
  const openssl = find('openssl')
  const folder = temporaryFolder('certificate')
  const file = (name: string): string => join(folder, name)
  const [caFile, caKey] = [file('ca.pem'), file('ca-key.pem')]
  const [certFile, keyFile, request] = [file('cert.pem'), file('key.pem'), file('request.pem')]
  writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  await runOrThrow(openssl, [
    ...['req', '-x509', ...CURVE, '-days', '2', '-subj', '/CN=araldo tests'],
    ...['-keyout', caKey, '-out', caFile],
  ])
  await runOrThrow(openssl, ['req', ...CURVE, '-subj', '/CN=localhost', '-keyout', keyFile, '-out', request])
  await runOrThrow(openssl, [
    ...['x509', '-req', '-in', request, '-days', '2', '-extfile', file('names')],
    ...['-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-out', certFile],
  ])
  return { ca: readFileSync(caFile, 'utf8'), caFile, certFile, keyFile }
}
