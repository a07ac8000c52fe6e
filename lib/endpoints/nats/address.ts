/** Floor 3. Where a NATS server is, as people write it. No error here repeats the text: it may hold a password. */
import { decodedPart, unbracketed } from '../common/url.ts'

export const DEFAULT_PORT = 4222
const FORM = 'write nats://user:password@host:4222, or tls:// for TLS'

export interface Address {
  readonly host: string
  readonly port: number
  /** The scheme says `tls`. */
  readonly tls: boolean
  readonly username?: string
  readonly password?: string
  /** A user without a password. */
  readonly token?: string
}

/**
 * `nats://user:password@host:port`, `tls://…`, `nats://token@host`, `host:port` or `host`.
 * @throws Error that says how to write it.
 */
export function parseAddress(text: string): Address {
  const [, scheme = 'nats', rest = ''] = /^(?:(nats|tls):\/\/)?([^]*)$/.exec(text) ?? []
  if (rest.includes('://')) throw new Error(`is no NATS URL: ${FORM}`)
  const readable = `nats://${rest}`
  if (!/^[^\s\\]+$/.test(rest) || !URL.canParse(readable)) {
    throw new Error(`cannot be read: ${FORM}; special characters in a password are % codes`)
  }
  const url = new URL(readable)
  if (url.hostname === '') throw new Error(`names no server: ${FORM}`)
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '') {
    throw new Error(
      'must end after the port: write other settings as options beside it; /, ? and # are %2F, %3F and %23',
    )
  }
  const [username, password] = [decodedPart(url.username), decodedPart(url.password)]
  return {
    host: unbracketed(url.hostname),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    tls: scheme === 'tls',
    ...(username === '' ? {} : password === '' ? { token: username } : { username, password }),
  }
}

/** `host:port`, as errors and logs name it. */
export function nameOf({ host, port }: Pick<Address, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
