/** Floor 3. The certificates of a TLS connection. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { problemOfFile } from '../../config/file.ts'
import type { EndpointContext, OptionIssue } from '../../endpoint.ts'
import { errors, reasonOf } from '../../errors.ts'
import type { JsonSchema } from '../../types.ts'

/** Files are relative to the config's folder; what begins with `-----BEGIN` is the PEM text itself. */
export interface TlsOptions {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly 'reject-unauthorized'?: boolean
}

/** The schema of an option that is `boolean | TlsOptions`. */
export const tlsSchema: JsonSchema = {
  anyOf: [
    { type: 'boolean' },
    {
      type: 'object',
      properties: {
        ca: { type: 'string', minLength: 1, description: 'The authority to trust: a file, or its PEM text.' },
        cert: { type: 'string', minLength: 1, description: "The client's certificate: a file, or its PEM text." },
        key: { type: 'string', minLength: 1, description: "The client's key: a file, or its PEM text." },
        servername: { type: 'string', minLength: 1, description: 'The name that the certificate must be for.' },
        'reject-unauthorized': {
          type: 'boolean',
          description:
            'true if left out. false accepts any certificate: whoever is on the way can read and change everything.',
        },
      },
    },
  ],
  description: 'true, or the certificates.',
}

/** What the schema cannot say. */
export function* checkTls(path: string, tls: boolean | TlsOptions | undefined): Iterable<OptionIssue> {
  if (typeof tls !== 'object' || (tls.cert === undefined) === (tls.key === undefined)) return
  const [there, missing] = tls.cert === undefined ? ['key', 'cert'] : ['cert', 'key']
  yield { path, message: `'${there}' needs '${missing}' beside it` }
}

/**
 * A file that is missing is a mistake of the config's: better to hear of it at start than when the server is there.
 * @throws ARALDO_ERR_CONFIG where a file of the options cannot be read.
 */
export async function checkTlsFiles(
  { name, directory }: Pick<EndpointContext, 'name' | 'directory'>,
  ...all: readonly (boolean | TlsOptions | undefined)[]
): Promise<void> {
  try {
    await Promise.all(all.map((tls) => tlsOptions(tls, directory)))
  } catch (error) {
    throw new errors.CONFIG(`endpoint '${name}': ${reasonOf(error)}`, { cause: error })
  }
}

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
    throw new errors.CONFIG(`tls: ${name}: ${problemOfFile(cause) ?? 'the file cannot be read'}`, { cause })
  }
}
