/**
 * Floor 3. An endpoint of MQTT: a subscriber as a source, a publisher as a target, by one connection, so that the broker
 * can keep from it what it has published itself (No Local).
 *
 * As a source of QoS 1 or 2 it acknowledges a message when every required lane is done with it, and not before: PUBACK for
 * QoS 1, PUBREC for QoS 2. What is not acknowledged is the broker's to send again, after a lost connection or a restart.
 */
import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import type { IConnackPacket, IPublishPacket } from 'mqtt'
import { abortable } from '../../deadline.ts'
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { InHand, Intake } from '../common/intake.ts'
import { Refusals } from '../common/refusals.ts'
import { hasSession } from './checks.ts'
import { clientOptions } from './client-options.ts'
import { Connection } from './connection.ts'
import { Hands, Held } from './hands.ts'
import { DEFAULT_RECEIVE_MAXIMUM, type MqttOptions } from './options.ts'
import { attributesOfPacket, propertiesOf, type Sending } from './properties.ts'
import { PublishPacket } from './publish.ts'
import { Publisher } from './publisher.ts'
import { refusalOf } from './reasons.ts'
import { subscribe } from './subscription.ts'
import { topicOf } from './topic.ts'

/** What a broker of 3.1.1, which cannot say, is thought to take without having confirmed it. */
const UNTOLD_RECEIVE_MAXIMUM = 1_000
/** MQTT 5, section 3.2.2.3.3: what a broker takes that says nothing. */
const RECEIVE_MAXIMUM = 65_535
/**
 * What a broker may have in the relay's hands that does not keep to the receive maximum: Mosquitto 2.0.11 sends as many
 * more with each acknowledgement.
 */
const MAX_IN_HAND = { messages: 10_000, bytes: 64 * 1024 * 1024 }

export class MqttEndpoint extends Endpoint<MqttOptions> {
  declare readonly counters: Endpoint['counters'] & {
    /** Messages of QoS 1 and 2 that the broker has been told are done. */
    acknowledged: number
    /** Messages that the lanes rejected for now: they were handed in again. */
    rejected: number
    /** Messages that the lanes rejected for good, and those of QoS 0 that they rejected: nobody brings them again. */
    letGo: number
    /** Messages of QoS 0 that came while the lanes wanted nothing, and found no room. */
    overflowed: number
    /** Messages that came again, and were in hand already. */
    redelivered: number
    /** Connections that the broker had kept no session for, after one that it should have. */
    sessionsLost: number
    /** Messages that the broker answered with an error. */
    refused: number
  }
  readonly #clientId: string
  readonly #directory: string
  readonly #topicOf: ((message: Message) => string) | undefined
  readonly #sending: Sending
  readonly #hands: Hands
  readonly #intake: Intake<InHand>
  readonly #refusals = new Refusals(this.log, 'the broker refused what was published')
  readonly #receiveMaximum: number
  #connection: Connection | undefined
  #publisher: Publisher | undefined
  /** The largest packet that goes out (bytes). */
  #maxPacket: number
  /** What the broker has of QoS and retained messages; learnt anew with each connection. */
  #unable: string | undefined
  #isQuiet = false
  /** The broker has sent more than may be in hand, and what it sends is passed over. */
  #isSkipping = false
  #hadSession = false

