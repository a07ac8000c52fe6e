/** Floor 3. Where a server is, as people write it. No error here repeats the text: it may hold a password. */
import { decodedPart, unbracketed } from '../common/url.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface ParsedUrl {
  readonly host?: string
  readonly port?: number
  readonly tls: boolean
  readonly username?: string
  readonly password?: string
  readonly db?: number
}

const FORM = 'write redis://user:password@host:6379/0, or rediss:// for TLS'

/**
 * `redis://user:password@host:port/db`, every part but the scheme optional.
 * Source: the IANA provisional registrations of `redis` and `rediss`, without their query.
 * @throws Error that says how to write it.
 */
export function parseUrl(text: string): ParsedUrl {
  const [, scheme] = /^(rediss?):\/\//.exec(text) ?? []
  if (scheme === undefined) throw new Error(`is no Redis URL: ${FORM}`)
  if (!URL.canParse(text)) throw new Error(`cannot be read: ${FORM}; special characters in a password are % codes`)
  const url = new URL(text)
  if (url.search !== '' || url.hash !== '') {
    throw new Error(
      "must end after the database's number: write other settings as options beside it; ? and # are %3F and %23",
    )
  }
  const [, db] = /^\/?(\d*)$/.exec(url.pathname) ?? []
  if (db === undefined) throw new Error("may have only the database's number after the host: redis://host:6379/0")
  const [username, password] = [decodedPart(url.username), decodedPart(url.password)]
  return {
    tls: scheme === 'rediss',
    ...(url.hostname === '' ? {} : { host: unbracketed(url.hostname) }),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(db === '' ? {} : { db: Number(db) }),
  }
}

/**
 * `host:port`, `host`, `[::1]:6379`.
 * @throws Error that says how to write it.
 */
export function parseAddress(text: string, defaultPort: number): Address {
  const isAddress = /^[^\s/?#@\\]+$/.test(text) && URL.canParse(`redis://${text}`)
  if (!isAddress) throw new Error('names no server: write host:port')
  const url = new URL(`redis://${text}`)
  return { host: unbracketed(url.hostname), port: url.port === '' ? defaultPort : Number(url.port) }
}
