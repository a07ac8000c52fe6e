/**
 * Floor 1. How long to wait before the next try: exponential backoff with full jitter, so that a crowd of clients that
 * lost one server does not come back as one.
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (its "Full Jitter").
 */

export interface BackoffOptions {
  /** The first try waits at most this many milliseconds. */
  readonly minDelay?: number
  /** No try waits longer than this many milliseconds. */
  readonly maxDelay?: number
  /** A number in [0, 1); handed in by tests. */
  readonly random?: () => number
}

export class Backoff {
  readonly #minDelay: number
  readonly #maxDelay: number
  readonly #random: () => number
  #attempts = 0

  constructor({ minDelay = 100, maxDelay = 30_000, random = Math.random }: BackoffOptions = {}) {
    this.#minDelay = minDelay
    this.#maxDelay = maxDelay
    this.#random = random
  }

  /** Tries since the last {@link reset}. */
  get attempts(): number {
    return this.#attempts
  }

  /** Milliseconds to wait before the next try: uniform in [0, min(maxDelay, minDelay · 2^attempts)). */
  next(): number {
    const ceiling = Math.min(this.#maxDelay, this.#minDelay * 2 ** Math.min(this.#attempts, 31))
    this.#attempts++
    return Math.floor(this.#random() * ceiling)
  }

  /** After a success that lasted. */
  reset(): void {
    this.#attempts = 0
  }
}
