/**
 * Floor 3. The entries that are in the relay's hands: read, and not acknowledged yet. They outlive a connection: what
 * was read by an old one is settled by the lanes as if nothing had happened, and must not be taken in once more when
 * Redis tells a new one of it.
 */
import { FreshMap } from '../../../fresh-map.ts'
import type { Message } from '../../../message.ts'
import { InHand } from '../../common/intake.ts'
import type { OutboxBounds } from '../../../delivery/outbox.ts'

/** One entry. Its message is gone when it is settled: from then on, all that is left to do is to acknowledge it. */
export class Held extends InHand {
  readonly stream: string
  readonly id: string
  /** Bytes of its fields. */
  size: number
  /** When Redis was last told that it is in good hands (milliseconds, monotonic). */
  claimedAt: number
  /** Not any more when it is acknowledged, or its stream was forgotten. */
  isHeld = false

  constructor(stream: string, id: string, message: Message | undefined, size: number) {
    super(message)
    this.stream = stream
    this.id = id
    this.size = size
    this.claimedAt = performance.now()
  }
}

export class Hands {
  readonly bounds: OutboxBounds
  readonly #held = new Map<string, FreshMap<string, Held>>()
  #count = 0
  #bytes = 0
  /** What was acknowledged while an answer was under way that may still tell of it. */
  readonly #acknowledged = new Set<string>()
  #isListening = false

  constructor(bounds: OutboxBounds) {
    this.bounds = bounds
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many more entries there is room for. */
  get room(): number {
    return this.#bytes >= this.bounds.bytes ? 0 : Math.max(0, this.bounds.messages - this.#count)
  }

  /** How many bytes more there is room for. */
  get byteRoom(): number {
    return Math.max(0, this.bounds.bytes - this.#bytes)
  }

  /** Whether the entry is in hand, or was while the answer that tells of it was under way. */
  has(stream: string, id: string): boolean {
    if (this.#held.get(stream)?.has(id) === true) return true
    return this.#acknowledged.size > 0 && this.#acknowledged.has(`${stream}:${id}`)
  }

  take(held: Held): void {
    let ofStream = this.#held.get(held.stream)
    if (ofStream === undefined) this.#held.set(held.stream, (ofStream = new FreshMap<string, Held>()))
    ofStream.set(held.id, held)
    held.isHeld = true
    this.#count++
    this.#bytes += held.size
  }

  /** Its message is settled: what is left is its id. */
  lighten(held: Held): void {
    if (!held.isHeld) return
    this.#bytes -= held.size
    held.size = 0
    held.message = undefined
  }

  /** It is acknowledged, or left to whoever claims it. */
  release(held: Held): void {
    if (!held.isHeld) return
    held.isHeld = false
    this.#held.get(held.stream)?.delete(held.id)
    this.#count--
    this.#bytes -= held.size
    if (this.#isListening) this.#acknowledged.add(`${held.stream}:${held.id}`)
  }

  /** A stream has begun anew, or its group has: ids of before mean nothing any more. */
  forget(stream: string): void {
    for (const held of this.#held.get(stream)?.values() ?? []) this.release(held)
    this.#held.delete(stream)
  }

  /** An answer is under way that may tell of entries that are in hand, or were. */
  listen(): void {
    this.#isListening = true
  }

  /** That answer was read. */
  unlisten(): void {
    this.#isListening = false
    this.#acknowledged.clear()
  }

  /** What Redis was told of before `since` at the latest, by stream; and it is being told now. */
  *stale(since: number): Iterable<readonly [string, string[]]> {
    const now = performance.now()
    for (const [stream, ofStream] of this.#held) {
      const ids: string[] = []
      for (const held of ofStream.values()) {
        if (held.claimedAt > since) continue
        held.claimedAt = now
        ids.push(held.id)
      }
      if (ids.length > 0) yield [stream, ids]
    }
  }
}
