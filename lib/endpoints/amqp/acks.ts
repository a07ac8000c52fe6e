/**
 * Floor 3. Tells the broker what became of deliveries: all that end within a few milliseconds together, and by one
 * frame where nothing older is open.
 *
 * Tags are of one channel: when that is gone, the broker delivers anew what it was not told of.
 */
import type { Channel, Message } from 'amqplib'
import { Together } from '../common/together.ts'
import { FreshMap } from '../../fresh-map.ts'

/**
 * - `accept`: acknowledged.
 * - `drop`: rejected for good: it goes to the queue's dead-letter exchange, where there is one.
 * - `requeue`: given back: it is delivered again, to whoever reads.
 */
export type Verdict = 'accept' | 'drop' | 'requeue'

export class Acks {
  readonly #channel: Channel
  /** Not told yet, in the order of delivery; with the verdict, where there is one. */
  readonly #open = new FreshMap<number, Verdict | undefined>()
  /** Those with a verdict. */
  #decided: number[] = []
  readonly #onAccepted: (count: number) => void
  readonly #together: Together
  #isClosed = false

  /**
   * @param prefetch of the channel.
   * @param onAccepted called when so many are acknowledged. Must not throw.
   */
  constructor(channel: Channel, prefetch: number, onAccepted: (count: number) => void) {
    this.#channel = channel
    this.#together = new Together(prefetch, this.flush)
    this.#onAccepted = onAccepted
  }

  /** Deliveries that the broker was not told of. */
  get size(): number {
    return this.#open.size
  }

  /** @param tag larger than any before. */
  add(tag: number): void {
    this.#open.set(tag, undefined)
  }

  /** The first word counts. */
  decide(tag: number, verdict: Verdict): void {
    if (this.#isClosed || !this.#open.has(tag) || this.#open.get(tag) !== undefined) return
    this.#open.set(tag, verdict)
    this.#decided.push(tag)
    this.#together.add(this.#decided.length)
  }

  /** The channel is gone, or ends: nothing more is told. */
  close(): void {
    this.#isClosed = true
    this.#together.cancel()
    this.#open.clear()
    this.#decided = []
  }

  readonly flush = (): void => {
    this.#together.cancel()
    if (this.#isClosed || this.#decided.length === 0) return
    const decided = this.#decided
    this.#decided = []
    try {
      this.#reject(decided)
      const accepted = this.#acceptOldest() + this.#acceptEach(decided)
      if (accepted > 0) this.#onAccepted(accepted)
    } catch {
      // The channel has ended, and its owner is about to hear of it: the broker delivers these again.
      this.close()
    }
  }

  #reject(decided: readonly number[]): void {
    for (const tag of decided) {
      const verdict = this.#open.get(tag)
      if (verdict !== 'drop' && verdict !== 'requeue') continue
      this.#open.delete(tag)
      this.#channel.nack(deliveryOf(tag), false, verdict === 'requeue')
    }
  }

  /** `multiple` takes in all that is older and open: only where all of that is accepted, too. */
  #acceptOldest(): number {
    let last: number | undefined
    let count = 0
    for (const [tag, verdict] of this.#open) {
      if (verdict !== 'accept') break
      this.#open.delete(tag)
      last = tag
      count++
    }
    if (last !== undefined) this.#channel.ack(deliveryOf(last), count > 1)
    return count
  }

  #acceptEach(decided: readonly number[]): number {
    let count = 0
    for (const tag of decided) {
      if (!this.#open.delete(tag)) continue
      this.#channel.ack(deliveryOf(tag), false)
      count++
    }
    return count
  }
}

/** All that amqplib reads of a message. */
function deliveryOf(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message
}
