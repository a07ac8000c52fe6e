/**
 * Floor 3. An outbox as a source: what is in hand outlives connections; what reads, settles and holds slots is of one
 * connection each.
 */
import { within } from '../../deadline.ts'
import type { Message, MessageInit } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { Intake } from '../common/intake.ts'
import { wakeChannelOf } from './checks.ts'
import { createTable } from './create.ts'
import { Hands, Held } from './hands.ts'
import { identifier } from './names.ts'
import { DEFAULT_MAX_PENDING, type PostgresOptions } from './options.ts'
import { Reader } from './reader.ts'
import { readStatements, type ReadRow } from './rows.ts'
import type { Session } from './session.ts'
import { Settler } from './settler.ts'
import { Slots } from './slots.ts'
import { describeTable } from './table.ts'

/** How long the end waits for the last read, and for rows to be settled (milliseconds). */
const END_TIMEOUT = 500

export interface SourceInit {
  readonly options: PostgresOptions
  readonly outbox: string
  readonly mayGive: () => boolean
  readonly message: (init: Omit<MessageInit, 'source' | 'marshaller'>) => Message
  readonly give: (message: Message, settle: Settle) => void
  readonly onSettled: (count: number) => void
  readonly onLetGo: () => void
  readonly onRejected: () => void
  /** The server is there, and of no use. Must not throw. */
  readonly onUseless: (error: unknown) => void
}

/** All that reads over one connection. */
interface Reading {
  readonly session: Session
  readonly reader: Reader
  /** Settles when the reader has stopped. */
  readonly ended: Promise<void>
}

export class OutboxSource {
  readonly #init: SourceInit
  readonly #hands: Hands
  readonly #settler: Settler
  readonly #intake: Intake<Held>
  #reading: Reading | undefined
  #slots: Slots | undefined
  #isQuiet = false

  constructor(init: SourceInit) {
    this.#init = init
    this.#hands = new Hands({ ...DEFAULT_MAX_PENDING, ...init.options['max-pending'] })
    this.#settler = new Settler({
      hands: this.#hands,
      onSettled: (count) => {
        init.onSettled(count)
        this.#reading?.reader.wake()
      },
      onRefused: init.onUseless,
    })
    this.#intake = new Intake<Held>({
      mayGive: init.mayGive,
      give: init.give,
      onSettled: (held, error) => {
        if (error !== null) init.onLetGo()
        this.#hands.lighten(held)
        this.#settler.add(held)
      },
      onRejected: () => {
        init.onRejected()
        return true
      },
      onReleased: (held) => this.#hands.release(held),
    })
  }

  /** Rows in hand, their bytes, and slots that are held. */
  get gauges(): Record<string, number> {
    return { pending: this.#hands.count, pendingBytes: this.#hands.bytes, slots: this.#slots?.count ?? 0 }
  }

  /**
   * Resolves when rows can come in.
   * @throws Error that says what is missing.
   */
  async attach(session: Session): Promise<void> {
    const { options, outbox } = this.#init
    const marks = options['on-settled'] === 'mark'
    const wakeChannel = wakeChannelOf(options)
    if (options.create) await createTable(session, outbox, options)
    const parts = ['id', 'payload', 'key', 'topic', 'headers', 'message-id', 'time'] as const
    const table = await describeTable(session, outbox, options, marks ? [...parts, 'settled'] : parts)
    const statements = readStatements(table, marks)
    // Says now what is missing: a column, a right, an index' column; and that the server writes.
    await session.query(statements.all, [[], 0, 0])
    await session.query(statements.settle, [[]])
    await session.query(`LISTEN ${identifier(wakeChannel)}`)
    const slots = await Slots.of(session, this.#hands, table.id)
    const reader = new Reader({
      session,
      slots,
      hands: this.#hands,
      statements,
      name: outbox,
      batch: options.batch,
      pollInterval: options['poll-interval'],
      mayRead: this.#init.mayGive,
      onRow: (row) => this.#onRow(row),
    })
    // Lost meanwhile: what is to come is of the next connection.
    if (!session.isOpen) throw new Error('the connection is not open')
    this.#settler.attach(session, statements.settle)
    if (this.#isQuiet) return
    this.#slots = slots
    const ended = reader.run().catch((error: unknown) => {
      if (this.#reading?.reader === reader) this.#init.onUseless(error)
    })
    this.#reading = { session, reader, ended }
  }

  /** There are new rows. */
  notify(): void {
    this.#reading?.reader.notify()
  }

  resume(): void {
    this.#intake.resume()
    this.#reading?.reader.wake()
  }

  /** Takes nothing new in; what is in hand can still be settled. */
  async quiesce(): Promise<void> {
    this.#isQuiet = true
    this.#reading?.reader.stop()
    // Past that the server does not answer.
    await within(END_TIMEOUT, this.#reading?.ended)
    this.#intake.close()
  }

  /** The connection is over. */
  async detach(isClosing: boolean): Promise<void> {
    this.#reading?.reader.stop()
    this.#reading = this.#slots = undefined
    if (isClosing) this.#intake.close()
    await within(END_TIMEOUT, this.#settler.detach())
    this.#settler.abandon()
  }

  #onRow({ id, slot, size, content }: ReadRow): void {
    const message = this.#init.message(content)
    const held = new Held(id, slot, message, size)
    this.#hands.take(held)
    this.#intake.push(held)
  }
}
