/** Floor 3. Which broker an endpoint is at, as people write it. No error here repeats the text: it may hold a password. */
import { decodedPart, DEFAULT_HOST, serverName, unbracketed } from '../common/url.ts'
import type { ServerOptions } from './options.ts'

export interface ParsedUrl {
  readonly tls: boolean
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string
  readonly vhost?: string
}

/** Where to connect to, with what is left out filled in. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly vhost: string
  readonly isTls: boolean
}

const FORM = 'write amqp://user:password@host:5672/vhost, or amqps:// for TLS'

/**
 * Source: RabbitMQ's AMQP URI specification, without its query. The vhost is what follows the slash after the host, with
 * % codes; no slash there, and it is left open; only a slash, and it is the one whose name is empty.
 * @throws Error that says how to write it.
 */
export function parseUrl(text: string): ParsedUrl {
  const [, scheme] = /^(amqps?):\/\//.exec(text) ?? []
  if (scheme === undefined) throw new Error(`is no AMQP URL: ${FORM}`)
  if (!URL.canParse(text)) throw new Error(`cannot be read: ${FORM}; special characters in a password are % codes`)
  const url = new URL(text)
  if (url.search !== '' || url.hash !== '') {
    throw new Error('must end after the vhost: write other settings as options beside it; ? and # are %3F and %23')
  }
  const path = url.pathname.slice(1)
  if (path.includes('/')) throw new Error('has a slash in its vhost: write %2F')
  const [username, password] = [decodedPart(url.username), decodedPart(url.password)]
  return {
    tls: scheme === 'amqps',
    ...(url.hostname === '' ? {} : { host: unbracketed(decodedPart(url.hostname)) }),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(url.pathname === '' || path === '' ? {} : { vhost: decodedPart(path) }),
  }
}

/** @param options that the checks have nothing against. */
export function addressOf({ url, host, port, vhost, tls }: ServerOptions): Address {
  const parsed: Partial<ParsedUrl> = url === undefined ? {} : parseUrl(url)
  const isTls = parsed.tls === true || (tls !== undefined && tls !== false)
  return {
    host: parsed.host ?? host ?? DEFAULT_HOST,
    port: parsed.port ?? port ?? (isTls ? 5671 : 5672),
    vhost: parsed.vhost ?? vhost ?? '/',
    isTls,
  }
}

/** User and password; those that every broker has for its own host, where there are none. */
export function loginOf({ url, username, password }: ServerOptions): { username: string; password: string } {
  const parsed: Partial<ParsedUrl> = url === undefined ? {} : parseUrl(url)
  const user = username ?? parsed.username
  const secret = password ?? parsed.password
  return { username: user ?? 'guest', password: secret ?? (user === undefined ? 'guest' : '') }
}

/** Whether two are one broker's one vhost. A name and an address of it are two to this. */
export function isSamePlace(one: ServerOptions, other: ServerOptions): boolean {
  const [here, there] = [addressOf(one), addressOf(other)]
  return serverName(here) === serverName(there) && here.vhost === there.vhost
}
