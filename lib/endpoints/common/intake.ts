/**
 * Floor 3. Hands what a source has read to the lanes, in the order in which it came, and hears what became of it. While
 * the lanes want nothing, what came waits here; what they reject for now is handed in again after a while.
 *
 * One that was rejected stands at the head of its key's line, and those of that key behind it, one handed in when the one
 * before is done, until the line is empty: order per key holds. Other keys go on; what has no key waits for nobody.
 *
 * Who owns the intake bounds it, by what may be in hand: prefetch, pending entries, a receive maximum.
 */
import { Deadlines } from '../../deadlines.ts'
import { isRetryable } from '../../errors.ts'
import type { Message } from '../../message.ts'
import { delayAfter } from '../../retry.ts'
import type { Settle } from '../../types.ts'

/** Something that a source has read. A source adds what it needs to settle it. */
export class InHand {
  /** What its order is kept by. */
  readonly key: string | undefined
  /** Gone when nothing is left to hand in. */
  message: Message | undefined
  /** Times that the lanes have rejected it for now. */
  rejections = 0
  /** @internal In the order in which they came. */ number = 0

  constructor(message: Message | undefined) {
    this.message = message
    this.key = message?.key
  }
}

export interface IntakeInit<Item extends InHand> {
  readonly mayGive: () => boolean
  readonly give: (message: Message, settle: Settle) => void
  /**
   * The lanes are done with it. Must not throw.
   * @param error why they rejected it for good: it would be rejected for ever. null where all is well.
   */
  readonly onSettled: (item: Item, error: Error | null) => void
  /**
   * The lanes rejected it for now. Must not throw.
   * @returns whether it is to be handed in again after a while; where not, the intake has forgotten it.
   */
  readonly onRejected: (item: Item) => boolean
  /** The intake is closed, and the lanes do not have it: it is the peer's again. Must not throw. */
  readonly onReleased: (item: Item) => void
}

/** Those of a key of which one was rejected. */
interface Line<Item> {
  /** In the order in which they came. */
  readonly items: Item[]
  /** The one of them that the lanes have, or that is about to be handed in; undefined while the line waits. */
  given: Item | undefined
  /** Times that one of it was rejected since one was settled. */
  rejections: number
}

/** What was rejected is handed in again after a time of these bounds, that grows (milliseconds). */
export const RETRY = { minDelay: 500, maxDelay: 30_000 }

export class Intake<Item extends InHand> {
  readonly #init: IntakeInit<Item>
  #waiting: Item[] = []
  readonly #lines = new Map<string, Line<Item>>()
  readonly #retries: Deadlines<Item>
  readonly #lineRetries: Deadlines<Line<Item>>
  #turn: NodeJS.Immediate | undefined
  #pushed = 0
  #isClosed = false

  constructor(init: IntakeInit<Item>) {
    this.#init = init
    this.#retries = new Deadlines((item) => this.#offer(item))
    this.#lineRetries = new Deadlines((line) => this.#offerFirst(line))
  }

  /** How many wait because the lanes want nothing. */
  get waiting(): number {
    return this.#waiting.length
  }

  push(item: Item): void {
    item.number = this.#pushed++
    const line = this.#lineOf(item)
    if (this.#isClosed) this.#init.onReleased(item)
    else if (line === undefined) this.#offer(item)
    else line.items.push(item)
  }

  /** The lanes want messages again. Not at once: whoever says so may be in the middle of something. */
  resume(): void {
    if (!this.#isClosed) this.#turn ??= setImmediate(this.#drain)
  }

  /** Gives nothing any more. What the lanes have can still be settled. */
  close(): void {
    this.#isClosed = true
    clearImmediate(this.#turn)
    const inLines = [...this.#lines.values()].flatMap(({ items, given }) => items.filter((item) => item !== given))
    const all = new Set([...this.#waiting.splice(0), ...this.#retries.clear(), ...inLines])
    this.#lineRetries.clear()
    this.#lines.clear()
    for (const item of all) this.#init.onReleased(item)
  }

  #lineOf({ key }: Item): Line<Item> | undefined {
    return key === undefined || this.#lines.size === 0 ? undefined : this.#lines.get(key)
  }

  /** It is its turn. */
  #offer(item: Item): void {
    if (this.#waiting.length === 0 && this.#turn === undefined && this.#init.mayGive()) this.#give(item)
    else this.#waiting.push(item)
  }

  #offerFirst(line: Line<Item>): void {
    const first = line.items[0]
    if (first === undefined) return
    line.given = first
    this.#offer(first)
  }

  readonly #drain = (): void => {
    this.#turn = undefined
    const waiting = this.#waiting
    this.#waiting = []
    let index = 0
    while (index < waiting.length && this.#init.mayGive()) {
      const item = waiting[index++] as Item
      const line = this.#lineOf(item)
      // One of its key was rejected while it waited.
      if (line !== undefined && line.given !== item) insert(line, item)
      else this.#give(item)
    }
    this.#waiting = [...waiting.slice(index), ...this.#waiting]
  }

  #give(item: Item): void {
    if (item.message === undefined) {
      this.#advance(item)
      return
    }
    let isOpen = true
    this.#init.give(item.message, (error) => {
      if (isOpen) this.#settled(item, error)
      isOpen = false
    })
  }

  #settled(item: Item, error: Error | null): void {
    if (error === null || !isRetryable(error)) {
      this.#init.onSettled(item, error)
      this.#advance(item)
    } else if (this.#isClosed) this.#init.onReleased(item)
    else {
      item.rejections++
      if (this.#init.onRejected(item)) this.#retry(item)
      else this.#advance(item)
    }
  }

  #retry(item: Item): void {
    const { key, rejections } = item
    if (key === undefined) {
      this.#retries.add(item, delayAfter(rejections, RETRY))
      return
    }
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = { items: [item], given: undefined, rejections: 0 }
      this.#lines.set(key, line)
    } else if (line.given === item) line.given = undefined
    else {
      // The lanes had it before there was a line.
      insert(line, item)
      return
    }
    this.#lineRetries.add(line, delayAfter(++line.rejections, RETRY))
  }

  /** The next of its key, where it was of a line. In a turn of its own: a line may be long. */
  #advance(item: Item): void {
    const line = this.#lineOf(item)
    if (line?.given !== item) return
    line.items.splice(line.items.indexOf(item), 1)
    line.rejections = 0
    const next = (line.given = line.items[0])
    if (next === undefined) this.#lines.delete(item.key as string)
    else {
      this.#waiting.push(next)
      this.resume()
    }
  }
}

function insert<Item extends InHand>({ items }: Line<Item>, item: Item): void {
  const index = items.findIndex(({ number }) => number > item.number)
  items.splice(index === -1 ? items.length : index, 0, item)
}