  constructor(context: EndpointContext<MqttOptions>) {
    super(context)
    const own = { acknowledged: 0, rejected: 0, letGo: 0, overflowed: 0, redelivered: 0, sessionsLost: 0, refused: 0 }
    Object.assign(this.counters, own)
    const { options, name, directory } = context
    this.#clientId = options['client-id'] ?? `${hostname()}-${name}`
    this.#directory = directory
    this.#topicOf = topicOf(options, name)
    const expiry = options['message-expiry']
    this.#sending = {
      endpoint: name,
      marshaller: context.marshaller,
      expiry: expiry === undefined ? undefined : Math.ceil(expiry / 1_000),
    }
    this.#maxPacket = options['max-packet-size']
    this.#receiveMaximum = options['receive-maximum'] ?? DEFAULT_RECEIVE_MAXIMUM
    this.#hands = new Hands((id, qos) => {
      this.counters.acknowledged++
      this.#connection?.acknowledge(id, qos)
      this.#goOn()
    })
    this.#intake = new Intake<InHand>({
      mayGive: () => !this.suspended,
      give: (message, settle) => {
        if (this.capabilities.source?.ack === true) this.receive(message, settle)
        else {
          this.receive(message)
          settle(null)
        }
      },
      onSettled: (held, error) => {
        if (error !== null) this.counters.letGo++
        if (held instanceof Held) this.#hands.settle(held)
      },
      // A broker sends nothing again over a connection that holds, and of QoS 0 nothing at all.
      onRejected: (held) => {
        const isKept = held instanceof Held
        if (isKept) this.counters.rejected++
        else this.counters.letGo++
        return isKept
      },
      // It comes in again after the next start.
      onReleased: () => {},
    })
  }

  override get gauges(): Record<string, number> {
    return { inFlight: this.#publisher?.inFlight ?? 0, pending: this.#hands.count, pendingBytes: this.#hands.bytes }
  }

  /** Up means: the broker has taken the login; where a route begins here, every filter is subscribed to. */
  protected override async connect(signal: AbortSignal): Promise<void> {
    const options = await clientOptions(this.options, this.#clientId, this.#directory)
    signal.throwIfAborted()
    const connection = (this.#connection = new Connection({
      options,
      onConnack: (packet) => this.#onConnack(packet, connection),
      onPublish: (packet, qos) => this.#onPublish(packet, qos),
      onRelease: (id) => this.#hands.release(id),
      onAnswer: (packet) => this.#publisher?.answer(packet),
      onDrain: () => this.#publisher?.look(),
      onLost: (error) => {
        this.#hands.end()
        this.lost(error)
      },
    }))
    await abortable(connection.open(), signal)
    if (this.#unable !== undefined) throw new Error(this.#unable)
    if (this.hasRoute && this.capabilities.source !== null) {
      await abortable(subscribe(connection, this.options), signal)
    }
  }

  protected override async disconnect(): Promise<void> {
    const [connection, publisher] = [this.#connection, this.#publisher]
    if (this.state === 'closing') this.#intake.close()
    this.#publisher = undefined
    publisher?.close()
    await connection?.close()
    this.#connection = undefined
    this.#isSkipping = false
    this.#hands.end()
  }

  /** What comes from now on stays the broker's: it is not acknowledged. */
  protected override quiesce(): void {
    this.#isQuiet = true
    this.#intake.close()
  }

  protected override suspend(): void {}

  protected override resume(): void {
    this.#intake.resume()
  }

  override send(message: Message, settle?: Settle): void {
    if (this.#topicOf === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    const publisher = this.#publisher
    if (publisher === undefined) throw new errors.CONNECTION_LOST(this.name)
    const { qos, retain, version } = this.options
    const topic = this.#topicOf(message)
    const payload = message.encode(this.marshaller)
    const properties = version === 5 ? propertiesOf(message, payload, this.#sending) : undefined
    const packet = new PublishPacket({ topic, payload, qos, retain, properties })
    if (packet.size > this.#maxPacket) throw new errors.TOO_LARGE(this.name, this.#maxPacket, packet.size)
    publisher.publish(packet, settle, (code) => this.#refusal(code, topic, message))
  }

  #refusal(code: number, topic: string, { id }: Message): Error {
    this.counters.refused++
    const refusal = refusalOf(code, { endpoint: this.name, topic, id })
    this.#refusals.add(refusal.message)
    return refusal
  }

  /** Before anything that the broker has kept comes in. */
  #onConnack({ sessionPresent, properties = {} }: IConnackPacket, connection: Connection): void {
    const isResumed = sessionPresent && hasSession(this.options)
    this.#hands.begin(isResumed)
    if (!isResumed && this.#hadSession) {
      this.counters.sessionsLost++
      this.log.warn('the broker has not kept the session: what it should have kept is gone')
    }
    this.#hadSession = hasSession(this.options) && this.hasRoute
    const { maximumPacketSize = Infinity, maximumQoS = 2, retainAvailable = true } = properties
    this.#maxPacket = Math.min(this.options['max-packet-size'], maximumPacketSize)
    this.#unable = undefined
    if (this.#topicOf === undefined) return
    // MQTT 5, sections 3.2.2.3.4 and 3.2.2.3.5: to publish it all the same ends the connection.
    if (this.options.qos > maximumQoS) this.#unable = `the broker takes QoS ${maximumQoS} at most: set 'qos'`
    if (this.options.retain && !retainAvailable) this.#unable = "the broker retains nothing: leave 'retain' out"
    const untold = this.options.version === 5 ? RECEIVE_MAXIMUM : UNTOLD_RECEIVE_MAXIMUM
    this.#publisher = new Publisher({
      name: this.name,
      connection,
      receiveMaximum: properties.receiveMaximum ?? untold,
      confirmTimeout: this.options['confirm-timeout'],
      onFull: (isFull) => this.saturated(isFull),
    })
  }

  #onPublish(packet: IPublishPacket, qos: number): void {
    // Of QoS 1 and 2 it stays the broker's: whoever reads next gets it.
    if (this.#isQuiet || !this.hasRoute) return
    const payload = packet.payload as Buffer
    const { topic, messageId: id = 0, dup: isAgain } = packet
    if (qos === 0 || this.options.qos === 0) {
      const { id: ownId, key, time, headers } = attributesOfPacket(packet, this.options.version)
      this.#take(this.message({ topic, payload, id: ownId, key, time, headers }))
      return
    }
    if (this.#hands.recognise({ id, qos, isAgain, topic, payload })) {
      this.counters.redelivered++
      return
    }
    this.#isSkipping ||= this.#isOverrun()
    if (this.#isSkipping) return
    const { id: ownId, key, time, headers } = attributesOfPacket(packet, this.options.version)
    const stable = ownId ?? this.#idOf(id, topic, payload)
    const message = this.message({ topic, payload, id: stable, key, time, headers })
    // Its length without the fixed header: the properties, too, are in memory.
    const held = new Held(id, qos, message, packet.length ?? payload.length)
    this.#hands.take(held)
    if (this.#hands.open > this.#receiveMaximum && this.#mayPause) this.#connection?.pause()
    this.#intake.push(held)
  }

  /**
   * Nothing else may be missed meanwhile: the answer to the subscription; and where it publishes, too, the answers to
   * that, without which nothing might ever be settled.
   */
  get #mayPause(): boolean {
    return this.state === 'up' && this.#publisher === undefined
  }

  /** One was acknowledged: there is room for what was held up for want of it. */
  #goOn(): void {
    const { open } = this.#hands
    if (open <= this.#receiveMaximum / 2) this.#connection?.resume()
    if (open > 0 || !this.#isSkipping) return
    const connection = this.#connection
    // After the acknowledgements of this turn.
    setImmediate(() => {
      const bound = `${this.#receiveMaximum} messages without an acknowledgement`
      connection?.abandon(new Error(`the broker sent more than ${bound}: the rest is fetched by another connection`))
    })
  }

  /** One of QoS 0. */
  #take(message: Message): void {
    if (this.#intake.waiting < this.#receiveMaximum) this.#intake.push(new InHand(message))
    else this.counters.overflowed++
  }

  /**
   * Nothing more is taken then until all that is in hand is settled. What comes is not acknowledged: the broker sends it
   * again over the next connection.
   */
  #isOverrun(): boolean {
    const { open, bytes } = this.#hands
    return open >= this.#receiveMaximum && (open >= MAX_IN_HAND.messages || bytes >= MAX_IN_HAND.bytes)
  }

  /** The same when the broker sends it again, to another process too. */
  #idOf(id: number, topic: string, payload: Buffer): string {
    const hash = createHash('sha1').update(topic).update('\0').update(payload).digest('base64url')
    return `${this.#clientId}:${id}:${hash}`
  }
}
