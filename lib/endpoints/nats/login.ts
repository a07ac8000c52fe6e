/** Floor 3. How a connection of NATS logs in, and what of that must not be shown. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Authenticator, credsAuthenticator, jwtAuthenticator, nkeyAuthenticator } from '@nats-io/transport-node'
import { problemOfFile } from '../../config/file.ts'
import { errors, reasonOf } from '../../errors.ts'
import type { Address } from './address.ts'
import type { ServerOptions } from './options.ts'

/** Fits into the library's options. */
export interface Login {
  readonly user?: string
  readonly pass?: string
  readonly token?: string
  readonly authenticator?: Authenticator
}

/**
 * Reads the files anew: credentials are renewed while a relay runs.
 * @param directory what the files' names are relative to.
 * @throws ARALDO_ERR_CONFIG where a file cannot be read.
 */
export async function loginOf(options: ServerOptions, directory: string): Promise<Login> {
  const { username, password, token, creds, nkey, jwt } = options
  if (creds !== undefined) {
    const text = await textOf('creds', creds, directory, /^\s*-----BEGIN/)
    return { authenticator: credsAuthenticator(Buffer.from(text)) }
  }
  if (nkey !== undefined) {
    const seed = Buffer.from(await textOf('nkey', nkey, directory, /^SU[A-Z2-7]{56}$/))
    if (jwt === undefined) return { authenticator: nkeyAuthenticator(seed) }
    const text = await textOf('jwt', jwt, directory, /^[\w-]+\.[\w-]+\.[\w-]+$/)
    return { authenticator: jwtAuthenticator(text, seed) }
  }
  if (token !== undefined) return { token }
  return username === undefined || password === undefined ? {} : { user: username, pass: password }
}

/** What the URL says, where the options say nothing. */
export function loginIn({ username, password, token }: Address): Login {
  if (token !== undefined) return { token }
  return username === undefined || password === undefined ? {} : { user: username, pass: password }
}

/**
 * A file that is missing is a mistake of the config's: better to hear of it at start than when the server is there.
 * @throws ARALDO_ERR_CONFIG
 */
export async function checkLogin(endpoint: string, options: ServerOptions, directory: string): Promise<void> {
  try {
    await loginOf(options, directory)
  } catch (error) {
    throw new errors.CONFIG(`endpoint '${endpoint}': ${reasonOf(error)}`, { cause: error })
  }
}

/** An error's words, without what it may have of the login's. The original is no cause: it would be logged. */
export function plainError(error: unknown, { user, pass, token }: Login = {}): Error {
  let text = error === undefined || error === null ? '' : reasonOf(error)
  for (const secret of [pass, token]) if (secret !== undefined) text = text.replaceAll(secret, '…')
  if (text === '') return new Error('the server closed the connection')
  if (!/authorization|authentication/i.test(text)) return new Error(text)
  const who = user === undefined ? 'it' : `user '${user}'`
  return new Error(`the server does not let ${who} in (${text}): check username, password, token, creds, nkey or jwt`)
}

async function textOf(option: string, value: string, directory: string, isText: RegExp): Promise<string> {
  if (isText.test(value)) return value
  try {
    return (await readFile(resolve(directory, value), 'utf8')).trim()
  } catch (cause) {
    throw new errors.CONFIG(`${option}: ${problemOfFile(cause) ?? 'the file cannot be read'}`)
  }
}
