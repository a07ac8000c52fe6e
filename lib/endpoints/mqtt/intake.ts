/**
 * Floor 3. Hands messages to the lanes, in the order in which they came, and hears what became of them: rejected ones are
 * handed in again after a while, since a broker sends nothing again over a connection that holds. While the lanes want
 * nothing, what came waits here.
 *
 * What is acknowledged is bounded by what the broker may send without an acknowledgement; the rest by `maxWaiting`.
 */
import { Deadlines } from '../../deadlines.ts'
import { isRetryable } from '../../errors.ts'
import type { Message } from '../../message.ts'
import { delayAfter } from '../../retry.ts'
import type { Settle } from '../../types.ts'
import { Held } from './hands.ts'

export interface IntakeInit {
  /** Messages of QoS 0 that wait for the lanes, at most. */
  readonly maxWaiting: number
  readonly mayGive: () => boolean
  readonly give: (message: Message, settle: Settle) => void
  /** The lanes are done with one of QoS 1 or 2. */
  readonly onSettled: (held: Held) => void
  /** The lanes rejected one for good, or one that nobody can bring again. */
  readonly onLetGo: () => void
  /** The lanes rejected one for now. */
  readonly onRejected: () => void
  /** There is no room for one of QoS 0. */
  readonly onOverflow: () => void
}

/** What was rejected is handed in again after a time of these bounds, that grows (milliseconds). */
const RETRY = { minDelay: 500, maxDelay: 30_000 }

export class Intake {
  readonly #init: IntakeInit
  #waiting: (Held | Message)[] = []
  /** Of these, messages of QoS 0. */
  #unacknowledged = 0
  readonly #rejected: Deadlines<Held>
  #turn: NodeJS.Immediate | undefined
  #isClosed = false

  constructor(init: IntakeInit) {
    this.#init = init
    this.#rejected = new Deadlines((held) => this.push(held))
  }

  /** @param item the message alone where it is of QoS 0. */
  push(item: Held | Message): void {
    const { mayGive, maxWaiting, onOverflow } = this.#init
    if (this.#waiting.length === 0 && this.#turn === undefined && mayGive()) this.#give(item)
    else if (item instanceof Held) this.#waiting.push(item)
    else if (this.#unacknowledged < maxWaiting) {
      this.#unacknowledged++
      this.#waiting.push(item)
    } else onOverflow()
  }

  /** The lanes want messages again. Not at once: whoever says so may be in the middle of something. */
  resume(): void {
    this.#turn ??= setImmediate(this.#drain)
  }

  /** Gives nothing any more. What was not settled is the broker's: it comes in again after the next start. */
  close(): void {
    this.#isClosed = true
    clearImmediate(this.#turn)
    this.#waiting = []
    this.#rejected.clear()
  }

  readonly #drain = (): void => {
    this.#turn = undefined
    const waiting = this.#waiting
    let index = 0
    while (index < waiting.length && this.#init.mayGive()) {
      const item = waiting[index++] as Held | Message
      if (!(item instanceof Held)) this.#unacknowledged--
      this.#give(item)
    }
    this.#waiting = waiting.slice(index)
  }

  #give(item: Held | Message): void {
    const { give, onLetGo } = this.#init
    if (item instanceof Held) {
      const { rejections } = item
      give(item.message, (error) => {
        if (!item.isSettled && item.rejections === rejections) this.#settled(item, error)
      })
    } else {
      let isOpen = true
      give(item, (error) => {
        if (isOpen && error !== null) onLetGo()
        isOpen = false
      })
    }
  }

  #settled(held: Held, error: Error | null): void {
    const { onSettled, onLetGo, onRejected } = this.#init
    if (error !== null && isRetryable(error)) {
      held.rejections++
      if (this.#isClosed) return
      onRejected()
      this.#rejected.add(held, delayAfter(held.rejections, RETRY))
      return
    }
    if (error !== null) onLetGo()
    onSettled(held)
  }
}
