/**
 * Floor 3. Writes on one connection that all streams of a server share: entries, and what consumers have to say of
 * theirs.
 *
 * What is written together leaves by one write (cork.ts). Every answer is awaited: how many are outstanding is what
 * bounds the messages in memory. A server that answers nothing for a while is not there.
 */
import { type Cluster, Redis } from 'ioredis'
import { errors } from '../../../errors.ts'
import { List } from '../../../list.ts'
import type { Settle } from '../../../types.ts'
import { isErrorReply } from '../client.ts'
import { Connection, type ConnectionInit } from '../connection.ts'
import { Cork } from '../../common/cork.ts'
import type { Sender } from '../sender.ts'
import { Add, type Adder, Addition, bytesOf, refusalOf } from './add.ts'

/** At most so many messages and bytes wait for an answer. */
const MAX_IN_FLIGHT = 10_000
const MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
/** An entry has no more bytes; and no field of one, where the server does not say otherwise. */
const MAX_ENTRY = 512 * 1024 * 1024
/** When no answer has come for so many milliseconds, though some are due, the connection is of no more use. */
const ANSWER_TIMEOUT = 8_000

export class Writer extends Connection implements Adder {
  readonly #inFlight = new List<Addition>()
  #inFlightBytes = 0
  readonly #cork = new Cork()
  /** Who was told that it is full. */
  readonly #waiting = new Set<Sender>()
  #watch: NodeJS.Timeout | undefined
  #answeredAt = 0
  /** Bytes that one field may have: the server closes the connection of who sends more. */
  #maxField = MAX_ENTRY
  #learning: Promise<void> | undefined

  constructor(init: ConnectionInit) {
    super('writer', init)
  }

  /** Entries that no answer has come for. */
  get inFlight(): number {
    return this.#inFlight.size
  }

  protected override attach(): void {}

  /** What no answer has come for is told so. */
  protected override detach(): void {
    clearTimeout(this.#watch)
    for (const addition of this.#inFlight.items()) this.#lose(addition)
  }

  /**
   * Writes an entry; `settle` is called when the server has answered, or the connection is lost.
   * @throws ARALDO_ERR_CONNECTION_LOST, ARALDO_ERR_OVERFLOW, ARALDO_ERR_TOO_LARGE.
   */
  add(
    stream: string,
    trim: readonly string[],
    fields: readonly (string | Buffer)[],
    sender: Sender,
    settle: Settle,
  ): void {
    const { client } = this
    if (client?.status !== 'ready') throw new errors.CONNECTION_LOST(sender.name)
    if (this.#isFull) {
      this.#tellFull(sender)
      throw new errors.OVERFLOW(sender.name, this.#inFlight.size)
    }
    const bytes = bytesOf(fields)
    if (bytes > this.#maxField) this.#requireFit(fields, bytes, sender)
    const addition = new Addition({ stream, trim, fields, bytes, sender, settle })
    if (this.#inFlight.size === 0) this.#startWatch()
    this.#inFlight.add(addition)
    this.#inFlightBytes += bytes
    if (client instanceof Redis) {
      this.#cork.hold(client.stream)
      void client.sendCommand(new Add(addition, this))
    } else this.#addPlain(client, addition)
    if (this.#isFull) this.#tellFull(sender)
  }

  /** Resolves when the server has said, or may not say, how large a field may be. Once for each connection. */
  learnBounds(): Promise<void> {
    return (this.#learning ??= this.#learnBounds())
  }

  async #learnBounds(): Promise<void> {
    const name = 'proto-max-bulk-len'
    try {
      const answer = (await this.command('CONFIG', 'GET', name)) as readonly unknown[]
      const bytes = Number(answer[1])
      if (bytes > 0) this.#maxField = Math.min(bytes, MAX_ENTRY)
    } catch (error) {
      // Many users may not ask, and many services do not tell.
      if (!isErrorReply(error)) throw error
    }
  }

  #requireFit(fields: readonly (string | Buffer)[], bytes: number, sender: Sender): void {
    for (const field of fields) {
      const length = bytesOf([field])
      if (length > this.#maxField) throw new errors.TOO_LARGE(sender.name, this.#maxField, length)
    }
    if (bytes > MAX_ENTRY) throw new errors.TOO_LARGE(sender.name, MAX_ENTRY, bytes)
  }

  /** What this one has sent and no answer has come for is told so: it waits no longer. */
  abandon(sender: Sender): void {
    for (const addition of this.#inFlight.items()) if (addition.init.sender === sender) this.#lose(addition)
    this.#waiting.delete(sender)
  }

  /**
   * Any command; resolves with its answer. Does not wait for the connection.
   * @throws Error with the server's words, or why there is no answer.
   */
  async command(name: string, ...parameters: (string | number)[]): Promise<unknown> {
    const { client } = this
    if (client?.status !== 'ready') throw new Error('the connection is not open')
    return client.call(name, ...parameters)
  }

  answered(addition: Addition, error: unknown): void {
    this.#answeredAt = performance.now()
    // Whoever was told that the connection is lost hears no more.
    if (!this.#forget(addition)) return
    const { sender, settle, stream } = addition.init
    if (error === undefined) settle(null)
    else if (isErrorReply(error)) {
      sender.onRefused(error)
      settle(refusalOf(error, sender.name, stream))
    } else {
      sender.onUnanswered()
      settle(new errors.CONNECTION_LOST(sender.name, { cause: error }))
    }
    if (this.#waiting.size > 0) this.#tellRoom()
  }

  #lose(addition: Addition): void {
    if (!this.#forget(addition)) return
    const { sender, settle } = addition.init
    sender.onUnanswered()
    settle(new errors.CONNECTION_LOST(sender.name))
  }

  #forget(addition: Addition): boolean {
    if (!this.#inFlight.delete(addition)) return false
    this.#inFlightBytes -= addition.init.bytes
    return true
  }

  get #isFull(): boolean {
    return this.#inFlight.size >= MAX_IN_FLIGHT || this.#inFlightBytes >= MAX_IN_FLIGHT_BYTES
  }

  #tellFull(sender: Sender): void {
    this.#waiting.add(sender)
    sender.onFull()
  }

  /** Half of it must be answered, so that nobody is woken up for every single answer. */
  #tellRoom(): void {
    if (this.#inFlight.size > MAX_IN_FLIGHT / 2 || this.#inFlightBytes > MAX_IN_FLIGHT_BYTES / 2) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const sender of waiting) sender.onRoom()
  }

  /** From now on, answers are due. */
  #startWatch(): void {
    this.#answeredAt = performance.now()
    this.#watch ??= setTimeout(this.#look, ANSWER_TIMEOUT)
  }

  readonly #look = (): void => {
    this.#watch = undefined
    if (this.#inFlight.size === 0) return
    const left = this.#answeredAt + ANSWER_TIMEOUT - performance.now()
    if (left > 0) this.#watch = setTimeout(this.#look, left)
    else this.fail(new Error(`no answer within ${ANSWER_TIMEOUT} ms`))
  }

  /** For a cluster, which knows where to; and for an ioredis of the application's that is not ours. */
  #addPlain(client: Cluster, addition: Addition): void {
    const { stream, trim, fields } = addition.init
    client.call('XADD', stream, ...trim, '*', ...fields).then(
      () => this.answered(addition, undefined),
      (error: unknown) => this.answered(addition, error ?? new Error('no reason given')),
    )
  }
}
