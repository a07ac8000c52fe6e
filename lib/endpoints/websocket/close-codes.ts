/**
 * Floor 3. The codes that a WebSocket is closed with, and what a client should do on each. One table: the endpoint
 * closes by it, the documentation is written from it.
 *
 * Codes: RFC 6455 section 7.4.1 and the IANA WebSocket Close Code Number Registry.
 */

/**
 * What a client should do:
 * - `reconnect`: connect again after a delay of its own, growing from try to try, with jitter.
 * - `reconnect-after-hint`: the same, but the first delay is the number of milliseconds in the reason.
 * - `mend`: not connect again before what it sends has changed: the same would happen again.
 */
export type CloseAdvice = 'reconnect' | 'reconnect-after-hint' | 'mend'

export interface CloseCode {
  readonly code: number
  /** What the client is told, in words; `''` where the protocol's own code says it all. */
  readonly reason: string
  readonly client: CloseAdvice
  /** When it happens; for the documentation. */
  readonly when: string
}

export const CLOSE_CODES = {
  goingAway: {
    code: 1001,
    reason: 'the server is going away, reconnect in %s ms',
    client: 'reconnect-after-hint',
    when: 'The relay shuts down. Each client is given another delay, so that they do not all come back at once.',
  },
  protocolError: {
    code: 1002,
    reason: '',
    client: 'mend',
    when: 'A frame breaks RFC 6455: not masked, a reserved bit or opcode, a fragmented control frame.',
  },
  textExpected: {
    code: 1003,
    reason: 'this endpoint takes text messages only',
    client: 'mend',
    when: 'A binary message came where text is expected (a textual marshaller, `araldo.v1`), and `on-invalid` is `close`.',
  },
  connectionLost: {
    code: 1006,
    reason: '',
    client: 'reconnect',
    when: 'No close frame came: a ping was not answered in time, a close frame was not, or the network failed.',
  },
  undecodable: {
    code: 1007,
    reason: 'the message is not valid %s',
    client: 'mend',
    when:
      'A message that the marshaller cannot decode, or that is no frame of `araldo.v1`, and `on-invalid` is `close`; ' +
      'or text that is not UTF-8.',
  },
  tooManyPieces: {
    code: 1008,
    reason: '',
    client: 'mend',
    when: 'A message dribbled in: more than 256 fragments or packets, and one more for each 256 bytes of `max-payload`.',
  },
  tooLarge: {
    code: 1009,
    reason: '',
    client: 'mend',
    when: 'A message is larger than `max-payload`.',
  },
  internalError: {
    code: 1011,
    reason: 'the server failed to handle the message',
    client: 'reconnect',
    when: 'The relay failed where it should not have; its log says more.',
  },
  tooSlow: {
    code: 1013,
    reason: 'the client reads too slowly, %s bytes wait',
    client: 'reconnect',
    when: 'More bytes than `limit` waited for the client.',
  },
  stalled: {
    code: 1013,
    reason: 'the client has read nothing for %s ms',
    client: 'reconnect',
    when: 'What waited for the client made no progress for `write-timeout`. Often seen as 1006: it reads no close frame.',
  },
} as const satisfies Record<string, CloseCode>

/** What fits into a close frame beside the code (bytes). RFC 6455 section 5.5.1. */
const MAX_REASON = 123

/** The reason's text, with a value in its place; cut to what fits. */
export function closeReason({ reason }: CloseCode, value: string | number = ''): string {
  let text = reason.replace('%s', () => String(value))
  while (Buffer.byteLength(text) > MAX_REASON) text = text.slice(0, -1)
  return text
}
