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

/** Milliseconds to wait after so many failed tries, at least one: uniform in [0, min(maxDelay, minDelay · 2^(n-1))). */
export function delayAfter(
  attempts: number,
  { minDelay, maxDelay }: { readonly minDelay: number; readonly maxDelay: number },
  random: () => number = Math.random,
): number {
  return Math.floor(random() * Math.min(maxDelay, minDelay * 2 ** Math.min(attempts - 1, 31)))
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
    this.#attempts++
    return delayAfter(this.#attempts, { minDelay: this.#minDelay, maxDelay: this.#maxDelay }, this.#random)
  }

  /** After a success that lasted. */
  reset(): void {
    this.#attempts = 0
  }
}
