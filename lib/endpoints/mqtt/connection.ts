/**
 * Floor 3. One connection to a broker: opened once and lost once. MQTT.js connects, subscribes and pings, and reads what
 * comes; it connects again, publishes, queues and sends again nothing: the endpoint does all of that, where it is bounded,
 * counted and seen.
 *
 * MQTT.js acknowledges a packet when its handler is done with it, and handles one at a time: with several in hand at once
 * it would read nothing more. So what comes is taken out of its hands as soon as it is parsed, and left to it as a
 * message of QoS 0, which it does not acknowledge; PUBACK and PUBREC are written here. What goes out, it knows nothing of:
 * PUBLISH and PUBREL are written here, too, and their answers handed on.
 */
import {
  connect,
  UniqueMessageIdProvider,
  type IClientOptions,
  type IConnackPacket,
  type IPublishPacket,
  type ISubscriptionMap,
  type MqttClient,
  type Packet,
} from 'mqtt'
import { quote } from '../../config/words.ts'
import { within } from '../../deadline.ts'
import { Cork } from '../common/cork.ts'
import { PacketLengths } from './packets.ts'
import { disconnection } from './reasons.ts'

/** The broker must have said something so long after a PINGREQ (milliseconds). */
const PING_TIMEOUT = 4_000
/** How long the end waits for the broker to have read all (milliseconds). */
const CLOSE_TIMEOUT = 500
const PUBACK = 0x40
const PUBREC = 0x50
const PUBREL = 0x62
const DISCONNECT = Buffer.from([0xe0, 0])

/** What a broker says of a message that it was sent. */
export type Answer = Extract<Packet, { cmd: 'puback' | 'pubrec' | 'pubcomp' }>

export interface ConnectionInit {
  /** Where the broker is, and who connects. */
  readonly options: IClientOptions
  /** Called once, before anything else comes in. */
  readonly onConnack: (packet: IConnackPacket) => void
  /** What came in; of QoS 1 and 2 to be acknowledged by {@link Connection.acknowledge}, in order. */
  readonly onPublish: (packet: IPublishPacket, qos: number) => void
  /** The broker is done with a message of QoS 2 (PUBREL). */
  readonly onRelease: (id: number) => void
  /** What became of a message that was sent: PUBACK, PUBREC, PUBCOMP. */
  readonly onAnswer: (packet: Answer) => void
  /** What was to be sent has left. */
  readonly onDrain: () => void
  /** The connection broke. Not called for a failure of {@link Connection.open}, nor after {@link Connection.close}. */
  readonly onLost: (error: Error) => void
}

export class Connection {
  readonly #init: ConnectionInit
  #client: MqttClient | undefined
  /** Rejects {@link open}, while that is under way. */
  #refuse: ((error: Error) => void) | undefined
  #isOver = false
  #isPaused = false
  /** What MQTT.js goes on with when it may. */
  #handleNext: (() => void) | undefined
  #pingTimer: NodeJS.Timeout | undefined
  /** Of a broker that was told how large a packet may be: one of MQTT 5. */
  readonly #lengths: PacketLengths | undefined
  /** PUBACK, PUBREC and PUBREL of this turn of the event loop: they leave by one write. */
  #acks: number[] = []
  readonly #cork = new Cork()
  /** Packet identifiers of what goes out: MQTT.js takes those of its subscriptions from here. */
  readonly #ids = new UniqueMessageIdProvider()

  constructor(init: ConnectionInit) {
    this.#init = init
    const { maximumPacketSize } = init.options.properties ?? {}
    if (maximumPacketSize !== undefined) this.#lengths = new PacketLengths(maximumPacketSize)
  }

