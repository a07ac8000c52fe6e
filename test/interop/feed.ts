/** So many large messages for one source, from a client that sends each again until the source has confirmed it. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Received } from '../../lib/testing/index.ts'
import { encode, keyOf, MESSAGE_BYTES, Receipts } from '../faults/support/message.ts'
import type { Extra } from '../peers/peer.ts'

/** Messages of one key follow one another; this many keys go side by side. */
export const KEYS = 64
/** Bytes of a payload. */
export const PAYLOAD = 32 * 1_024

const FILL = Buffer.alloc(PAYLOAD - MESSAGE_BYTES, '-')
/** Before a message is sent again (milliseconds). */
const PAUSE = 50

export class Feed {
  /** Numbers that the source has confirmed. */
  readonly confirmed = new Set<number>()
  /** Times that a message was sent again: the source may have it twice then. */
  repeats = 0
  readonly #emit: (payload: Buffer, extra: Extra) => Promise<unknown>
  #next = 0
  #isAborted = false

  constructor(emit: (payload: Buffer, extra: Extra) => Promise<unknown>) {
    this.#emit = emit
  }

  /** Sends so many more, a multiple of {@link KEYS}. Resolves when they are confirmed. */
  async send(count: number): Promise<void> {
    const first = this.#next
    this.#next += count
    const end = this.#next
    await Promise.all(Array.from({ length: KEYS }, (_, index) => this.#send(first + index, end)))
  }

  /** What is not confirmed never is. */
  abort(): void {
    this.#isAborted = true
  }

  async #send(first: number, end: number): Promise<void> {
    for (let number = first; number < end; number += KEYS) {
      const key = keyOf(number, KEYS)
      const payload = Buffer.concat([encode(number, key), FILL])
      for (;;) {
        if (this.#isAborted) return
        const isSent = await this.#emit(payload, { key, headers: {} }).then(
          () => true,
          () => false,
        )
        if (isSent) break
        this.repeats++
        await sleep(PAUSE)
      }
      this.confirmed.add(number)
    }
  }

  /** Whether all that was confirmed has arrived. */
  isAmong(received: readonly Received[]): boolean {
    if (received.length < this.confirmed.size) return false
    const { counts } = receiptsOf(received)
    return [...this.confirmed].every((number) => counts.has(number))
  }

  /**
   * Holds what has arrived to what was confirmed: nothing lost, nothing changed, in order for each key.
   * @param resent messages that the relay may have sent again, at most
   * @returns how many came more than once
   */
  verify(received: readonly Received[], resent: number, name: string): number {
    const { counts, order, duplicates, corrupted } = receiptsOf(received)
    const lost = [...this.confirmed].filter((number) => !counts.has(number)).length
    let disordered = 0
    for (const numbers of order.values()) {
      for (let index = 1; index < numbers.length; index++) {
        if ((numbers[index] as number) < (numbers[index - 1] as number)) disordered++
      }
    }
    assert.deepEqual({ lost, corrupted, disordered }, { lost: 0, corrupted: 0, disordered: 0 }, name)
    const most = this.repeats + resent
    assert.ok(duplicates <= most, `${name}: ${duplicates} duplicates, ${most} at most`)
    return duplicates
  }
}

function receiptsOf(received: readonly Received[]): Receipts {
  const receipts = new Receipts()
  for (const { payload } of received) {
    const isWhole = payload.length === PAYLOAD && payload.subarray(MESSAGE_BYTES).equals(FILL)
    receipts.add(isWhole ? payload.subarray(0, MESSAGE_BYTES) : payload)
  }
  return receipts
}
