/**
 * Floor 3. Reads an outbox over one connection, for as long as that lasts: woken by NOTIFY, and by the clock; and keeps
 * this relay's part of the table in balance with those of others.
 *
 * One read at a time, and none while the relay has no room for what it may bring.
 */
import { idArrayOf } from './arrays.ts'
import type { Hands } from './hands.ts'
import { type ReadRow, readRow, type ReadStatements } from './rows.ts'
import type { Session } from './session.ts'
import { SLOTS, type Slots } from './slots.ts'

export interface ReaderInit {
  readonly session: Session
  readonly slots: Slots
  readonly hands: Hands
  readonly statements: ReadStatements
  /** The table, as the config has it. */
  readonly name: string
  readonly batch: number
  /** Milliseconds. */
  readonly pollInterval: number
  /** Whether anything may come in at this moment; when it may again, {@link Reader.wake} is called. */
  readonly mayRead: () => boolean
  /** Takes a row in, which is not in hand. Must not throw. */
  readonly onRow: (row: ReadRow) => void
}

/** How often the slots are looked at, at most (milliseconds): whoever comes or goes is noticed by then. */
const BALANCE_INTERVAL = 1_000

export class Reader {
  readonly #init: ReaderInit
  #wake: (() => void) | undefined
  #isStopped = false
  /** There may be rows that the last read did not bring. */
  #isDue = true
  #pollAt = 0
  #balanceAt = 0
  /** Whether lanes wanted anything when the slots were looked at last. */
  #wanted = false

  constructor(init: ReaderInit) {
    this.#init = init
  }

  /**
   * Resolves when it was stopped.
   * @throws Error when the connection is lost, or of no use.
   */
  async run(): Promise<void> {
    const { mayRead, slots, pollInterval } = this.#init
    while (!this.#isStopped) {
      const now = performance.now()
      const wants = mayRead()
      if (now >= this.#balanceAt || (wants && !this.#wanted)) {
        this.#balanceAt = now + Math.min(BALANCE_INTERVAL, pollInterval)
        this.#wanted = wants
        if (await slots.balance(wants)) this.#isDue = true
      } else if (this.#mayReadNow(now)) await this.#read()
      else await this.#wait(this.#balanceAt - now)
    }
  }

  /** Reads no more. What is being read still comes in. */
  stop(): void {
    this.#isStopped = true
    this.wake()
  }

  /** There are new rows. */
  notify(): void {
    this.#isDue = true
    this.wake()
  }

  /** There may be room again, or leave to read. */
  wake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  #mayReadNow(now: number): boolean {
    const { mayRead, hands, batch, slots } = this.#init
    if (!(this.#isDue || now >= this.#pollAt) || !mayRead() || slots.count === 0) return false
    // Not one by one, as each is settled; but when nothing will be settled any more, at least one.
    const isRoomy = hands.room >= Math.min(batch, hands.bounds.messages) / 2 && hands.byteRoom >= hands.bounds.bytes / 4
    return isRoomy || hands.count === 0
  }

  async #read(): Promise<void> {
    const { session, slots, hands, statements, batch, pollInterval, onRow, name } = this.#init
    const { open } = slots
    this.#isDue = false
    this.#pollAt = performance.now() + pollInterval
    const count = Math.max(1, Math.min(batch, hands.room))
    const parameters = [idArrayOf(hands.ids), count, Math.max(1, hands.byteRoom)]
    const isWhole = open.length === SLOTS
    const rows = isWhole
      ? await session.query(statements.all, parameters, 'araldo-read')
      : await session.query(statements.some, [...parameters, open], 'araldo-read-some')
    let found = 0
    for (const row of rows) {
      const each = readRow(row, name)
      found = each.found
      if (!hands.has(each.id)) onRow(each)
    }
    // All that was asked for, or cut for its bytes: there is more.
    if (found === count || found > rows.length) this.#isDue = true
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.wake(), milliseconds)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
