/**
 * Floor 3. An endpoint of NATS JetStream: a durable pull consumer as a source, a publisher as a target.
 *
 * As a source it acknowledges a message when every required lane is done with it, and not before. What it has and has
 * not acknowledged stays its own through a lost connection; after a restart the server brings it again.
 */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import type { Msg, PermissionViolationError } from '@nats-io/transport-node'
import { abortable, within } from '../../../deadline.ts'
import { Endpoint, type EndpointContext } from '../../../endpoint.ts'
import { errors } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import { delayAfter } from '../../../retry.ts'
import type { Settle } from '../../../types.ts'
import { type Attributes, NO_ATTRIBUTES } from '../../common/attributes.ts'
import { Intake, RETRY } from '../../common/intake.ts'
import { Refusals } from '../../common/refusals.ts'
import { bufferOf } from '../bytes.ts'
import { type Connection, openConnection } from '../connection.ts'
import { attributesIn, blockOf, line } from '../headers.ts'
import { compileTopic } from '../subject.ts'
import { ACK, Acks, nak, TERM } from './acks.ts'
import { deliveryOf } from './delivery.ts'
import { Hands, Held } from './hands.ts'
import { Keeper } from './keeper.ts'
import type { JetStreamOptions } from './options.ts'
import { type Place, requireConsumer, requireStream } from './provision.ts'
import { Publisher } from './publisher.ts'
import { Puller } from './puller.ts'

/** How long the end waits for the last acknowledgements, and for what is under way to come (milliseconds). */
const ACK_TIMEOUT = 500
const DRAIN_TIMEOUT = 1_000
/** One request to JetStream's API (milliseconds). */
const API_TIMEOUT = 5_000
const MESSAGE_ID = 'Nats-Msg-Id'

/** All that reads over one connection. */
interface Reading {
  readonly puller: Puller
  readonly keeper: Keeper
}

export class JetStreamEndpoint extends Endpoint<JetStreamOptions> {
  declare readonly counters: Endpoint['counters'] & {
    /** Messages that the server has been told are done. */
    acknowledged: number
    /** Messages that the lanes rejected for now: the server brings them again. */
    rejected: number
    /** Messages that the lanes rejected for good: the server was told so. */
    letGo: number
    /** Messages that the server brought again. */
    redelivered: number
    /** Consumers that were gone, and were made anew. */
    remade: number
    /** Messages whose headers could not be read: they came in without them. */
    headerErrors: number
    /** Messages that were answered with an error. */
    refused: number
    /** Messages that no answer came for: stored or not, nobody knows. */
    unanswered: number
    /** Messages that the stream had already. */
    duplicates: number
  }
  readonly #directory: string
  readonly #durable: string
  readonly #topicOf: ((message: Message) => string) | undefined
  readonly #hands: Hands
  readonly #acks: Acks
  readonly #intake: Intake<Held>
  readonly #refusals = new Refusals(this.log, 'JetStream refused what was published')
  #connection: Connection | undefined
  #publisher: Publisher | undefined
  #reading: Reading | undefined
  #place: Place | undefined
  #isQuiet = false
  /** Who cannot take more: the socket, the stream. */
  readonly #full = new Set<'connection' | 'publisher'>()

