/** Floor 3. A connection to another WebSocket server: what the server sends comes in, what is sent here goes to it. */
import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { errors, reasonOf } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { type Content, contentOf, SUBPROTOCOL } from '../common/araldo-v1/content.ts'
import { Refusals } from '../common/refusals.ts'
import { tlsOptions } from '../common/tls.ts'
import { Connection } from './connection.ts'
import { Flights } from './flights.ts'
import { frameId, messageFrame, parseServerFrame, sessionFrame } from './frames.ts'
import type { Hello, WebSocketClientOptions } from './options.ts'

/** The server takes no message that is as large as one of those that it was sent. RFC 6455 section 7.4.1. */
const TOO_LARGE = 1009
/** Bytes of a session's name that is made up. */
const SESSION_BYTES = 24

/** What is of one connection. */
interface Talk {
  readonly connection: Connection
  readonly flights: Flights
}

export class WebSocketClientEndpoint extends Endpoint<WebSocketClientOptions> {
  declare readonly counters: Endpoint['counters'] & {
    /** Messages that the server has answered: they are safe there, or are not. */
    acknowledged: number
    rejected: number
  }
  readonly #directory: string
  readonly #content: Content
  readonly #session: string
  readonly #hello: readonly string[]
  readonly #invalid = new Refusals(this.log, 'the server sent what is no frame of araldo.v1')
  #talk: Talk | undefined
  /** More waits, or has no answer, than may be. */
  #isFull = false

  constructor(context: EndpointContext<WebSocketClientOptions>) {
    super(context)
    Object.assign(this.counters, { acknowledged: 0, rejected: 0 })
    const { hello = [], session = randomBytes(SESSION_BYTES).toString('base64url') } = context.options
    this.#directory = context.directory
    this.#content = contentOf(context.marshaller)
    this.#session = session
    this.#hello = (Array.isArray(hello) ? (hello as readonly Hello[]) : [hello]).map(textOf)
  }

  override get gauges(): Record<string, number> {
    return { inFlight: this.#talk?.flights.count ?? 0, unsentBytes: this.#talk?.connection.unsent ?? 0 }
  }

  protected override async connect(signal: AbortSignal): Promise<void> {
    const { options } = this
    const tls = await tlsOptions(options.tls, this.#directory)
    signal.throwIfAborted()
    const flights = new Flights()
    const connection = new Connection({
      url: options.url,
      subprotocols: options.acknowledge ? [SUBPROTOCOL] : (options.subprotocols ?? []),
      headers: options.headers ?? {},
      tls,
      maxPayload: options['max-payload'],
      pingInterval: options['ping-interval'],
      pingTimeout: options['ping-timeout'],
      onMessage: (data, isBinary) => this.#take(flights, data, isBinary),
      onWritten: this.#onRoom,
      onLost: (error, code) => this.#onLost(flights, error, code),
    })
    this.#talk = { connection, flights }
    await connection.open(signal)
    if (options.acknowledge) connection.send(sessionFrame(this.#session), false)
    for (const text of this.#hello) connection.send(text, false)
    this.#isFull = false
    if (this.suspended) connection.pause()
  }

  protected override async disconnect(): Promise<void> {
    const talk = this.#talk
    this.#talk = undefined
    talk?.flights.end(new errors.CONNECTION_LOST(this.name))
    await talk?.connection.close()
  }

  protected override suspend(): void {
    if (this.state === 'up') this.#talk?.connection.pause()
  }

  protected override resume(): void {
    if (this.state === 'up') this.#talk?.connection.resume()
  }

  override send(message: Message, settle?: Settle): void {
    const talk = this.#talk
    if (talk === undefined) throw new errors.CONNECTION_LOST(this.name)
    const payload = message.encode(this.marshaller)
    if (this.options.acknowledge) this.#sendFrame(talk, message, payload, settle)
    else {
      const { binary } = this.marshaller
      if (!binary && !isUtf8(payload)) throw new errors.NOT_TEXT(this.name, message.id)
      talk.connection.send(payload, binary)
    }
    const { limit, 'max-in-flight': maxInFlight } = this.options
    if (this.#isFull || (talk.connection.unsent <= limit && talk.flights.count < maxInFlight)) return
    this.#isFull = true
    this.saturated(true)
  }

  #sendFrame({ connection, flights }: Talk, message: Message, payload: Buffer, settle: Settle = () => {}): void {
    if (this.#content !== 'base64' && !isUtf8(payload)) throw new errors.NOT_TEXT(this.name, message.id)
    // It passes on as it came: if it is no JSON, that shows here, and not as members of the frame that it writes itself.
    if (this.#content === 'body') void message.body
    const id = flights.free(frameId(message.id))
    const frame = this.#frameOf(id, message, payload)
    flights.add(id, frame.length, settle)
    connection.send(frame, false)
  }

  #frameOf(id: string, message: Message, payload: Buffer): Buffer {
    try {
      return messageFrame(id, message, payload, this.#content)
    } catch (cause) {
      throw new errors.HEADER_INVALID(this.name, reasonOf(cause), { cause })
    }
  }

  #take(flights: Flights, data: Buffer, isBinary: boolean): void {
    if (!this.options.acknowledge) {
      this.receive(this.message({ payload: data }))
      return
    }
    try {
      if (isBinary) throw new Error('it is binary')
      this.#takeFrame(flights, data)
    } catch (error) {
      this.counters.decodeErrors++
      this.#invalid.add(reasonOf(error))
    }
  }

  #takeFrame(flights: Flights, data: Buffer): void {
    const frame = parseServerFrame(data)
    if (frame.type === 'message') {
      this.receive(this.message({ payload: frame.payload, id: frame.id, time: frame.time }))
      return
    }
    const settle = flights.take(frame.id)
    if (settle === undefined) return
    if (frame.type === 'ack') {
      this.counters.acknowledged++
      settle(null)
    } else {
      this.counters.rejected++
      settle(
        frame.retry
          ? new errors.SEND_FAILED(this.name, frame.reason)
          : new errors.REFUSED(this.name, frame.id, frame.reason),
      )
    }
    this.#onRoom()
  }

  /** Room is where half of it is. */
  readonly #onRoom = (): void => {
    const talk = this.#talk
    if (!this.#isFull || talk === undefined) return
    const { limit, 'max-in-flight': maxInFlight } = this.options
    if (talk.connection.unsent > limit / 2 || talk.flights.count > maxInFlight / 2) return
    this.#isFull = false
    this.saturated(false)
  }

  /** A message that is too large would be sent again on each new connection, and end each. */
  #onLost(flights: Flights, error: Error, code?: number): void {
    if (code === TOO_LARGE) {
      const largest = flights.takeLargest()
      largest?.settle(
        new errors.REFUSED(this.name, largest.id, `the server takes no message of ${largest.bytes} bytes`),
      )
    }
    this.lost(error)
  }
}

function textOf(hello: Hello): string {
  return typeof hello === 'string' ? hello : JSON.stringify(hello)
}
