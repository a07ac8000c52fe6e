/**
 * Floor 3. All that one life of an endpoint's link consists of. Reading and publishing have a connection each: the broker
 * stops reading from a connection that publishes while its memory or disk is short, and acknowledgements would wait, too.
 */
import { type AmqpOptions } from './options.ts'
import { Connection } from './connection.ts'
import { Publisher, type PublisherInit } from './publisher.ts'
import { Reading, type ReadingInit } from './reading.ts'
import { plainError } from './reasons.ts'
import { prepare } from './topology.ts'

export interface SessionInit {
  readonly options: AmqpOptions
  readonly directory: string
  /** What the broker's lists show. */
  readonly name: string
  /** Undefined where nothing is read. */
  readonly reading: Omit<ReadingInit, 'channel' | 'onCancelled'> | undefined
  /** Undefined where nothing is published. */
  readonly publisher: Omit<PublisherInit, 'channel' | 'onOverdue'> | undefined
  /** Called once, unless {@link Session.close} was called before. */
  readonly onLost: (error: Error) => void
}

export class Session {
  readonly #init: SessionInit
  readonly #connections: Connection[] = []
  #publisher: Publisher | undefined
  #reading: Reading | undefined
  #isEnded = false

  constructor(init: SessionInit) {
    this.#init = init
  }

  get publisher(): Publisher | undefined {
    return this.#publisher
  }

  get reading(): Reading | undefined {
    return this.#reading
  }

  /** Resolves when messages can go both ways. @throws Error with the reason in words. */
  async open(): Promise<void> {
    const { options, reading, publisher } = this.#init
    try {
      // What is to be made or looked for concerns both ends: once, before either.
      const first = await this.#connect()
      const channel = await first.createChannel()
      await prepare(channel, options, reading !== undefined)
      await channel.close()
      if (publisher !== undefined) await this.#publish(first, publisher)
      if (reading !== undefined) await this.#read(publisher === undefined ? first : await this.#connect(), reading)
    } catch (error) {
      throw plainError(error)
    }
  }

  /** In order: what was published and settled before reaches the broker, if that answers. Never rejects. */
  async close(): Promise<void> {
    this.#isEnded = true
    this.#publisher?.flush()
    this.#reading?.flush()
    await Promise.all(this.#connections.map((connection) => connection.close()))
    this.#abandon()
  }

  async #connect(): Promise<Connection> {
    const { options, directory, name } = this.#init
    const connection = new Connection({ options, directory, name, onLost: this.#onLost })
    this.#connections.push(connection)
    await connection.open()
    // Whoever ended it meanwhile has not waited for this.
    if (this.#isEnded) await connection.close()
    return connection
  }

  async #publish(connection: Connection, init: Omit<PublisherInit, 'channel' | 'onOverdue'>): Promise<void> {
    const channel = await connection.createConfirmChannel()
    const publisher = new Publisher({ ...init, channel, onOverdue: connection.fail })
    connection.watch(channel)
    connection.listenBlocked((isBlocked) => publisher.block(isBlocked))
    this.#publisher = publisher
  }

  async #read(connection: Connection, init: Omit<ReadingInit, 'channel' | 'onCancelled'>): Promise<void> {
    const channel = await connection.createChannel()
    const reading = new Reading({ ...init, channel, onCancelled: connection.fail })
    this.#reading = reading
    await reading.start()
    connection.watch(channel)
  }

  readonly #onLost = (error: Error): void => {
    if (this.#isEnded) return
    this.#init.onLost(error)
    this.#abandon()
  }

  #abandon(): void {
    this.#publisher?.close()
    this.#reading?.abandon()
  }
}
