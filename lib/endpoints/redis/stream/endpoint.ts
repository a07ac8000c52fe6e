/**
 * Floor 3. An endpoint of Redis Streams: a consumer of a group as a source, XADD as a target.
 *
 * As a source it acknowledges an entry (XACK) when every required lane is done with its message, and not before. What it
 * has read and not acknowledged stays its own through a lost connection; after a restart Redis gives it out again.
 */
import { hostname } from 'node:os'
import { abortable, within } from '../../../deadline.ts'
import type { EndpointContext } from '../../../endpoint.ts'
import { errors } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import type { Settle } from '../../../types.ts'
import { Intake } from '../../common/intake.ts'
import type { Lease, Shared } from '../../common/shared.ts'
import { type OpenClient, plainError } from '../client.ts'
import { SendingEndpoint } from '../sender.ts'
import { Acks } from './acks.ts'
import { streamsOf } from './checks.ts'
import { Consumer } from './consumer.ts'
import { contentOf, fieldsOf } from './fields.ts'
import { Groups } from './groups.ts'
import { Hands, Held } from './hands.ts'
import { Keeper } from './keeper.ts'
import { DEFAULT_MAX_PENDING, type StreamOptions } from './options.ts'
import { BLOCK, Reader } from './reader.ts'
import { topicOf } from './topic.ts'
import type { Writer } from './writer.ts'

/** How long the end waits for the last acknowledgements (milliseconds). */
const ACK_TIMEOUT = 500

/** What endpoints of one server have in common, and how each gets a connection of its own. */
export interface StreamServer {
  readonly writer: Shared<Writer>
  readonly open: OpenClient
}

/** All that reads over one connection. */
interface Reading {
  readonly reader: Reader
  readonly consumer: Consumer
  readonly keeper: Keeper
  /** Settles when the consumer has stopped. */
  readonly ended: Promise<void>
}

export class StreamEndpoint extends SendingEndpoint<StreamOptions> {
  declare readonly counters: SendingEndpoint<StreamOptions>['counters'] & {
    /** Entries that Redis has been told are done. */
    acknowledged: number
    /** Entries that the lanes rejected for now: they were handed in again. */
    rejected: number
    /** Entries that the lanes rejected for good: acknowledged all the same. */
    letGo: number
    /** Entries that were taken over from other consumers. */
    claimed: number
    /** Entries that were pending when they were trimmed away: nobody has their content. */
    trimmed: number
    /** Groups that were gone, and were made anew. */
    regrouped: number
  }
  readonly #server: StreamServer
  readonly #streams: readonly string[]
  readonly #topicOf: ((message: Message) => string) | undefined
  readonly #consumerName: string
  readonly #hands: Hands
  readonly #acks: Acks
  readonly #intake: Intake<Held>
  readonly #groups: Groups
  #writer: Lease<Writer> | undefined
  #reading: Reading | undefined
  #isQuiet = false

