/**
 * Floor 3. The rows that are in the relay's hands: read, and not settled in the table yet. They outlive a connection: what
 * was read by an old one is settled by the lanes as if nothing had happened, and is not read once more by a new one.
 */
import type { OutboxBounds } from '../../delivery/outbox.ts'
import { FreshMap } from '../../fresh-map.ts'
import type { Message } from '../../message.ts'
import { InHand } from '../common/intake.ts'

/** One row. Its message is gone when it is settled: from then on, all that is left to do is to settle the row. */
export class Held extends InHand {
  /** As text. */
  readonly id: string
  readonly slot: number
  /** Bytes. */
  size: number

  constructor(id: string, slot: number, message: Message, size: number) {
    super(message)
    this.id = id
    this.slot = slot
    this.size = size
  }
}

export class Hands {
  readonly bounds: OutboxBounds
  readonly #held = new FreshMap<string, Held>()
  readonly #bySlot = new Map<number, number>()
  #bytes = 0

  constructor(bounds: OutboxBounds) {
    this.bounds = bounds
  }

  get count(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many more rows there is room for. */
  get room(): number {
    return this.#bytes >= this.bounds.bytes ? 0 : Math.max(0, this.bounds.messages - this.#held.size)
  }

  get byteRoom(): number {
    return Math.max(0, this.bounds.bytes - this.#bytes)
  }

  /** Of all that is in hand. */
  get ids(): string[] {
    return this.#held.keys()
  }

  ofSlot(slot: number): number {
    return this.#bySlot.get(slot) ?? 0
  }

  has(id: string): boolean {
    return this.#held.has(id)
  }

  take(held: Held): void {
    this.#held.set(held.id, held)
    this.#bySlot.set(held.slot, this.ofSlot(held.slot) + 1)
    this.#bytes += held.size
  }

  /** Its message is settled: what is left is its id. */
  lighten(held: Held): void {
    this.#bytes -= held.size
    held.size = 0
    held.message = undefined
  }

  /** Its row is settled, or left to whoever reads it next. */
  release(held: Held): void {
    if (!this.#held.delete(held.id)) return
    this.#bySlot.set(held.slot, this.ofSlot(held.slot) - 1)
    this.#bytes -= held.size
  }
}
