/**
 * Floor 3. Hands messages to the lanes, in the order in which they came, and hears what became of them. While the lanes
 * want nothing, what has come waits here: it is bounded by the hands.
 */
import { isRetryable } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import { delayAfter } from '../../../retry.ts'
import type { Settle } from '../../../types.ts'
import { ACK, type Acks, TERM } from './acks.ts'
import type { Hands, Held } from './hands.ts'

export interface IntakeInit {
  readonly hands: Hands
  readonly acks: Acks
  readonly mayGive: () => boolean
  readonly give: (message: Message, settle: Settle) => void
  /** The lanes rejected one for good: it would be rejected for ever. */
  readonly onLetGo: () => void
  /** The lanes rejected one for now: the server is to bring it again after so many milliseconds. */
  readonly onRejected: (held: Held, delay: number) => void
}

/** What was rejected comes again after a time of these bounds, that grows (milliseconds). */
const RETRY = { minDelay: 500, maxDelay: 30_000 }

export class Intake {
  readonly #init: IntakeInit
  #waiting: Held[] = []
  #turn: NodeJS.Immediate | undefined
  #isClosed = false

  constructor(init: IntakeInit) {
    this.#init = init
  }

  push(held: Held): void {
    if (this.#isClosed) this.#giveBack(held, 0)
    else if (this.#waiting.length === 0 && this.#turn === undefined && this.#init.mayGive()) this.#give(held)
    else this.#waiting.push(held)
  }

  /** The lanes want messages again. Not at once: whoever says so may be in the middle of something. */
  resume(): void {
    this.#turn ??= setImmediate(this.#drain)
  }

  /** Gives nothing any more. What waits goes back at once: another relay may have it. */
  close(): void {
    this.#isClosed = true
    clearImmediate(this.#turn)
    for (const held of this.#waiting.splice(0)) this.#giveBack(held, 0)
  }

  readonly #drain = (): void => {
    this.#turn = undefined
    const waiting = this.#waiting
    let index = 0
    while (index < waiting.length && this.#init.mayGive()) this.#give(waiting[index++] as Held)
    this.#waiting = waiting.slice(index)
  }

  #give(held: Held): void {
    const { message } = held
    // Its stream has begun anew while it waited.
    if (message === undefined || !this.#init.hands.isHeld(held)) return
    this.#init.give(message, (error) => {
      if (held.message !== undefined) this.#settled(held, error)
    })
  }

  #settled(held: Held, error: Error | null): void {
    const { hands, acks, onLetGo } = this.#init
    if (error !== null && isRetryable(error)) {
      this.#giveBack(held, this.#isClosed ? 0 : Math.max(1, delayAfter(held.deliveries, RETRY)))
      return
    }
    if (error !== null) onLetGo()
    hands.lighten(held)
    if (hands.isHeld(held)) acks.add(held, error === null ? ACK : TERM)
  }

  #giveBack(held: Held, delay: number): void {
    const { hands, onRejected } = this.#init
    held.message = undefined
    if (!hands.isHeld(held)) return
    hands.giveBack(held)
    onRejected(held, delay)
  }
}
