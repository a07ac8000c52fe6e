/** Floor 3. What a broker refused of what was sent: each is counted, and one a second is logged. */
import type { FastifyBaseLogger } from 'fastify'

/** Milliseconds. */
const LOG_INTERVAL = 1_000

export class Refusals {
  readonly #log: FastifyBaseLogger
  readonly #text: string
  #loggedAt = -Infinity
  /** Since it was logged last. */
  #count = 0

  /** @param text the line in the log: `Redis refused what was sent`. */
  constructor(log: FastifyBaseLogger, text: string) {
    this.#log = log
    this.#text = text
  }

  /** @param reason the broker's, without what may be secret. */
  add(reason: string): void {
    this.#count++
    const now = performance.now()
    if (now - this.#loggedAt < LOG_INTERVAL) return
    this.#log.warn({ reason, count: this.#count }, this.#text)
    this.#loggedAt = now
    this.#count = 0
  }
}
