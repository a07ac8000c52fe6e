/**
 * Floor 1. A lane's bounded queue: in order per key, one in flight per key, other keys go on. Entries that are
 * *pipelined* follow one another without waiting for answers, in order, until one is held.
 *
 * An entry is *waiting* (queued), *in flight* (handed to the target), or *held* (failed, and to be tried again after a
 * while: its key waits with it). All three count against the bounds, so that what the queue says it holds is what the
 * lane holds in memory. Every operation is O(1); a queue with a single key costs no more than a plain list.
 */

import { FreshMap } from '../fresh-map.ts'
import { Listed } from '../list.ts'

export interface OutboxBounds {
  readonly messages: number
  readonly bytes: number
}

/** What a lane holds at the moment. */
export interface OutboxView {
  readonly messages: number
  readonly bytes: number
  /** What it holds at most. */
  readonly limit: { readonly messages: number; readonly bytes: number }
  /** When the oldest of these was made, in milliseconds since the epoch; undefined where it holds none. */
  readonly oldest: number | undefined
  /** It keeps its source from taking anything in. */
  readonly isHolding: boolean
  /** Of a durable buffer: bytes of its files, and why it takes nothing in, where that is so. */
  readonly disk: { readonly bytes: number; readonly failure: string | undefined } | undefined
}

/** What the outbox keeps of each entry. Links are its own; nobody else touches them. */
export class OutboxEntry<Item> extends Listed {
  readonly item: Item
  readonly key: string
  /** Bytes that it counts for. */
  readonly size: number
  /** It may be in flight together with others of its key. Keys of such entries are not those of others. */
  readonly pipelined: boolean
  /** Times that it was handed to the target. */
  attempts = 0
  /** @internal Its place by age. */ number = 0
  /** @internal */ isHeld = false
  /** @internal */ queue: KeyQueue<Item> | undefined
  /** @internal */ nextInKey: OutboxEntry<Item> | undefined
  /** @internal */ older: OutboxEntry<Item> | undefined
  /** @internal */ newer: OutboxEntry<Item> | undefined

  constructor(item: Item, key: string, size: number, pipelined = false) {
    super()
    this.item = item
    this.key = key
    this.size = size
    this.pipelined = pipelined
  }
}

/** The entries of one key that wait, oldest first. */
class KeyQueue<Item> {
  readonly key: string
  head: OutboxEntry<Item> | undefined
  tail: OutboxEntry<Item> | undefined
  /** Of those that wait, the one that came back last after it had been taken. */
  lastBack: OutboxEntry<Item> | undefined
  /** Entries of the key that are in flight or held. */
  busy = 0
  held = 0
  readonly pipelined: boolean
  /** In the list of keys that could go next. */
  listed = false
  nextReady: KeyQueue<Item> | undefined
  previousReady: KeyQueue<Item> | undefined

  constructor(key: string, pipelined: boolean) {
    this.key = key
    this.pipelined = pipelined
  }

  /** Whether its first entry may go. */
  get isFree(): boolean {
    return this.pipelined ? this.held === 0 : this.busy === 0
  }
}

/** Entries that are looked at for the place of one. */
const MAX_LOOK = 256

export class Outbox<Item> {
  readonly bounds: OutboxBounds
  readonly #keys = new FreshMap<string, KeyQueue<Item>>()
  readonly #pipelines = new FreshMap<string, KeyQueue<Item>>()
  /** Waiting entries of all keys by age, for dropping the oldest. */
  #oldest: OutboxEntry<Item> | undefined
  #newest: OutboxEntry<Item> | undefined
  /** Keys that may send, in the order in which they became able to. */
  #firstReady: KeyQueue<Item> | undefined
  #lastReady: KeyQueue<Item> | undefined
  /** Entries that were ever pushed. */
  #pushed = 0
  #messages = 0
  #bytes = 0
  #busy = 0
  #busyBytes = 0

