/**
 * Floor 3. Settles rows in the table: all that are done within a few milliseconds by one statement. What no answer came
 * for is settled again by the next connection: it may be said twice.
 */
import { idArrayOf } from './arrays.ts'
import type { Hands, Held } from './hands.ts'
import type { Session } from './session.ts'

/** Rows in one statement, at most. */
const MAX_ROWS = 1_000
/** How long the first of those that are settled together waits (milliseconds). */
const TOGETHER = 4

export interface SettlerInit {
  readonly hands: Hands
  /** They are settled: there is room again. Must not throw. */
  readonly onSettled: (count: number) => void
  /** The server refuses. Must not throw. */
  readonly onRefused: (error: unknown) => void
}

/** One connection's way to settle. */
interface Way {
  readonly session: Session
  /** Takes the ids as its parameter. */
  readonly statement: string
}

export class Settler {
  readonly #init: SettlerInit
  #way: Way | undefined
  /** Not sent, or no answer came. */
  #waiting: Held[] = []
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined

  constructor(init: SettlerInit) {
    this.#init = init
  }

  /** There is a connection: what waited is settled. */
  attach(session: Session, statement: string): void {
    this.#way = { session, statement }
    this.#flush()
  }

  /** That connection is over. Resolves when all that was done is settled, as far as it answers. */
  async detach(): Promise<void> {
    while (this.#way !== undefined && (this.#waiting.length > 0 || this.#sending !== undefined)) {
      this.#flush()
      await this.#sending
    }
    this.abandon()
  }

  /** That connection is lost. */
  abandon(): void {
    clearTimeout(this.#timer)
    this.#timer = this.#way = this.#sending = undefined
  }

  add(held: Held): void {
    this.#waiting.push(held)
    if (this.#sending === undefined) this.#timer ??= setTimeout(this.#flush, TOGETHER)
  }

  readonly #flush = (): void => {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#way === undefined || this.#sending !== undefined || this.#waiting.length === 0) return
    const rows = this.#waiting.slice(0, MAX_ROWS)
    this.#waiting = this.#waiting.slice(MAX_ROWS)
    this.#sending = this.#send(this.#way, rows)
  }

  async #send(way: Way, rows: readonly Held[]): Promise<void> {
    const { hands, onSettled, onRefused } = this.#init
    try {
      await way.session.query(way.statement, [idArrayOf(rows.map(({ id }) => id))], 'araldo-settle')
      for (const held of rows) hands.release(held)
    } catch (error) {
      this.#waiting.unshift(...rows)
      // What an old connection says is nothing to the new one.
      if (this.#way === way) {
        this.abandon()
        onRefused(error)
      }
      return
    }
    onSettled(rows.length)
    if (this.#way !== way) return
    this.#sending = undefined
    this.#flush()
  }
}
