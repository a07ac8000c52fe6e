/**
 * Floor 3. Reads as one consumer of a group, for as long as one connection lasts: first what is pending for it from
 * before, then what other consumers have left, then what is new; and again, from time to time, what others leave.
 *
 * One read at a time, and none while the relay has no room for what it may bring.
 */
import { isErrorReply } from '../client.ts'
import { claimOf, entriesByStream, type Entry } from './answers.ts'
import type { Groups } from './groups.ts'
import type { Hands } from './hands.ts'
import { BLOCK, type Reader } from './reader.ts'
import type { Writer } from './writer.ts'

export interface ConsumerInit {
  readonly reader: Reader
  readonly writer: Writer
  readonly groups: Groups
  readonly hands: Hands
  readonly streams: readonly string[]
  readonly group: string
  readonly consumer: string
  readonly claimAfter: number
  readonly batch: number
  /** Whether anything may come in at this moment; when it may again, {@link Consumer.wake} is called. */
  readonly mayRead: () => boolean
  /** Takes an entry in. @returns bytes of its fields. Must not throw. */
  readonly onEntry: (stream: string, id: string, fields: readonly Buffer[]) => number
  /** It is pending and not in the stream any more: somebody has trimmed it away. Must not throw. */
  readonly onGone: (stream: string, id: string) => void
  /** @param lost entries that had been trimmed away. */
  readonly onClaimed: (count: number, lost: number) => void
  /** The groups of these streams were gone, and are there again. Must not throw. */
  readonly onRemade: (streams: readonly string[]) => void
}

/** Groups that are gone again and again after they were made are somebody's doing: that many times, and no more. */
const MAX_REMAKES = 3
/** Bytes that an entry has, as long as none has come. */
const USUAL_SIZE = 1_024

export class Consumer {
  readonly #init: ConsumerInit
  #wake: (() => void) | undefined
  #isStopped = false
  #remakes = 0
  /** Bytes of the largest entry of late. */
  #largest = USUAL_SIZE
  #claimAt = 0
  #claimStream = 0
  #claimCursor = '0-0'

  constructor(init: ConsumerInit) {
    this.#init = init
  }

  /**
   * Resolves when it was stopped.
   * @throws Error when the connection is lost, or of no use.
   */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#consume()
      } catch (error) {
        if (this.#isStopped) return
        if (!isGroupGone(error) || this.#remakes >= MAX_REMAKES) throw error
        this.#remakes++
        await this.#remake()
      }
    }
  }

  /** Reads no more. What is being read still comes in. */
  stop(): void {
    this.#isStopped = true
    this.wake()
  }

  /** There may be room again, or leave to read. */
  wake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  async #consume(): Promise<void> {
    await this.#readPending()
    for (;;) {
      const count = await this.#turn()
      if (count === 0) return
      if (performance.now() >= this.#claimAt) await this.#claim(count)
      else await this.#readNew(count)
      this.#remakes = 0
    }
  }

  /** Resolves when there is room, with how many entries of each stream to read; with 0 when there is to be no more. */
  async #turn(): Promise<number> {
    const { hands, mayRead } = this.#init
    for (;;) {
      if (this.#isStopped) return 0
      if (mayRead()) {
        const fitting = this.#fitting(hands.room, hands.byteRoom)
        // Not one by one, as each is settled; but when nothing will be settled any more, at least one.
        if (fitting >= this.#fitting(Infinity, Infinity) / 2) return Math.max(1, Math.floor(fitting))
        if (hands.count === 0) return 1
      }
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** How many entries of each stream fit. */
  #fitting(messages: number, bytes: number): number {
    const { streams, batch, hands } = this.#init
    const { bounds } = hands
    const fitting = Math.min(messages, bounds.messages, Math.min(bytes, bounds.bytes) / this.#largest)
    return Math.min(batch, fitting / streams.length)
  }

  async #readPending(): Promise<void> {
    const { hands, streams } = this.#init
    const from = new Map(streams.map((stream) => [stream, '0']))
    while (from.size > 0) {
      const count = await this.#turn()
      if (count === 0) return
      hands.listen()
      const answer = entriesByStream(await this.#readGroup(count, [], [...from.keys()], [...from.values()]))
      for (const [stream, entries] of answer) {
        const last = entries.at(-1)
        if (last === undefined) from.delete(stream)
        else from.set(stream, last.id)
        this.#takeIn(stream, entries)
      }
      hands.unlisten()
    }
  }

  async #readNew(count: number): Promise<void> {
    const { streams, groups } = this.#init
    const ids = streams.map(() => '>')
    for (const [stream, entries] of entriesByStream(await this.#readGroup(count, ['BLOCK', BLOCK], streams, ids))) {
      const last = entries.at(-1)
      if (last !== undefined) groups.seen(stream, last.id)
      this.#takeIn(stream, entries)
    }
  }

  #readGroup(
    count: number,
    block: readonly (string | number)[],
    streams: readonly string[],
    ids: readonly string[],
  ): Promise<unknown> {
    const { reader, group, consumer } = this.#init
    return reader.read('xreadgroup', 'GROUP', group, consumer, 'COUNT', count, ...block, 'STREAMS', ...streams, ...ids)
  }

  /** One page of what others have left. */
  async #claim(count: number): Promise<void> {
    const { reader, hands, group, consumer, claimAfter, streams, onClaimed } = this.#init
    const stream = streams[this.#claimStream] as string
    hands.listen()
    const command = [stream, group, consumer, claimAfter, this.#claimCursor, 'COUNT', count]
    const { cursor, entries, gone } = claimOf(await reader.read('xautoclaim', ...command))
    // What is in hand is not lost, though its entry is gone.
    const lost = gone.filter((id) => !hands.has(stream, id)).length
    onClaimed(this.#takeIn(stream, entries), lost)
    hands.unlisten()
    this.#claimCursor = cursor
    if (cursor !== '0-0') return
    this.#claimStream = (this.#claimStream + 1) % streams.length
    if (this.#claimStream === 0) this.#claimAt = performance.now() + claimAfter / 2
  }

  /** @returns how many were not in hand already. */
  #takeIn(stream: string, entries: readonly Entry[]): number {
    const { hands, onEntry, onGone } = this.#init
    let count = 0
    let largest = 0
    for (const { id, fields } of entries) {
      if (hands.has(stream, id)) continue
      if (fields === undefined) onGone(stream, id)
      else {
        largest = Math.max(largest, onEntry(stream, id, fields))
        count++
      }
    }
    if (count > 0) this.#largest = Math.max(1, largest, this.#largest * 0.9)
    return count
  }

  async #remake(): Promise<void> {
    const { groups, writer, streams, onRemade } = this.#init
    this.#claimCursor = '0-0'
    const made = await groups.remake(writer, streams)
    if (made.length > 0) onRemade(made)
  }
}

/** The stream or its group was deleted; before Redis 7.2, who waits is told so in other words. */
function isGroupGone(error: unknown): boolean {
  return isErrorReply(error) && /^(NOGROUP|UNBLOCKED)/.test(error.message)
}
