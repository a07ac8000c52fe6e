/**
 * Floor 3. An endpoint of PostgreSQL: as a source it listens to channels or reads an outbox, as a target it notifies or
 * inserts. Each end has a connection of its own.
 */
import { abortable, within } from '../../deadline.ts'
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { Refusals } from '../common/refusals.ts'
import type { Element } from './arrays.ts'
import { Batcher } from './batcher.ts'
import { channelsOf } from './checks.ts'
import { createTable } from './create.ts'
import { plainError } from './failure.ts'
import { identifier } from './names.ts'
import type { PostgresOptions } from './options.ts'
import { Session } from './session.ts'
import { OutboxSource } from './source.ts'
import { describeTable } from './table.ts'
import { elementsOf, inserter, insertStatement, NOTIFIED, notifier, NOTIFY, type ToWrite, WRITTEN } from './writes.ts'

/** How long the end waits for the server to confirm that nothing more will come (milliseconds). */
const UNLISTEN_TIMEOUT = 500

/** All that writes over one connection. */
interface Writing {
  readonly session: Session
  readonly batcher: Batcher
  readonly toWrite: ToWrite
}

export class PostgresEndpoint extends Endpoint<PostgresOptions> {
  declare readonly counters: Endpoint['counters'] & {
    /** Rows that were settled in the table. */
    acknowledged: number
    /** Rows that the lanes rejected for now: they were handed in again. */
    rejected: number
    /** Rows that the lanes rejected for good: settled all the same. */
    letGo: number
    /** Statements that the server answered with an error. */
    refused: number
    /** Messages that the connection was lost under: written or not, nobody knows. */
    unanswered: number
  }
  readonly #directory: string
  readonly #channels: readonly string[]
  readonly #outbox: OutboxSource | undefined
  readonly #refusals = new Refusals(this.log, 'PostgreSQL refused what was sent')
  #reading: Session | undefined
  #writing: Writing | undefined
  #isQuiet = false

  constructor(context: EndpointContext<PostgresOptions>) {
    super(context)
    Object.assign(this.counters, { acknowledged: 0, rejected: 0, letGo: 0, refused: 0, unanswered: 0 })
    const { options, directory } = context
    this.#directory = directory
    this.#channels = channelsOf(options)
    const { outbox } = options
    if (outbox === undefined) return
    this.#outbox = new OutboxSource({
      options,
      outbox,
      mayGive: () => !this.suspended,
      message: (init) => this.message(init),
      give: (message, settle) => this.receive(message, settle),
      onSettled: (count) => (this.counters.acknowledged += count),
      onLetGo: () => this.counters.letGo++,
      onRejected: () => this.counters.rejected++,
      onUseless: this.#onUseless,
    })
  }

  override get gauges(): Record<string, number> {
    return { inFlight: this.#writing?.batcher.inFlight ?? 0, ...this.#outbox?.gauges }
  }

  /** Up means: what is there to write to can be written to; where a route begins here, everything is listened to. */
  protected override async connect(signal: AbortSignal): Promise<void> {
    const { source, target } = this.capabilities
    const isRead = source !== null && this.hasRoute
    const ends: Promise<void>[] = []
    // Where nothing else needs a connection, one says whether the server is there.
    if (isRead || target === null) ends.push(this.#connectSource(isRead, signal))
    if (target !== null) ends.push(this.#connectTarget(signal))
    try {
      await abortable(Promise.all(ends), signal)
    } catch (error) {
      throw plainError(error)
    }
  }

  async #connectSource(isRead: boolean, signal: AbortSignal): Promise<void> {
    const outbox = this.#outbox
    const session = this.#session(
      outbox === undefined
        ? (topic, payload) => this.receive(this.message({ topic, payload: Buffer.from(payload) }))
        : () => outbox.notify(),
    )
    this.#reading = session
    await session.open(signal)
    if (!isRead) return
    if (outbox !== undefined) await outbox.attach(session)
    else if (!this.#isQuiet) {
      await session.query(this.#channels.map((channel) => `LISTEN ${identifier(channel)}`).join(';'))
    }
  }

  async #connectTarget(signal: AbortSignal): Promise<void> {
    const session = this.#session()
    // At once, so that a disconnect meanwhile closes it.
    this.#writing = {
      session,
      batcher: this.#batcher(session, NOTIFY, NOTIFIED),
      toWrite: notifier(this.options, this.marshaller, this.name),
    }
    await session.open(signal)
    const { table: name, create, deduplicate } = this.options
    if (name === undefined) {
      await session.query(NOTIFY, [[], []])
      return
    }
    if (create) await createTable(session, name, this.options)
    const table = await describeTable(session, name, this.options, ['payload', ...WRITTEN])
    const statement = insertStatement(table, deduplicate)
    // Says now what is missing: a right, a unique index; and that the server writes.
    const elements = elementsOf(table)
    await session.query(
      statement,
      elements.map(() => []),
    )
    // Lost meanwhile: what is to come is of the next connection.
    if (!session.isOpen) throw new Error('the connection is not open')
    this.#writing = {
      session,
      batcher: this.#batcher(session, statement, elements),
      toWrite: inserter(table, this.marshaller, this.name),
    }
  }

  #session(onNotification?: (channel: string, payload: string) => void): Session {
    return new Session({
      options: this.options,
      directory: this.#directory,
      onLost: (error) => this.lost(error),
      ...(onNotification === undefined ? {} : { onNotification }),
    })
  }

  #batcher(session: Session, statement: string, elements: readonly Element[]): Batcher {
    return new Batcher({
      name: this.name,
      session,
      statement,
      elements,
      onRefused: (error) => {
        this.counters.refused++
        this.#refusals.add(error.message)
      },
      onUseless: this.#onUseless,
      onFull: () => this.saturated(true),
      onRoom: () => this.saturated(false),
    })
  }

  /** What comes from now on stays where it is; NOTIFY keeps nothing. */
  protected override async quiesce(): Promise<void> {
    this.#isQuiet = true
    if (this.#outbox !== undefined) await this.#outbox.quiesce()
    else if (this.#channels.length > 0) {
      await within(UNLISTEN_TIMEOUT, this.#reading?.query('UNLISTEN *')).catch(() => false)
    }
  }

  protected override async disconnect(): Promise<void> {
    const [reading, writing] = [this.#reading, this.#writing]
    this.#reading = this.#writing = undefined
    this.counters.unanswered += writing?.batcher.close() ?? 0
    await Promise.all([this.#outbox?.detach(this.state === 'closing'), writing?.session.close()])
    await reading?.close()
  }

  protected override resume(): void {
    this.#outbox?.resume()
  }

  override send(message: Message, settle?: Settle): void {
    if (this.capabilities.target === null || settle === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    const writing = this.#writing
    if (writing === undefined) throw new errors.CONNECTION_LOST(this.name)
    writing.batcher.add(writing.toWrite(message, settle))
  }

  /** The server is there, and of no use: a table, a column or a right is missing, it only reads. */
  readonly #onUseless = (error: unknown): void => this.lost(plainError(error))
}
