/**
 * Floor 1. Keys that were seen lately: for so long, and so many of them. Every operation is O(1), but for what it
 * forgets.
 */

import { Aged } from './aged.ts'

export interface RecentConfig {
  /** Milliseconds. */
  readonly window: number
  /** Keys. */
  readonly size: number
}

export class Recent {
  readonly #window: number
  readonly #size: number
  readonly #now: () => number
  /** When each was added. */
  readonly #added = new Aged()

  /** @param now milliseconds on a clock that never goes back; handed in by tests. */
  constructor({ window, size }: RecentConfig, now: () => number = () => performance.now()) {
    this.#window = window
    this.#size = size
    this.#now = now
  }

  /** Keys that it holds. */
  get size(): number {
    return this.#added.size
  }

  has(key: string): boolean {
    const added = this.#added.get(key)
    return added !== undefined && this.#now() - added < this.#window
  }

  add(key: string): void {
    const now = this.#now()
    this.#added.set(key, now)
    for (let { oldest } = this.#added; oldest !== undefined; { oldest } = this.#added) {
      if (now - oldest.value < this.#window && this.#added.size <= this.#size) break
      this.#added.deleteOldest()
    }
  }
}
