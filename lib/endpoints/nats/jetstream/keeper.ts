/**
 * Floor 3. Tells the server in time of what is still in hand, for as long as one connection lasts, so that it gives it to
 * nobody else however long a delivery takes.
 */
import type { Connection } from '../connection.ts'
import { IN_PROGRESS } from './acks.ts'
import type { Hands } from './hands.ts'

export class Keeper {
  readonly #connection: Connection
  readonly #hands: Hands
  readonly #interval: number
  #timer: NodeJS.Timeout | undefined

  /** @param ackWait the consumer's (milliseconds). */
  constructor(connection: Connection, hands: Hands, ackWait: number) {
    this.#connection = connection
    this.#hands = hands
    this.#interval = Math.max(1, ackWait / 3)
  }

  /** What is in hand from before is told of at once: nobody did so while there was no connection. */
  start(): void {
    this.#tell(Infinity)
    this.#timer = setInterval(() => this.#tell(performance.now() - this.#interval / 2), this.#interval)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** @param before what was last told of later than that is left out. */
  #tell(before: number): void {
    if (this.#connection.isOver) return
    const now = performance.now()
    for (const held of this.#hands.all()) {
      if (held.message === undefined || held.toldAt > before) continue
      held.toldAt = now
      this.#connection.publish(held.reply, IN_PROGRESS)
    }
  }
}