  constructor(bounds: OutboxBounds) {
    this.bounds = bounds
  }

  /** Entries that it holds: waiting, in flight and held. */
  get messages(): number {
    return this.#messages
  }

  /** Bytes that it holds. */
  get bytes(): number {
    return this.#bytes
  }

  /** Entries in flight or held. */
  get busy(): number {
    return this.#busy
  }

  get empty(): boolean {
    return this.#messages === 0
  }

  /** How full it is by the bound that is nearer: 0 empty, 1 full. */
  get level(): number {
    return Math.max(this.#messages / this.bounds.messages, this.#bytes / this.bounds.bytes)
  }

  /** Whether an entry of so many bytes fits. One entry always fits an empty outbox, however large it is. */
  fits(size: number): boolean {
    if (this.#messages === 0) return true
    return this.#messages < this.bounds.messages && this.#bytes + size <= this.bounds.bytes
  }

  /** Whether one of so many bytes would fit if everything that waits was taken out: what is busy stays. */
  couldFit(size: number): boolean {
    if (this.#busy === 0) return true
    return this.#busy < this.bounds.messages && this.#busyBytes + size <= this.bounds.bytes
  }

  /** Appends an entry. The caller has made sure that it {@link fits}. */
  push(entry: OutboxEntry<Item>): void {
    const queues = entry.pipelined ? this.#pipelines : this.#keys
    let queue = queues.get(entry.key)
    if (queue === undefined) {
      queue = new KeyQueue(entry.key, entry.pipelined)
      queues.set(entry.key, queue)
    }
    entry.queue = queue
    entry.number = this.#pushed++
    if (queue.tail === undefined) queue.head = entry
    else queue.tail.nextInKey = entry
    queue.tail = entry
    this.#linkNewest(entry)
    this.#messages++
    this.#bytes += entry.size
    this.#list(queue)
  }

  /** Takes in an entry that will never be sent: it counts until it is {@link done}, and keeps no key waiting. */
  admit(entry: OutboxEntry<Item>): void {
    this.#messages++
    this.#bytes += entry.size
    this.#busy++
    this.#busyBytes += entry.size
  }

  /** The next entry whose key is free, now in flight; undefined when there is none. */
  take(): OutboxEntry<Item> | undefined {
    const queue = this.#firstReady
    if (queue === undefined) return undefined
    this.#unlist(queue)
    const entry = queue.head as OutboxEntry<Item>
    this.#unlinkHead(queue, entry)
    queue.busy++
    this.#busy++
    this.#busyBytes += entry.size
    entry.attempts++
    this.#list(queue)
    return entry
  }

  /** An entry that was taken will be tried again after a while: nothing of its key goes until it waits again. */
  hold(entry: OutboxEntry<Item>): void {
    const queue = entry.queue as KeyQueue<Item>
    entry.isHeld = true
    queue.held++
    if (!queue.isFree) this.#unlist(queue)
  }

  /** An entry that was taken, or admitted, has come to its end: its key is free again. Once for each entry. */
  done(entry: OutboxEntry<Item>): void {
    this.#busy--
    this.#busyBytes -= entry.size
    this.#messages--
    this.#bytes -= entry.size
    const { queue } = entry
    if (queue === undefined) return
    entry.queue = undefined
    this.#unhold(queue, entry)
    queue.busy--
    if (queue.head === undefined && queue.busy === 0) this.#forget(queue)
    else this.#list(queue)
  }

  /** An entry that was taken waits again, before everything of its key that is younger, and in its place by age. */
  retry(entry: OutboxEntry<Item>): void {
    const queue = entry.queue as KeyQueue<Item>
    this.#linkByAge(entry, this.#linkInKey(queue, entry))
    this.#unhold(queue, entry)
    queue.busy--
    this.#busy--
    this.#busyBytes -= entry.size
    this.#list(queue)
  }

  /** The oldest waiting entry; undefined when all that it holds is in flight or held. */
  get oldest(): OutboxEntry<Item> | undefined {
    return this.#oldest
  }

  /** Takes the oldest waiting entry out; undefined when all that it holds is in flight or held. */
  dropOldest(): OutboxEntry<Item> | undefined {
    const entry = this.#oldest
    if (entry === undefined) return undefined
    // The oldest of all is the oldest of its key.
    const queue = entry.queue as KeyQueue<Item>
    this.#unlinkHead(queue, entry)
    entry.queue = undefined
    this.#messages--
    this.#bytes -= entry.size
    if (queue.head === undefined) {
      this.#unlist(queue)
      if (queue.busy === 0) this.#forget(queue)
    }
    return entry
  }

  #forget(queue: KeyQueue<Item>): void {
    const queues = queue.pipelined ? this.#pipelines : this.#keys
    queues.delete(queue.key)
  }

  #unhold(queue: KeyQueue<Item>, entry: OutboxEntry<Item>): void {
    if (!entry.isHeld) return
    entry.isHeld = false
    queue.held--
  }

  #list(queue: KeyQueue<Item>): void {
    if (queue.listed || !queue.isFree || queue.head === undefined) return
    queue.listed = true
    queue.previousReady = this.#lastReady
    if (this.#lastReady === undefined) this.#firstReady = queue
    else this.#lastReady.nextReady = queue
    this.#lastReady = queue
  }

  #unlist(queue: KeyQueue<Item>): void {
    if (!queue.listed) return
    queue.listed = false
    const { previousReady, nextReady } = queue
    if (previousReady === undefined) this.#firstReady = nextReady
    else previousReady.nextReady = nextReady
    if (nextReady === undefined) this.#lastReady = previousReady
    else nextReady.previousReady = previousReady
    queue.previousReady = queue.nextReady = undefined
  }