  constructor(context: EndpointContext<JetStreamOptions>) {
    super(context)
    const own = { acknowledged: 0, rejected: 0, letGo: 0, redelivered: 0, remade: 0, headerErrors: 0 }
    Object.assign(this.counters, own, { refused: 0, unanswered: 0, duplicates: 0 })
    const { name, options, directory } = context
    const { topic, durable = `araldo-${name.replaceAll('.', '=')}` } = options
    this.#directory = directory
    this.#durable = durable
    this.#topicOf = topic === undefined ? undefined : compileTopic(topic, name, options['allow-reserved'])
    this.#hands = new Hands({ messages: options['max-ack-pending'], bytes: options['max-pending-bytes'] })
    this.#acks = new Acks({
      hands: this.#hands,
      onAcknowledged: (count) => {
        this.counters.acknowledged += count
        this.#reading?.puller.wake()
      },
    })
    this.#intake = new Intake<Held>({
      mayGive: () => !this.suspended,
      give: (message, settle) => this.receive(message, settle),
      onSettled: (held, error) => this.#onSettled(held, error),
      // The server brings it again.
      onRejected: (held) => {
        this.#giveBack(held, Math.max(1, delayAfter(held.deliveries, RETRY)))
        return false
      },
      onReleased: (held) => this.#giveBack(held, 0),
    })
  }

  override get gauges(): Record<string, number> {
    const { count, bytes } = this.#hands
    return { inFlight: this.#publisher?.inFlight ?? 0, pending: count, pendingBytes: bytes }
  }

  /** Up means: logged in; the stream is there, where one is named; where a route begins here, its consumer, too. */
  protected override async connect(signal: AbortSignal): Promise<void> {
    this.#full.clear()
    const connection = await openConnection(
      {
        options: this.options,
        directory: this.#directory,
        name: this.name,
        echo: true,
        onLost: (error) => this.lost(error),
        onRefused: (error) => this.#onDenied(error),
        onFull: () => this.#saturate('connection', true),
        onRoom: () => this.#saturate('connection', false),
      },
      signal,
    )
    this.#connection = connection
    if (connection.info.headers !== true)
      throw new Error('the server knows no headers (it is older than 2.2): update it')
    if (this.#topicOf !== undefined) this.#publisher = this.#publish(connection)
    const place = await abortable(this.#provision(connection), signal)
    await abortable(connection.flush(), signal)
    if (place !== undefined) this.#reading = this.#read(connection, place)
  }

  /** @returns where to read; undefined where nothing is read. */
  async #provision(connection: Connection): Promise<Place | undefined> {
    const { stream, domain } = this.options
    if (stream === undefined) return undefined
    const settings = { checkAPI: false, timeout: API_TIMEOUT, ...(domain === undefined ? {} : { domain }) }
    const manager: JetStreamManager = await jetstreamManager(connection.client, settings)
    const info = await requireStream(manager, stream, this.options)
    if (!this.hasRoute || this.#isQuiet) return undefined
    const before = this.#place
    const isNew = before !== undefined && before.streamId !== info.created
    if (isNew) this.#hands.forget()
    const place = await requireConsumer(manager, info, this.#durable, this.options, this.#hands.first)
    if (before !== undefined && before.consumerId !== place.consumerId) {
      this.counters.remade++
      this.log.warn({ stream, durable: this.#durable }, 'the consumer is another one than before')
    }
    this.#place = place
    return place
  }

  #read(connection: Connection, { ackWait, maxAckPending, maxBatch = Infinity }: Place): Reading {
    const { stream = '', batch, domain } = this.options
    const prefix = `$JS.${domain === undefined ? '' : `${domain}.`}API.CONSUMER`
    const keeper = new Keeper(connection, this.#hands, ackWait)
    const puller = new Puller({
      connection,
      subject: `${prefix}.MSG.NEXT.${stream}.${this.#durable}`,
      infoSubject: `${prefix}.INFO.${stream}.${this.#durable}`,
      hands: this.#hands,
      batch: Math.min(batch, maxBatch),
      mayPull: () => !this.suspended,
      onMessage: (message) => this.#onMessage(message),
      onBroken: (error) => this.lost(error),
    })
    this.#acks.attach(connection, maxAckPending)
    keeper.start()
    puller.start()
    return { puller, keeper }
  }

  #publish(connection: Connection): Publisher {
    const publisher = new Publisher({
      connection,
      name: this.name,
      onRefused: (reason) => {
        this.counters.refused++
        this.#refusals.add(reason)
      },
      onUnanswered: () => this.counters.unanswered++,
      onDuplicate: () => this.counters.duplicates++,
      onBroken: (error) => this.lost(error),
      onFull: () => this.#saturate('publisher', true),
      onRoom: () => this.#saturate('publisher', false),
    })
    publisher.start()
    return publisher
  }

  /** What the server has sent before it knows comes in. What waits for the lanes goes back at once. */
  protected override async quiesce(): Promise<void> {
    this.#isQuiet = true
    await within(DRAIN_TIMEOUT, this.#reading?.puller.stop())
    this.#intake.close()
  }

  protected override async disconnect(): Promise<void> {
    const [connection, publisher, reading] = [this.#connection, this.#publisher, this.#reading]
    reading?.keeper.close()
    const stopped = reading?.puller.stop()
    const isOpen = connection?.isOver === false
    if (isOpen) await within(ACK_TIMEOUT, stopped)
    const isEnd = this.state === 'closing'
    if (isEnd) this.#giveAllBack()
    const told = this.#acks.detach()
    this.#connection = this.#publisher = this.#reading = undefined
    if (isOpen) await within(ACK_TIMEOUT, told)
    await connection?.close(isEnd)
    publisher?.abandon(new errors.CONNECTION_LOST(this.name))
  }

  protected override suspend(): void {}

  protected override resume(): void {
    this.#intake.resume()
    this.#reading?.puller.wake()
  }

  override send(message: Message, settle?: Settle): void {
    if (this.#topicOf === undefined || settle === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    const [connection, publisher] = [this.#connection, this.#publisher]
    if (connection === undefined || publisher === undefined || connection.isOver) {
      throw new errors.CONNECTION_LOST(this.name)
    }
    const subject = this.#topicOf(message)
    const payload = message.encode(this.marshaller)
    // One message may go to several subjects of one stream, and be one of each.
    const id = this.options.deduplicate ? line(MESSAGE_ID, `${message.id}@${subject}`, this.name) : ''
    const block = blockOf(message, this.marshaller, this.name, id)
    const size = payload.length + block.length
    const { max_payload: limit } = connection.info
    if (size > limit) throw new errors.TOO_LARGE(this.name, limit, size)
    publisher.publish(subject, payload, block, settle)
  }

  #onMessage(message: Msg): number {
    const reply = message.reply ?? ''
    const delivery = deliveryOf(reply)
    if (delivery === undefined) return 0
    const { seq, deliveries, time } = delivery
    if (deliveries > 1) this.counters.redelivered++
    const there = this.#hands.get(seq)
    if (there !== undefined) {
      there.reply = reply
      there.deliveries = deliveries
      there.toldAt = performance.now()
      this.#acks.repeat(there)
      return 0
    }
    const payload = bufferOf(message.data)
    const { id, key, headers, time: ownTime } = this.#contentOf(message)
    const made = this.message({
      topic: message.subject,
      payload,
      key,
      headers,
      id: id ?? this.#idIn(message) ?? `${this.options.stream}:${seq}`,
      time: ownTime ?? time,
    })
    const size = payload.length + message.subject.length + reply.length
    const held = new Held(seq, reply, deliveries, made, size)
    this.#hands.take(held)
    this.#intake.push(held)
    return size
  }

  #contentOf(message: Msg): Attributes {
    try {
      return attributesIn(message)
    } catch {
      this.counters.headerErrors++
      return NO_ATTRIBUTES
    }
  }

  #idIn(message: Msg): string | undefined {
    try {
      const id = message.headers?.get(MESSAGE_ID)
      return id === '' ? undefined : id
    } catch {
      return undefined
    }
  }

  #onSettled(held: Held, error: Error | null): void {
    if (error !== null) this.counters.letGo++
    this.#hands.lighten(held)
    if (this.#hands.isHeld(held)) this.#acks.add(held, error === null ? ACK : TERM)
  }

  /** @param delay after which the server is to bring it again, to whichever relay (milliseconds). */
  #giveBack(held: Held, delay: number): void {
    held.message = undefined
    if (!this.#hands.isHeld(held)) return
    this.#hands.giveBack(held)
    this.counters.rejected++
    const { reply } = held
    const connection = this.#connection
    // Without one, the server brings it again when its time is over.
    if (connection?.isOver === false) connection.publish(reply, nak(delay))
    this.#reading?.puller.wake()
  }

  /** The end: what no lane has settled goes back at once, and not after `ack-wait`. */
  #giveAllBack(): void {
    this.#intake.close()
    for (const held of this.#hands.all()) {
      if (held.message === undefined) continue
      held.message = undefined
      this.#hands.giveBack(held)
      if (this.#connection?.isOver === false) this.#connection.publish(held.reply, nak())
    }
  }

  #onDenied({ operation, subject, message }: PermissionViolationError): void {
    if (operation === 'publish') this.#publisher?.refuse(subject, message)
  }

  #saturate(who: 'connection' | 'publisher', isFull: boolean): void {
    if (isFull) this.#full.add(who)
    else this.#full.delete(who)
    this.saturated(this.#full.size > 0)
  }
}
