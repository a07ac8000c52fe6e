/** Floor 3. The certificates of a TLS connection. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { errors } from '../../errors.ts'
import type { TlsOptions } from './options.ts'

/**
 * Reads the files anew: certificates are renewed while a relay runs.
 * @param directory what the files' names are relative to.
 * @returns undefined where there is to be no TLS.
 * @throws ARALDO_ERR_CONFIG where a file cannot be read.
 */
export async function tlsOptions(
  tls: boolean | TlsOptions | undefined,
  directory: string,
): Promise<ConnectionOptions | undefined> {
  if (tls === undefined || tls === false) return undefined
  if (tls === true) return {}
  const { servername, 'reject-unauthorized': rejectUnauthorized = true } = tls
  const [ca, cert, key] = await Promise.all([
    pem('ca', tls.ca, directory),
    pem('cert', tls.cert, directory),
    pem('key', tls.key, directory),
  ])
  return {
    rejectUnauthorized,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
  }
}

async function pem(name: string, value: string | undefined, directory: string): Promise<string | undefined> {
  if (value === undefined || value.startsWith('-----BEGIN')) return value
  try {
    return await readFile(resolve(directory, value), 'utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable'
    throw new errors.CONFIG(`tls: ${name}: the file cannot be read (${code})`, { cause })
  }
}
