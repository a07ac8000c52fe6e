/** Floor 3. Where a server is, as people write it. No error here repeats the text: it may hold a password. */
import { decodedPart, DEFAULT_HOST, serverName, unbracketed } from '../common/url.ts'
import type { ServerOptions } from './options.ts'

export interface Place {
  readonly host: string
  readonly port: number
  /** undefined: nobody has said. */
  readonly username: string | undefined
  readonly password: string | undefined
  /** The role's name where nobody has said. */
  readonly database: string | undefined
  readonly tls: boolean
}

const DEFAULT_PORT = 5432

const FORM = 'write postgres://user:password@host:5432/database'
/** Both ends of libpq's scale are clear; what lies between encrypts without knowing with whom, which is not done here. */
const SSL_MODES: Readonly<Record<string, boolean>> = {
  disable: false,
  require: true,
  'verify-ca': true,
  'verify-full': true,
}

/**
 * `postgres://user:password@host:port/database?sslmode=…`, every part but the scheme optional.
 * Source: PostgreSQL, "Connection URIs"; of its parameters, `sslmode` alone.
 * @throws Error that says how to write it.
 */
export function parseUrl(text: string): Partial<Place> & { readonly tls?: boolean } {
  if (!/^postgres(ql)?:\/\//.test(text)) throw new Error(`is no PostgreSQL URL: ${FORM}`)
  if (!URL.canParse(text)) throw new Error(`cannot be read: ${FORM}; special characters in a password are % codes`)
  const url = new URL(text)
  const { sslmode, ...others } = Object.fromEntries(url.searchParams)
  const tls = sslmode === undefined ? undefined : SSL_MODES[sslmode]
  if (sslmode !== undefined && tls === undefined) {
    throw new Error('has an sslmode that is none of disable, require, verify-ca and verify-full')
  }
  if (Object.keys(others).length > 0 || url.hash !== '') {
    throw new Error('may have no parameter but sslmode: write other settings as options beside it; # is %23')
  }
  const [username, password] = [decodedPart(url.username), decodedPart(url.password)]
  const database = decodedPart(url.pathname.replace(/^\//, ''))
  return {
    ...(url.hostname === '' ? {} : { host: unbracketed(decodedPart(url.hostname)) }),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(database === '' ? {} : { database }),
    ...(tls === undefined ? {} : { tls }),
  }
}

/** @param options whose url can be read. */
export function placeOf(options: ServerOptions): Place {
  const parsed = options.url === undefined ? {} : parseUrl(options.url)
  const username = options.username ?? parsed.username
  return {
    host: parsed.host ?? options.host ?? DEFAULT_HOST,
    port: parsed.port ?? options.port ?? DEFAULT_PORT,
    username,
    password: options.password ?? parsed.password,
    database: options.database ?? parsed.database ?? username,
    tls: parsed.tls ?? (options.tls !== undefined && options.tls !== false),
  }
}

/** Whether they are at one database of one server. A name and an address of a server are two servers to this. */
export function isSamePlace(one: ServerOptions, other: ServerOptions): boolean {
  const [here, there] = [placeOf(one), placeOf(other)]
  return serverName(here) === serverName(there) && here.database === there.database
}
