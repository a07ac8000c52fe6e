/** Floor 3. What the options mean together: mistakes that no schema can name, and what they make the endpoint capable of. */
import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { OptionIssue } from '../../endpoint.ts'
import type { Capabilities } from '../../types.ts'
import { checkExclusions } from '../common/checks.ts'
import { checkTls } from '../common/tls.ts'
import { checkUrlTls, serverName, unbracketed } from '../common/url.ts'
import type { WebSocketClientOptions } from './options.ts'

/** The handshake's own: RFC 6455 section 4.1. */
const OWN_HEADERS = /^(sec-websocket-.*|connection|upgrade|host)$/i

export function* check(options: WebSocketClientOptions): Iterable<OptionIssue> {
  yield* checkUrl(options)
  yield* checkTls('tls', options.tls)
  yield* checkHeaders(options.headers ?? {})
  yield* checkExclusions(options, [
    ['acknowledge', ['subprotocols', 'hello'], 'araldo.v1 is the subprotocol, and has frames of its own only'],
  ])
  if (options.session !== undefined && !options.acknowledge) {
    yield { path: 'session', message: "needs 'acknowledge: true'" }
  }
}

function* checkUrl({ url, tls }: WebSocketClientOptions): Iterable<OptionIssue> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^wss?:$/.test(parsed.protocol) || parsed.hostname === '') {
    yield { path: 'url', message: 'is no address of a WebSocket server: write ws://host:port/path, or wss:// for TLS' }
  } else if (parsed.hash !== '') {
    yield { path: 'url', message: "has a fragment ('#…'), which no server gets to see" }
  } else yield* checkUrlTls(tls, parsed.protocol === 'wss:', ['ws://', 'wss://'])
}

function* checkHeaders(headers: Readonly<Record<string, string>>): Iterable<OptionIssue> {
  for (const [name, value] of Object.entries(headers)) {
    if (OWN_HEADERS.test(name)) yield { path: 'headers', message: `'${name}' is the handshake's own` }
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch {
      // The value may be a secret.
      yield { path: 'headers', message: `'${name}' or its value is none that HTTP can carry` }
    }
  }
}

/** Some headers do reach a server of `araldo.v1`, but not those that are a relay's own. */
export function capabilities({ acknowledge }: WebSocketClientOptions): Capabilities {
  return {
    source: { ack: false, pause: true, replay: false, headers: false, topics: false },
    target: { confirm: acknowledge, pipelined: acknowledge, headers: false, topics: false, echo: false },
  }
}

/** Most servers that have several clients pass on to the others what one of them sends. */
export function hears({ url }: WebSocketClientOptions, sender: WebSocketClientOptions): boolean {
  return placeOf(url) === placeOf(sender.url)
}

function placeOf(url: string): string {
  const { protocol, hostname, port, pathname } = new URL(url)
  const standard = protocol === 'wss:' ? 443 : 80
  return `${serverName({ host: unbracketed(hostname), port: port === '' ? standard : Number(port) })}${pathname}`
}
