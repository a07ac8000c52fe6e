/**
 * Floor 1. So many messages in so much time, for each of many keys. One number is kept for a key: when the next one
 * would be due if they went evenly (the generic cell rate algorithm, ITU-T I.371, which is the leaky bucket as a meter).
 */

import { Aged } from './aged.ts'

export interface RateConfig {
  /** Messages in the time of `per` (milliseconds). */
  readonly rate: number
  readonly per: number
  /** Messages that may go at once after a while without any. */
  readonly burst: number
}

/** Keys that are remembered. One that was forgotten may begin with a burst again. */
const MAX_KEYS = 10_000
/** Milliseconds: less than this is what adding up fractions leaves. */
const EPSILON = 1e-6

export class Rates {
  readonly #interval: number
  readonly #tolerance: number
  readonly #now: () => number
  /** When the next is due, by key, the one that went longest ago first. */
  readonly #due = new Aged()

  constructor({ rate, per, burst }: RateConfig, now: () => number = () => performance.now()) {
    this.#interval = per / rate
    this.#tolerance = (burst - 1) * this.#interval
    this.#now = now
  }

  /** Keys that it remembers. */
  get size(): number {
    return this.#due.size
  }

  /** Milliseconds until one of the key may go; 0 for now. */
  wait(key: string): number {
    const delay = (this.#due.get(key) ?? -Infinity) - this.#tolerance - this.#now()
    return delay > EPSILON ? delay : 0
  }

  /** One of the key goes. */
  count(key: string): void {
    const now = this.#now()
    this.#due.set(key, Math.max(this.#due.get(key) ?? now, now) + this.#interval)
    // Who has been quiet for long enough is as good as new; usually that keeps the map small.
    for (let { oldest } = this.#due; oldest !== undefined; { oldest } = this.#due) {
      if (oldest.value > now && this.#due.size <= MAX_KEYS) break
      this.#due.deleteOldest()
    }
  }

  /** Counts one, if it may go now. */
  take(key: string): boolean {
    if (this.wait(key) > 0) return false
    this.count(key)
    return true
  }
}