  #linkNewest(entry: OutboxEntry<Item>): void {
    entry.older = this.#newest
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  /**
   * All that wait are younger, but for those that were in flight with it and have come back before. They mostly come back
   * in their order: behind the last one.
   * @returns the one before it.
   */
  #linkInKey(queue: KeyQueue<Item>, entry: OutboxEntry<Item>): OutboxEntry<Item> | undefined {
    const { lastBack } = queue
    let before = lastBack !== undefined && lastBack.number < entry.number ? lastBack : undefined
    let after = before === undefined ? queue.head : before.nextInKey
    while (after !== undefined && after.number < entry.number) {
      before = after
      after = after.nextInKey
    }
    entry.nextInKey = after
    if (before === undefined) queue.head = entry
    else before.nextInKey = entry
    if (after === undefined) queue.tail = entry
    queue.lastBack = entry
    return before
  }

  /**
   * Looks for its place from the one before it in its key on, or from the oldest, where it is but for keys that have
   * waited long: those it may overtake, its own it may not.
   */
  #linkByAge(entry: OutboxEntry<Item>, before: OutboxEntry<Item> | undefined): void {
    let newer = before === undefined ? this.#oldest : before.newer
    for (let left = MAX_LOOK; left > 0 && newer !== undefined && newer.number < entry.number; left--) {
      newer = newer.newer
    }
    const older = newer === undefined ? this.#newest : newer.older
    entry.older = older
    entry.newer = newer
    if (older === undefined) this.#oldest = entry
    else older.newer = entry
    if (newer === undefined) this.#newest = entry
    else newer.older = entry
  }

  #unlinkHead(queue: KeyQueue<Item>, entry: OutboxEntry<Item>): void {
    queue.head = entry.nextInKey
    if (queue.head === undefined) queue.tail = undefined
    if (queue.lastBack === entry) queue.lastBack = undefined
    entry.nextInKey = undefined
    if (entry.older === undefined) this.#oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.#newest = entry.older
    else entry.newer.older = entry.older
    entry.older = undefined
    entry.newer = undefined
  }
}
