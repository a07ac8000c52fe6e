/**
 * Floor 3. Hands deliveries of one channel to the lanes, in order, and hears what became of them: settled ones are
 * acknowledged, those rejected for now handed in again after a while. Until then they stay unacknowledged: given back to
 * the broker, they would come again at once, over and over, and a quorum queue would count each time.
 *
 * It is bounded by the consumer's prefetch: what waits here, for the lanes or for another try, is not acknowledged.
 */
import { Deadlines } from '../../deadlines.ts'
import { isRetryable } from '../../errors.ts'
import type { Message } from '../../message.ts'
import { delayAfter } from '../../retry.ts'
import type { Settle } from '../../types.ts'
import type { Acks } from './acks.ts'

export interface IntakeInit {
  readonly acks: Acks
  readonly mayGive: () => boolean
  readonly give: (message: Message, settle: Settle) => void
  /** The lanes rejected one for good. */
  readonly onLetGo: () => void
  /** The lanes rejected one for now. */
  readonly onRejected: () => void
}

interface Held {
  readonly tag: number
  readonly message: Message
  /** Times that the lanes have given it back. */
  rejections: number
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
    this.#rejected = new Deadlines((held) => this.#push(held))
  }

  /** A delivery: counted as open from now on. */
  take(tag: number, message: Message): void {
    const { acks } = this.#init
    acks.add(tag)
    if (this.#isClosed) acks.decide(tag, 'requeue')
    else this.#push({ tag, message, rejections: 0 })
  }

  /** The lanes want messages again. Not at once: whoever says so may be in the middle of something. */
  resume(): void {
    this.#turn ??= setImmediate(this.#drain)
  }

  /** Gives nothing any more. What the lanes do not have goes back to the broker; the rest can still be settled. */
  close(): void {
    this.#isClosed = true
    clearImmediate(this.#turn)
    for (const { tag } of [...this.#waiting.splice(0), ...this.#rejected.clear()]) {
      this.#init.acks.decide(tag, 'requeue')
    }
  }

  #push(held: Held): void {
    if (this.#waiting.length === 0 && this.#turn === undefined && this.#init.mayGive()) this.#give(held)
    else this.#waiting.push(held)
  }

  readonly #drain = (): void => {
    this.#turn = undefined
    const waiting = this.#waiting
    let index = 0
    while (index < waiting.length && this.#init.mayGive()) this.#give(waiting[index++] as Held)
    this.#waiting = waiting.slice(index)
  }

  #give(held: Held): void {
    const { rejections } = held
    let isSettled = false
    this.#init.give(held.message, (error) => {
      if (isSettled || held.rejections !== rejections) return
      isSettled = true
      this.#settled(held, error)
    })
  }

  #settled(held: Held, error: Error | null): void {
    const { acks, onLetGo, onRejected } = this.#init
    if (error === null) acks.decide(held.tag, 'accept')
    else if (!isRetryable(error)) {
      onLetGo()
      acks.decide(held.tag, 'drop')
    } else if (this.#isClosed) acks.decide(held.tag, 'requeue')
    else {
      held.rejections++
      onRejected()
      this.#rejected.add(held, delayAfter(held.rejections, RETRY))
    }
  }
}