  /** @throws Error in the broker's words, or the system's. */
  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#refuse = reject
      const client = connect({
        ...this.#init.options,
        reconnectPeriod: 0,
        resubscribe: false,
        queueQoSZero: false,
        timerVariant: 'native',
        messageIdProvider: this.#ids,
      })
      this.#client = client
      // It would give up half a keepalive after its ping: too soon where that is short, too late where it is long.
      client.onKeepaliveTimeout = () => {}
      // Called behind each message, before the next packet is looked at.
      client.handleMessage = (_packet, done) => {
        if (this.#isPaused) this.#handleNext = done
        else done()
      }
      client.on('packetreceive', this.#onPacket)
      client.on('packetsend', this.#onSend)
      client.on('error', this.#fail)
      const clientId = String(client.options.clientId)
      client.on('disconnect', ({ reasonCode = 0 }) => this.#fail(disconnection(reasonCode, clientId)))
      // Mosquitto 2.0 and brokers of 3.1.1 do not say that another client has taken the session.
      client.on('close', () =>
        this.#fail(
          new Error(
            `the broker closed the connection: it ended, or another client has the client id ${quote(clientId)}`,
          ),
        ),
      )
      client.on('connect', () => resolve())
      // MQTT.js tells nobody of those without a code: a WebSocket's.
      client.stream.on('error', this.#fail)
      client.stream.on('drain', this.#init.onDrain)
      // Before MQTT.js, which reads it.
      client.stream.prependListener('data', this.#onData)
    })
    this.#refuse = undefined
  }

  /** @throws Error that names the filter that was refused. */
  async subscribe(filters: ISubscriptionMap): Promise<readonly number[]> {
    if (this.#client === undefined) throw new Error('the connection is not open')
    const granted = await this.#client.subscribeAsync(filters)
    return granted.map(({ qos }) => qos)
  }

  /** Bytes that were written and have not left. */
  get unsent(): number {
    return this.#client?.stream.writableLength ?? 0
  }

  /** @returns a packet identifier that nothing else has until it is given back; undefined where all are in use. */
  allocate(): number | undefined {
    return this.#ids.allocate() ?? undefined
  }

  free(id: number): void {
    this.#ids.deallocate(id)
  }

  /** A packet, in pieces. What is written together leaves by one write (cork.ts). */
  write(pieces: readonly Buffer[]): void {
    const stream = this.#client?.stream
    if (this.#isOver || stream?.writable !== true) return
    this.#cork.hold(stream)
    for (const piece of pieces) stream.write(piece)
  }

  /** PUBACK for a message of QoS 1, PUBREC for one of QoS 2. */
  acknowledge(id: number, qos: number): void {
    this.#acknowledge(qos === 1 ? PUBACK : PUBREC, id)
  }

  /** PUBREL: the broker may use a packet identifier of QoS 2 for another message. */
  release(id: number): void {
    this.#acknowledge(PUBREL, id)
  }

  /** Handles nothing for a while, whatever it is: what the broker sends fills its socket. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    const handle = this.#handleNext
    this.#handleNext = undefined
    handle?.()
  }

  /** The broker is not to be listened to any more: nothing comes in from now on, and the connection counts as lost. */
  abandon(error: Error): void {
    this.#fail(error)
  }

  /** Ends the session's connection in order, as far as the broker still reads. Never throws. */
  async close(): Promise<void> {
    const client = this.#client
    this.#writeAcks()
    this.#isOver = true
    clearTimeout(this.#pingTimer)
    if (client === undefined) return
    client.off('packetreceive', this.#onPacket)
    client.off('packetsend', this.#onSend)
    client.stream.off('drain', this.#init.onDrain)
    const { stream } = client
    if (client.connected && stream.writable) {
      const closed = new Promise((resolve) => stream.once('close', resolve))
      stream.end(DISCONNECT)
      await within(CLOSE_TIMEOUT, closed)
    }
    client.end(true)
  }

  #acknowledge(type: number, id: number): void {
    if (this.#isOver) return
    // MQTT.js handles each packet in a tick of its own: only the turn's end has all of them.
    if (this.#acks.length === 0) setImmediate(this.#writeAcks)
    // The two bytes of a success need no reason code. Source: MQTT 5, sections 3.4.2.1, 3.5.2.1 and 3.6.2.1.
    this.#acks.push(type, 2, id >> 8, id & 0xff)
  }

  readonly #writeAcks = (): void => {
    const acks = this.#acks
    if (acks.length === 0) return
    this.#acks = []
    if (!this.#isOver && this.#client?.stream.writable === true) this.#client.stream.write(Buffer.from(acks))
  }

  readonly #onPacket = (packet: Packet): void => {
    clearTimeout(this.#pingTimer)
    if (packet.cmd === 'publish') this.#take(packet)
    else if (packet.cmd === 'connack') {
      if ((packet.reasonCode ?? packet.returnCode) === 0) this.#init.onConnack(packet)
    } else if (packet.cmd === 'pubrel') this.#init.onRelease(packet.messageId ?? 0)
    else if (packet.cmd === 'puback' || packet.cmd === 'pubrec' || packet.cmd === 'pubcomp') {
      // MQTT.js passes over them: it has sent nothing that they could answer.
      if (!this.#isOver) this.#init.onAnswer(packet)
    }
  }

  #take(packet: IPublishPacket): void {
    const { qos } = packet
    packet.qos = 0
    // No alias was allowed (MQTT 5, section 3.3.2.3.4): MQTT.js ends the connection over one.
    if (!this.#isOver && packet.topic !== '') this.#init.onPublish(packet, qos)
  }

  readonly #onData = (chunk: Buffer): void => {
    const size = this.#isOver ? undefined : this.#lengths?.look(chunk)
    if (size === undefined) return
    this.#fail(new Error(`the broker sends a packet of ${size} bytes, more than 'max-packet-size'`))
    this.#client?.stream.destroy()
  }

  readonly #onSend = ({ cmd }: Packet): void => {
    if (cmd !== 'pingreq') return
    this.#awaitAnswer()
  }

  #awaitAnswer(): void {
    clearTimeout(this.#pingTimer)
    this.#pingTimer = setTimeout(() => {
      // What it has answered is not handled meanwhile.
      if (this.#isPaused) this.#awaitAnswer()
      else this.#fail(new Error(`the broker did not answer a ping within ${PING_TIMEOUT} ms`))
    }, PING_TIMEOUT)
  }

  readonly #fail = (error: Error): void => {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#pingTimer)
    if (this.#refuse === undefined) this.#init.onLost(error)
    else this.#refuse(error)
  }
}
