/**
 * Floor 3. Hands rows to the lanes, in the order in which they were read, and hears what became of them: settled ones are
 * settled in the table, rejected ones handed in again after a while. While the lanes want nothing, what was read waits
 * here.
 *
 * A row that was rejected stands at the head of its key's line, and the rows of that key behind it, one handed in when
 * the one before is done, until the line is empty: order per key holds. Other keys go on, and rows without a key wait for
 * nobody.
 *
 * It is bounded by the hands: what waits here, for the lanes or for another try, is in hand.
 */
import { Deadlines } from '../../deadlines.ts'
import { isRetryable } from '../../errors.ts'
import type { Message } from '../../message.ts'
import { delayAfter } from '../../retry.ts'
import type { Settle } from '../../types.ts'
import type { Hands, Held } from './hands.ts'

export interface IntakeInit {
  readonly hands: Hands
  readonly mayGive: () => boolean
  readonly give: (message: Message, settle: Settle) => void
  /** It is done: its row is to be settled. Must not throw. */
  readonly onSettled: (held: Held) => void
  /** The lanes rejected one for good: it is settled all the same, as it would be rejected for ever. */
  readonly onLetGo: () => void
  /** The lanes rejected one for now. */
  readonly onRejected: () => void
}

/** The rows of a key of which one was rejected. */
interface Line {
  /** By age. */
  readonly rows: Held[]
  /** The one of them that the lanes have, or that is about to be handed in; undefined while the line waits. */
  given: Held | undefined
  /** Times that one of it was rejected since one was settled. */
  rejections: number
}

/** What was rejected is handed in again after a time of these bounds, that grows (milliseconds). */
const RETRY = { minDelay: 500, maxDelay: 30_000 }

export class Intake {
  readonly #init: IntakeInit
  #waiting: Held[] = []
  readonly #lines = new Map<string, Line>()
  readonly #retries: Deadlines<Held>
  readonly #lineRetries: Deadlines<Line>
  #turn: NodeJS.Immediate | undefined
  #isClosed = false

  constructor(init: IntakeInit) {
    this.#init = init
    this.#retries = new Deadlines((held) => this.#offer(held))
    this.#lineRetries = new Deadlines((line) => this.#offerFirst(line))
  }

  push(held: Held): void {
    const line = this.#lineOf(held)
    if (line === undefined) this.#offer(held)
    else line.rows.push(held)
  }

  /** The lanes want messages again. Not at once: whoever says so may be in the middle of something. */
  resume(): void {
    if (!this.#isClosed) this.#turn ??= setImmediate(this.#drain)
  }

  /** Gives nothing any more. What was not settled stays in the table. */
  close(): void {
    this.#isClosed = true
    clearImmediate(this.#turn)
    const { hands } = this.#init
    const inLines = [...this.#lines.values()].flatMap(({ rows, given }) => rows.filter((held) => held !== given))
    this.#lineRetries.clear()
    this.#lines.clear()
    for (const held of [...this.#waiting.splice(0), ...this.#retries.clear(), ...inLines]) hands.release(held)
  }

  #lineOf({ key }: Held): Line | undefined {
    return key === undefined ? undefined : this.#lines.get(key)
  }

  /** It is its turn. */
  #offer(held: Held): void {
    if (this.#waiting.length === 0 && this.#turn === undefined && this.#init.mayGive()) this.#give(held)
    else this.#waiting.push(held)
  }

  #offerFirst(line: Line): void {
    const first = line.rows[0]
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
      const held = waiting[index++] as Held
      const line = this.#lineOf(held)
      // One of its key was rejected while it waited.
      if (line !== undefined && line.given !== held) insert(line, held)
      else this.#give(held)
    }
    this.#waiting = [...waiting.slice(index), ...this.#waiting]
  }

  #give(held: Held): void {
    const { message, rejections } = held
    if (message === undefined) return
    this.#init.give(message, (error) => {
      if (held.message !== undefined && held.rejections === rejections) this.#settled(held, error)
    })
  }

  #settled(held: Held, error: Error | null): void {
    const { hands, onSettled, onLetGo, onRejected } = this.#init
    if (error !== null && isRetryable(error)) {
      held.rejections++
      if (this.#isClosed) hands.release(held)
      else {
        onRejected()
        this.#retry(held)
      }
      return
    }
    if (error !== null) onLetGo()
    hands.lighten(held)
    onSettled(held)
    this.#advance(held)
  }

  #retry(held: Held): void {
    const { key, rejections } = held
    if (key === undefined) {
      this.#retries.add(held, delayAfter(rejections, RETRY))
      return
    }
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = { rows: [held], given: undefined, rejections: 0 }
      this.#lines.set(key, line)
    } else if (line.given === held) line.given = undefined
    else {
      // The lanes had it before there was a line.
      insert(line, held)
      return
    }
    this.#lineRetries.add(line, delayAfter(++line.rejections, RETRY))
  }

  /** The next of its key, where it was of a line. In a turn of its own: a line may be long. */
  #advance(held: Held): void {
    const line = this.#lineOf(held)
    if (line?.given !== held) return
    line.rows.splice(line.rows.indexOf(held), 1)
    line.rejections = 0
    const next = (line.given = line.rows[0])
    if (next === undefined) this.#lines.delete(held.key as string)
    else {
      this.#waiting.push(next)
      this.resume()
    }
  }
}

function insert({ rows }: Line, held: Held): void {
  const index = rows.findIndex(({ position }) => position > held.position)
  rows.splice(index === -1 ? rows.length : index, 0, held)
}
