/** A load of numbered messages on one pair of ends, from a client that sends each again until the source confirms it. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { encode, keyOf, Receipts } from '../faults/support/message.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { within } from '../support/wait.ts'

/** Messages of one key follow one another; this many keys go side by side. */
export const KEYS = 16

/** A source that has not answered for so long is asked again (milliseconds). */
const EMIT_TIMEOUT = 5_000

/** Messages that a load is ahead of its target, at most, where it is told what has arrived. */
const MOST_AHEAD = 4 * KEYS

export interface LoadInit {
  readonly peer: InteropPeer
  /** Milliseconds between two messages of one key, and before one is sent again. */
  readonly pace: number
  /** How many messages have come to the target. */
  readonly arrived?: (() => number) | undefined
}

export class Load {
  /** Numbers that the source has confirmed. */
  readonly confirmed = new Set<number>()
  /** Times that a message was sent again: the source may have it twice then. */
  repeats = 0
  readonly #peer: InteropPeer
  readonly #pace: number
  readonly #arrived: () => number
  readonly #loops: Promise<void>[]
  #isStopped = false
  #isAborted = false

  constructor({ peer, pace, arrived = () => Infinity }: LoadInit) {
    this.#peer = peer
    this.#pace = pace
    this.#arrived = arrived
    this.#loops = Array.from({ length: KEYS }, (_, index) => this.#send(index))
  }

  /** Ends it. Resolves when what was begun is confirmed. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#loops)
  }

  /** Ends it at once: what is not confirmed never is. */
  abort(): void {
    this.#isStopped = true
    this.#isAborted = true
  }

  async #send(first: number): Promise<void> {
    for (let number = first; !this.#isStopped; number += KEYS) {
      const key = keyOf(number, KEYS)
      while (!(await this.#emit(number, key))) {
        if (this.#isAborted) return
        this.repeats++
        await sleep(this.#pace)
      }
      this.confirmed.add(number)
      do await sleep(this.#pace)
      while (!this.#isStopped && this.confirmed.size - this.#arrived() > MOST_AHEAD)
    }
  }

  async #emit(number: number, key: string): Promise<boolean> {
    try {
      const sending = this.#peer.emit(encode(number, key), { key, headers: {} })
      await within(Promise.resolve(sending), { timeout: EMIT_TIMEOUT, message: 'the source to confirm' })
      return true
    } catch {
      return false
    }
  }
}

/** What has arrived of a load. */
export interface Outcome {
  readonly messages: number
  readonly lost: number
  readonly duplicates: number
  readonly corrupted: number
  /** Messages that came for the first time after a later one of their key. */
  readonly disordered: number
  readonly copies: number
}

export async function outcomeOf({ confirmed }: Load, target: InteropPeer): Promise<Outcome> {
  const receipts = new Receipts()
  const received = await target.received()
  for (const { payload } of received) receipts.add(payload)
  const { counts, order, duplicates, corrupted } = receipts
  let disordered = 0
  for (const numbers of order.values()) {
    for (let index = 1; index < numbers.length; index++) {
      if ((numbers[index] as number) < (numbers[index - 1] as number)) disordered++
    }
  }
  const lost = [...confirmed].filter((number) => !counts.has(number)).length
  assert.ok(counts.size >= confirmed.size - lost)
  return { messages: confirmed.size, lost, duplicates, corrupted, disordered, copies: received.length }
}
