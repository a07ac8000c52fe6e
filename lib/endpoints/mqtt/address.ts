/** Floor 3. Where a broker is, as people write it. No error here repeats the text: it may hold a password. */
import { comparableHost, decodedPart, unbracketed } from '../common/url.ts'

const PORTS = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 } as const

export type Protocol = keyof typeof PORTS

export interface BrokerAddress {
  readonly protocol: Protocol
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  /** Of a WebSocket, with its query: `/mqtt`. */
  readonly path: string
  readonly username?: string
  readonly password?: string
}

const FORM = 'write mqtt://host:1883, mqtts:// for TLS, ws://host:80/path or wss:// for a WebSocket'

/** @throws Error that says how to write it. */
export function parseUrl(text: string): BrokerAddress {
  const [, scheme] = /^(mqtts?|wss?):\/\//.exec(text) ?? []
  if (scheme === undefined) throw new Error(`is no URL of an MQTT broker: ${FORM}`)
  if (!URL.canParse(text)) throw new Error(`cannot be read: ${FORM}; special characters in a password are % codes`)
  const url = new URL(text)
  const protocol = scheme as Protocol
  if (url.hostname === '') throw new Error(`names no host: ${FORM}`)
  if (url.hash !== '') throw new Error('must end before #: in a password it is %23')
  if (protocol.startsWith('mqtt') && !(url.search === '' && /^\/?$/.test(url.pathname))) {
    throw new Error('must end after the port: only ws:// and wss:// have a path')
  }
  const [username, password] = [decodedPart(url.username), decodedPart(url.password)]
  return {
    protocol,
    host: unbracketed(url.hostname),
    port: url.port === '' ? PORTS[protocol] : Number(url.port),
    path: `${url.pathname === '' ? '/' : url.pathname}${url.search}`,
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
  }
}

export function usesTls({ protocol }: BrokerAddress): boolean {
  return protocol === 'mqtts' || protocol === 'wss'
}

/** Whether two URLs are of one host. Its listeners on several ports are those of one broker to this. */
export function isSameHost(one: string, other: string): boolean {
  return comparableHost(parseUrl(one).host) === comparableHost(parseUrl(other).host)
}
