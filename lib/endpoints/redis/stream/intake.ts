/**
 * Floor 3. Hands entries to the lanes, in the order in which they were read, and hears what became of them: settled ones
 * are acknowledged, rejected ones handed in again after a while. While the lanes want nothing, what was read waits here.
 *
 * It is bounded by the hands: what waits here, for the lanes, for its acknowledgement or for another try is in hand.
 */
import { Deadlines } from '../../../deadlines.ts'
import { isRetryable } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import { delayAfter } from '../../../retry.ts'
import type { Settle } from '../../../types.ts'
import type { Acks } from './acks.ts'
import type { Hands, Held } from './hands.ts'

export interface IntakeInit {
  readonly hands: Hands
  readonly acks: Acks
  readonly mayGive: () => boolean
  readonly give: (message: Message, settle: Settle) => void
  /** The lanes rejected one for good: it is acknowledged all the same, as it would be rejected for ever. */
  readonly onLetGo: () => void
  /** The lanes rejected one for now. */
  readonly onRejected: () => void
}

/** What was rejected is handed in again after a time of these bounds, that grows (milliseconds). */
const RETRY = { minDelay: 500, maxDelay: 30_000 }

export class Intake {
  readonly #init: IntakeInit
  #waiting: Held[] = []
  readonly #rejected: Deadlines<Held>
  #turn: NodeJS.Immediate | undefined
  #isClosed = false

  constructor(init: IntakeInit) {
    this.#init = init
    this.#rejected = new Deadlines((held) => this.push(held))
  }

  push(held: Held): void {
    if (this.#waiting.length === 0 && this.#turn === undefined && this.#init.mayGive()) this.#give(held)
    else this.#waiting.push(held)
  }

  /** The lanes want messages again. Not at once: whoever says so may be in the middle of something. */
  resume(): void {
    this.#turn ??= setImmediate(this.#drain)
  }

  /** Gives nothing any more. What was not settled stays pending: it comes in again after the next start. */
  close(): void {
    this.#isClosed = true
    clearImmediate(this.#turn)
    const { hands } = this.#init
    for (const held of [...this.#waiting.splice(0), ...this.#rejected.clear()]) hands.release(held)
  }

  readonly #drain = (): void => {
    this.#turn = undefined
    const waiting = this.#waiting
    let index = 0
    while (index < waiting.length && this.#init.mayGive()) this.#give(waiting[index++] as Held)
    this.#waiting = waiting.slice(index)
  }

  #give(held: Held): void {
    const { message, rejections } = held
    if (message === undefined) return
    this.#init.give(message, (error) => {
      if (held.message !== undefined && held.rejections === rejections) this.#settled(held, error)
    })
  }

  #settled(held: Held, error: Error | null): void {
    const { hands, acks, onLetGo, onRejected } = this.#init
    if (error !== null && isRetryable(error)) {
      held.rejections++
      if (this.#isClosed) {
        hands.release(held)
        return
      }
      onRejected()
      this.#rejected.add(held, delayAfter(held.rejections, RETRY))
      return
    }
    if (error !== null) onLetGo()
    held.message = undefined
    if (!hands.isHeld(held)) return
    hands.lighten(held)
    acks.add(held)
  }
}
