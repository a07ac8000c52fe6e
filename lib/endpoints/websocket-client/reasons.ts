/** Floor 3. Why there is no connection, in words that say what to do. Never with what may be secret. */
import type { IncomingMessage } from 'node:http'

/** Characters of what a server says. */
const MAX_SAID = 123

/** @returns why the server has refused the handshake. */
export function refusalOf({ statusCode = 0 }: IncomingMessage): Error {
  return new Error(`the server answered the handshake with ${statusCode}: ${adviceOn(statusCode)}`)
}

function adviceOn(status: number): string {
  if (status >= 300 && status < 400) return "redirects are not followed; name the address itself in 'url'"
  switch (status) {
    case 400:
      return "check 'subprotocols' and 'acknowledge': it may want another, or none"
    case 401:
    case 403:
      return "check the credentials in 'url' or 'headers', and which clients and origins it admits"
    case 404:
      return "there is nothing at the path of 'url'"
    case 426:
    case 200:
      return "there is no WebSocket at the path of 'url'"
    case 429:
    case 503:
      return 'it takes no more connections for now'
    default:
      return status >= 500 ? 'it failed; its log may say more' : "check 'url' and 'headers'"
  }
}

/** Codes of RFC 6455 section 7.4.1, and 1012 to 1014 of the IANA registry. */
const CODES: Readonly<Record<number, string>> = {
  1000: 'it was done',
  1001: 'it is going away',
  1002: 'it takes what it was sent for a breach of the protocol',
  1003: 'it does not take messages of this kind: check the marshaller, text or binary',
  1005: 'it gave no reason',
  1006: 'the connection broke',
  1007: 'it could not read a message: check the marshaller',
  1008: 'a message was against its rules',
  1009: 'a message was larger than it takes',
  1010: 'it wanted an extension',
  1011: 'it failed',
  1012: 'it restarts',
  1013: 'it is overloaded, or takes the client for too slow',
  1014: 'a gateway before it failed',
}

/** @param said what the server says for itself. */
export function closingOf(code: number, said: Buffer): Error {
  const own = said
    .toString()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .slice(0, MAX_SAID)
    .trim()
  const quoted = own === '' ? '' : `: '${own}'`
  return new Error(
    `the server closed the connection with ${code}, ${CODES[code] ?? 'for a reason of its own'}${quoted}`,
  )
}