  constructor(context: EndpointContext<StreamOptions>, server: StreamServer) {
    super(context)
    Object.assign(this.counters, { acknowledged: 0, rejected: 0, letGo: 0, claimed: 0, trimmed: 0, regrouped: 0 })
    const { options, name } = context
    const { group, start } = options
    this.#server = server
    this.#streams = streamsOf(options)
    this.#topicOf = topicOf(options, name)
    this.#consumerName = options.consumer ?? `${hostname()}-${name}`
    this.#hands = new Hands({ ...DEFAULT_MAX_PENDING, ...options['max-pending'] })
    this.#groups = new Groups(group, start)
    this.#acks = new Acks({
      hands: this.#hands,
      group,
      onAcknowledged: (count) => {
        this.counters.acknowledged += count
        this.#reading?.consumer.wake()
      },
      onRefused: this.#onUseless,
    })
    this.#intake = new Intake<Held>({
      mayGive: () => !this.suspended,
      give: (message, settle) => this.receive(message, settle),
      onSettled: (held, error) => this.#onSettled(held, error),
      onRejected: () => {
        this.counters.rejected++
        return true
      },
      onReleased: (held) => this.#hands.release(held),
    })
  }

  override get gauges(): Record<string, number> {
    const { count, bytes } = this.#hands
    return { inFlight: this.#writer?.connection.inFlight ?? 0, pending: count, pendingBytes: bytes }
  }

  /** Up means: the writing connection is ready; where a route begins here, every stream has its group and is read. */
  protected override async connect(signal: AbortSignal): Promise<void> {
    const onLost = (error: Error): void => this.lost(error)
    const { connection: writer } = (this.#writer = this.#server.writer.hold(onLost))
    const isRead = this.hasRoute && this.#streams.length > 0
    const pingInterval = this.options['ping-interval']
    const reader = isRead && !this.#isQuiet ? new Reader({ open: this.#server.open, pingInterval, onLost }) : undefined
    try {
      await abortable(Promise.all([writer.open(), reader?.open()]), signal)
      await abortable(writer.learnBounds(), signal)
      if (isRead) await abortable(this.#groups.make(writer, this.#streams), signal)
    } catch (error) {
      void reader?.close()
      throw plainError(error)
    }
    this.#acks.attach(writer)
    if (reader !== undefined) this.#reading = this.#read(reader, writer)
  }

  #read(reader: Reader, writer: Writer): Reading {
    const { group, batch, 'claim-after': claimAfter } = this.options
    const [hands, consumerName] = [this.#hands, this.#consumerName]
    const consumer = new Consumer({
      reader,
      writer,
      groups: this.#groups,
      hands,
      streams: this.#streams,
      group,
      consumer: consumerName,
      claimAfter,
      batch,
      mayRead: () => !this.suspended,
      onEntry: (stream, id, fields) => this.#onEntry(stream, id, fields),
      onGone: (stream, id) => this.#onGone(stream, id),
      onClaimed: (count, lost) => {
        this.counters.claimed += count
        this.counters.trimmed += lost
      },
      onRemade: (streams) => this.#onRemade(streams),
    })
    const keeper = new Keeper({ hands, writer, group, claimAfter, consumer: consumerName, onRefused: this.#onUseless })
    const ended = consumer.run().catch((error: unknown) => {
      if (this.#reading?.consumer === consumer) this.#onUseless(error)
    })
    return { reader, consumer, keeper, ended }
  }

  /** The read that is under way may bring something yet: that comes in. What waits for the lanes stays in Redis. */
  protected override async quiesce(): Promise<void> {
    this.#isQuiet = true
    const reading = this.#reading
    if (reading !== undefined) {
      reading.consumer.stop()
      // Past that the server does not answer.
      await within(BLOCK * 1.5, reading.ended)
      void reading.reader.close()
    }
    this.#intake.close()
  }

  protected override async disconnect(): Promise<void> {
    const [writer, reading] = [this.#writer, this.#reading]
    this.#writer = this.#reading = undefined
    reading?.consumer.stop()
    reading?.keeper.close()
    if (this.state === 'closing') this.#intake.close()
    const closing = reading?.reader.close()
    await within(ACK_TIMEOUT, this.#acks.detach())
    writer?.connection.abandon(this)
    await Promise.all([writer?.release(), closing])
  }

  protected override suspend(): void {}

  protected override resume(): void {
    this.#intake.resume()
    this.#reading?.consumer.wake()
  }

  override send(message: Message, settle?: Settle): void {
    if (this.#topicOf === undefined || settle === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    const writer = this.#writer?.connection
    if (writer === undefined) throw new errors.CONNECTION_LOST(this.name)
    const payload = message.encode(this.marshaller)
    const fields = fieldsOf(message, payload, this.options['payload-field'])
    writer.add(this.#topicOf(message), this.#trim(), fields, this, settle)
  }

  #trim(): readonly string[] {
    const { 'max-length': maxLength, 'max-age': maxAge } = this.options
    if (maxLength !== undefined) return ['MAXLEN', '~', String(maxLength)]
    return maxAge === undefined ? [] : ['MINID', '~', String(Math.max(0, Date.now() - maxAge))]
  }

  #onSettled(held: Held, error: Error | null): void {
    if (error !== null) this.counters.letGo++
    const { isHeld } = held
    this.#hands.lighten(held)
    held.message = undefined
    if (isHeld) this.#acks.add(held)
  }

  #onEntry(stream: string, id: string, fields: readonly Buffer[]): number {
    const { payload, key, headers, id: ownId, time } = contentOf(fields, this.options['payload-field'])
    const message = this.message({
      topic: stream,
      payload,
      key,
      headers,
      id: ownId ?? `${stream}:${id}`,
      // An entry's id begins with the time at which it was written, unless its writer has made up another.
      time: time ?? Number.parseInt(id, 10),
    })
    let size = 0
    for (const field of fields) size += field.length
    const held = new Held(stream, id, message, size)
    this.#hands.take(held)
    this.#intake.push(held)
    return size
  }

  #onGone(stream: string, id: string): void {
    this.counters.trimmed++
    const held = new Held(stream, id, undefined, 0)
    this.#hands.take(held)
    this.#acks.add(held)
  }

  #onRemade(streams: readonly string[]): void {
    this.counters.regrouped += streams.length
    this.log.warn({ streams, group: this.options.group }, 'the group was gone, and was made anew')
    for (const stream of streams) this.#hands.forget(stream)
  }

  /** The server is there, and of no use: a right is missing, it is a replica, it is loading its data. */
  readonly #onUseless = (error: unknown): void => this.lost(plainError(error))
}
