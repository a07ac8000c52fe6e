/**
 * Floor 1. `throttle`: what waits in a lane's outbox leaves it at a rate, the lane's or that of each of many keys.
 *
 * Where the lane has one rate, nothing is taken from the outbox before it may go. Where keys have rates of their own,
 * one that may not go yet is parked, so that those of other keys go on: it keeps its place and its key in the outbox,
 * which is what bounds how many are parked.
 */
import type { ThrottleConfig } from '../config/steps.ts'
import { Deadlines } from '../deadlines.ts'
import type { Expression } from '../expression.ts'
import type { Message } from '../message.ts'
import { Fifo } from './fifo.ts'
import { boundedKey } from './key.ts'
import { Rates } from './rate.ts'

/** The key of a lane that has one rate. */
const LANE = ''

export class Throttle<Entry> {
  readonly #rates: Rates
  readonly #by: Expression | undefined
  readonly #onOpen: () => void
  /** Keys of which one may go at that time. */
  readonly #deadlines: Deadlines<string>
  /** By key, in the order in which they came. */
  readonly #parked = new Map<string, Fifo<Entry>>()
  /** Keys of which one may go now. */
  readonly #due = new Fifo<string>()

  /** @param onOpen something may go that could not before. Must not throw. */
  constructor(config: ThrottleConfig, now: () => number, onOpen: () => void) {
    this.#rates = new Rates(config, now)
    this.#by = config.by
    this.#onOpen = onOpen
    this.#deadlines = new Deadlines(this.#onDue, now)
  }

  /** Whether anything may be taken from the outbox; where not, `onOpen` is called when it may. */
  isOpen(): boolean {
    if (this.#by !== undefined) return true
    const wait = this.#rates.wait(LANE)
    if (wait > 0 && this.#deadlines.size === 0) this.#deadlines.add(LANE, wait)
    return wait === 0
  }

  /** One that was parked and may go now. It counts as gone. */
  next(): Entry | undefined {
    for (let key = this.#due.shift(); key !== undefined; key = this.#due.shift()) {
      const entries = this.#parked.get(key)
      // The lane's own key parks nothing.
      if (entries === undefined) continue
      const entry = entries.shift()
      this.#rates.count(key)
      if (entries.size === 0) this.#parked.delete(key)
      else this.#deadlines.add(key, this.#rates.wait(key))
      return entry
    }
    return undefined
  }

  /**
   * @returns whether it may go now, and counts as gone. If not, it is parked: {@link next} gives it back.
   * @throws ARALDO_ERR_EXPRESSION_FAILED, ARALDO_ERR_UNDECODABLE where no key can be told.
   */
  admit(entry: Entry, message: Message): boolean {
    const key = this.#by === undefined ? LANE : boundedKey(this.#by.evaluate(message) as string)
    const parked = this.#parked.get(key)
    if (parked !== undefined) {
      parked.push(entry)
      return false
    }
    if (this.#rates.take(key)) return true
    const entries = new Fifo<Entry>()
    entries.push(entry)
    this.#parked.set(key, entries)
    this.#deadlines.add(key, this.#rates.wait(key))
    return false
  }

  close(): void {
    this.#deadlines.clear()
    this.#parked.clear()
  }

  readonly #onDue = (key: string): void => {
    this.#due.push(key)
    this.#onOpen()
  }
}
