/** Floor 1. `expire`: how old a message may be that is still delivered. */
import { errors } from '../errors.ts'
import type { Message } from '../message.ts'

export class Expiry {
  /** Whether messages that are too old go to the dead letters. */
  readonly deadLetter: boolean
  readonly #after: number
  readonly #time: () => number

  /**
   * @param after milliseconds.
   * @param time milliseconds since the epoch; handed in by tests.
   */
  constructor(after: number, deadLetter: boolean, time: () => number = Date.now) {
    this.deadLetter = deadLetter
    this.#after = after
    this.#time = time
  }

  /** The error of a message that is too old; undefined for any other. */
  refusalOf(message: Message): Error | undefined {
    return this.#time() - message.time > this.#after ? new errors.EXPIRED(message.id, this.#after) : undefined
  }

  /** Milliseconds until it is over, at least one; no more than a timer can hold. */
  left(message: Message): number {
    return Math.max(1, Math.min(message.time + this.#after + 1 - this.#time(), 2 ** 31 - 1))
  }
}
