/**
 * Floor 3. The messages that are in the relay's hands: delivered, and not acknowledged yet, by their sequence in the
 * stream. They outlive a connection: what an old one brought is settled by the lanes as if nothing had happened, and
 * must not be taken in once more when the server brings it again.
 */
import type { OutboxBounds } from '../../../delivery/outbox.ts'
import { FreshMap } from '../../../fresh-map.ts'
import type { Message } from '../../../message.ts'
import { InHand } from '../../common/intake.ts'

/** One message; gone when it is settled: from then on, all that is left to do is to say so. */
export class Held extends InHand {
  readonly seq: number
  /** Where an acknowledgement goes: that of the latest delivery. */
  reply: string
  /** How often it was delivered. */
  deliveries: number
  size: number
  /** When the server was last told that it is in good hands (milliseconds, monotonic). */
  toldAt = performance.now()

  constructor(seq: number, reply: string, deliveries: number, message: Message, size: number) {
    super(message)
    this.seq = seq
    this.reply = reply
    this.deliveries = deliveries
    this.size = size
  }
}

export class Hands {
  readonly bounds: OutboxBounds
  readonly #held = new FreshMap<number, Held>()
  /** Given back, and not here again yet: the server has them. */
  readonly #returned = new Set<number>()
  #bytes = 0
  #last = 0

  constructor(bounds: OutboxBounds) {
    this.bounds = bounds
  }

  get count(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many more messages there is room for. */
  get room(): number {
    return this.#bytes >= this.bounds.bytes ? 0 : Math.max(0, this.bounds.messages - this.#held.size)
  }

  /** How many bytes more there is room for. */
  get byteRoom(): number {
    return Math.max(0, this.bounds.bytes - this.#bytes)
  }

  /**
   * Where a consumer must begin to bring all that is not acknowledged; undefined where none has come yet. What others
   * have in their hands is not known here.
   */
  get first(): number | undefined {
    let first = this.#last === 0 ? undefined : this.#last + 1
    for (const seq of [...this.#held.keys(), ...this.#returned]) if (first === undefined || seq < first) first = seq
    return first
  }

  get(seq: number): Held | undefined {
    return this.#held.get(seq)
  }

  /** As they are now: what is done with them may change the hands. */
  all(): Held[] {
    return this.#held.values()
  }

  take(held: Held): void {
    this.#held.set(held.seq, held)
    this.#returned.delete(held.seq)
    this.#bytes += held.size
    if (held.seq > this.#last) this.#last = held.seq
  }

  /** Its message is settled: what is left is where to say so. */
  lighten(held: Held): void {
    held.message = undefined
    if (!this.isHeld(held)) return
    this.#bytes -= held.size
    held.size = 0
  }

  /** Not when its stream began anew. */
  isHeld(held: Held): boolean {
    return this.#held.get(held.seq) === held
  }

  /** It is acknowledged. */
  release(held: Held): void {
    if (!this.isHeld(held)) return
    this.#held.delete(held.seq)
    this.#bytes -= held.size
  }

  /** The server is to bring it again. */
  giveBack(held: Held): void {
    if (!this.isHeld(held)) return
    this.release(held)
    // The oldest are forgotten first: a consumer that is made anew then begins later than it could.
    if (this.#returned.size >= this.bounds.messages) this.#returned.delete(this.#returned.values().next().value ?? 0)
    this.#returned.add(held.seq)
  }

  /** The stream has begun anew: sequences of before mean nothing any more. */
  forget(): void {
    for (const held of this.#held.values()) held.message = undefined
    this.#held.clear()
    this.#returned.clear()
    this.#bytes = 0
    this.#last = 0
  }
}
