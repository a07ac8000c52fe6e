/** Floor 3. What the reply subject of a message from a consumer says of its delivery. */

export interface Delivery {
  readonly deliveries: number
  /** In the stream. */
  readonly seq: number
  /** When the stream took it (milliseconds since the epoch). */
  readonly time: number
}

/**
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream's sequence>.<consumer's>.<nanoseconds>.<pending>`, or, since 2.10
 * where the server is told to, with a domain and a hash of the account after `ACK`, and a token at its end.
 * Source: ADR-15, "JetStream Subscribe Workflow".
 * @returns undefined where it is something else.
 */
export function deliveryOf(reply: string): Delivery | undefined {
  if (!reply.startsWith('$JS.ACK.')) return undefined
  const tokens = reply.split('.')
  const offset = tokens.length === 9 ? 4 : 6
  const [deliveries, seq, nanoseconds] = [tokens[offset], tokens[offset + 1], tokens[offset + 3]].map(Number)
  if (!isCount(deliveries) || !isCount(seq) || nanoseconds === undefined || !(nanoseconds >= 0)) return undefined
  return { deliveries, seq, time: Math.floor(nanoseconds / 1e6) }
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value > 0
}
