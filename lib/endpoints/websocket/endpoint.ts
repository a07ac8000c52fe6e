/**
 * Floor 3. A WebSocket endpoint: its clients, what they send, what they are sent, and how they are closed.
 *
 * Clients are not trusted: what they send is decoded before it goes anywhere, and nothing that they send, or do not
 * read, costs more than its bound.
 */
import { isUtf8 } from 'node:buffer'
import { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { within } from '../../deadline.ts'
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { type AraldoError, errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Template } from '../../template.ts'
import type { Headers } from '../../types.ts'
import { SUBPROTOCOL } from '../common/araldo-v1/content.ts'
import { admitsOrigin, originSet } from './admission.ts'
import { Audience } from './audience.ts'
import { Client } from './client.ts'
import { CLOSE_CODES, type CloseCode, closeReason } from './close-codes.ts'
import { Conversation } from './conversation.ts'
import { frameLength } from './frame.ts'
import { asksForAcknowledgements, decodePath, headersOf, topicOf } from './handshake.ts'
import { Intake } from './intake.ts'
import { boundMessages, releaseResponse } from './internals.ts'
import type { WebSocketOptions } from './options.ts'
import { EVERYONE } from './topic.ts'
import { Watch } from './watch.ts'

/** Browsers that are sent away come back within so many milliseconds, each at a moment of its own. */
const RECONNECT_WINDOW = 5_000
/** How long the end waits for browsers to answer their close frames (milliseconds). */
const SHUTDOWN_TIMEOUT = 2_000
/** A stalled client has little hope of reading its close frame: it is cut off after so many milliseconds. */
const STALLED_GRACE = 1_000

/** Where an endpoint is, beside its context. */
export interface WebSocketPlace {
  /** Of the scope that its route is in; no part of a client's topic. */
  readonly prefix: string
  /** The option `topic`, compiled. */
  readonly topic: Template | undefined
}

export class WebSocketEndpoint extends Endpoint<WebSocketOptions> {
  declare readonly counters: Endpoint['counters'] & {
    /** Connections that were opened. */
    opened: number
    /** Messages written: one for each client that a message was written to. */
    deliveries: number
    /** Bytes written, frame headers included. */
    deliveredBytes: number
    /** Clients closed because they read too slowly, or nothing. */
    slowClosed: number
    /** Clients cut off because they answered no ping. */
    pingTimeouts: number
    /** Clients closed for a message that is none of the marshaller's. */
    invalidClosed: number
    /** Clients closed for breaking the protocol or its bounds. */
    protocolErrors: number
    refusedOrigin: number
    refusedFull: number
    /** Messages that were answered with ack, and with nack. */
    acknowledged: number
    rejected: number
    /** Messages that came again with an id that was known: not delivered twice. */
    duplicates: number
    /** Messages that were too large for clients of `araldo.v1`. */
    oversized: number
  }
  readonly #place: WebSocketPlace
  readonly #origins: ReadonlySet<string> | undefined
  readonly #audience: Audience
  readonly #intake: Intake
  readonly #watch: Watch
  #open = false
  #onEmpty: (() => void) | undefined

  constructor(context: EndpointContext<WebSocketOptions>, place: WebSocketPlace) {
    super(context)
    const { options, marshaller } = context
    this.#place = place
    this.#origins = options.origins === undefined ? undefined : originSet(options.origins)
    Object.assign(this.counters, {
      opened: 0,
      deliveries: 0,
      deliveredBytes: 0,
      slowClosed: 0,
      pingTimeouts: 0,
      invalidClosed: 0,
      protocolErrors: 0,
      refusedOrigin: 0,
      refusedFull: 0,
      acknowledged: 0,
      rejected: 0,
      duplicates: 0,
      oversized: 0,
    })
    this.#audience = new Audience({
      marshaller,
      limit: options.limit,
      counters: this.counters,
      onOverflow: (client) => this.#closeSlow(client, CLOSE_CODES.tooSlow, client.pending, options['write-timeout']),
      onTold: (client) => this.#intake.readOn(client),
    })
    this.#intake = new Intake({
      context,
      counters: this.counters,
      replies: this.#audience.replies,
      isSuspended: () => this.suspended,
      isWanted: () => this.#open && this.hasRoute,
      receive: (init, settle) => {
        if (this.#open) this.receive(this.message(init), settle)
        else settle?.(new errors.CLOSING())
      },
      heard: (client) => this.#watch.heard(client),
      close: (client, code, value) => this.#close(client, code, value),
    })
    this.#watch = new Watch(this.#audience.clients, {
      pingInterval: options['ping-interval'],
      pingTimeout: options['ping-timeout'],
      writeTimeout: options['write-timeout'],
      onStalled: (client) => this.#closeSlow(client, CLOSE_CODES.stalled, options['write-timeout'], STALLED_GRACE),
      onPingTimeout: () => this.counters.pingTimeouts++,
    })
  }

  override get gauges(): Record<string, number> {
    const { clients } = this.#audience
    let bufferedBytes = 0
    let inFlight = 0
    for (const { pending, conversation } of clients) {
      bufferedBytes += pending
      inFlight += conversation?.inFlight ?? 0
    }
    return { connections: clients.size, bufferedBytes, inFlight }
  }

  protected override connect(): void {
    this.#open = true
    this.#watch.start()
  }

  protected override quiesce(): void {
    this.#open = false
  }

  /** Reads nothing more from any client: what they send waits on their side of the connection. */
  protected override suspend(): void {
    for (const { websocket } of this.#audience.clients) websocket.pause()
  }

  protected override resume(): void {
    for (const client of this.#audience.clients) {
      // What one client brought may have it suspended again.
      if (this.suspended) return
      this.#intake.readOn(client)
    }
  }

  /** Sends every client away, each with another moment to come back at, and waits a little for them to go. */
  protected override async disconnect(): Promise<void> {
    this.#open = false
    this.#watch.stop()
    const { clients } = this.#audience
    if (clients.size === 0) return
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve))
    for (const client of clients) {
      this.#intake.answerAll(client)
      this.#close(client, CLOSE_CODES.goingAway, Math.ceil(Math.random() * RECONNECT_WINDOW))
    }
    if (await within(SHUTDOWN_TIMEOUT, empty)) return
    for (const client of clients) client.websocket.terminate()
    await within(SHUTDOWN_TIMEOUT, empty)
  }

  // ── A client comes ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Why a request may not become a connection at this moment; undefined if it may. */
  refusal(request: FastifyRequest): AraldoError | undefined {
    const { name, counters, options } = this
    if (!this.#open) {
      return this.state === 'connecting' ? new errors.ENDPOINT_DOWN(name, 'not started') : new errors.CLOSING()
    }
    if (!admitsOrigin(request, this.#origins)) {
      counters.refusedOrigin++
      return new errors.ORIGIN_REFUSED(name, String(request.headers.origin))
    }
    if (this.#audience.clients.size >= options['max-connections']) {
      counters.refusedFull++
      return new errors.ENDPOINT_FULL(name, options['max-connections'])
    }
    if (options.acknowledge === 'required' && !asksForAcknowledgements(request)) {
      return new errors.SUBPROTOCOL_REQUIRED(name)
    }
    return decodePath(request.raw.url as string) === undefined ? new errors.PATH_REFUSED(name) : undefined
  }

  /** Takes a connection over that was just upgraded. Must be called before anything is read from it. */
  accept(websocket: WebSocket, request: FastifyRequest): void {
    const { socket } = request.raw
    const stream = socket instanceof Socket ? socket : undefined
    const path = topicOf(request, this.#place.prefix)
    const headers = headersOf(request)
    const conversation = this.#conversationOf(websocket, path, headers)
    const client = new Client({ websocket, socket: stream, path, headers, tick: this.#watch.now, conversation })
    boundMessages(websocket, this.options['max-payload'])
    if (stream !== undefined) releaseResponse(stream)
    // @fastify/websocket's listener would cut the connection before the close frame that names the error has left.
    websocket.removeAllListeners('error')
    websocket.on('message', (data, isBinary) => this.#intake.take(client, data as Buffer, isBinary))
    websocket.on('pong', () => this.#watch.heard(client))
    websocket.on('error', (err) => this.#onError(client, err))
    websocket.on('close', (code) => this.#onClose(client, code))
    if (this.suspended) websocket.pause()
    this.#audience.add(client)
    this.counters.opened++
    this.log.debug({ connection: client.id }, 'a client connected')
    if (conversation === undefined && this.options.acknowledge === 'required') {
      // The host's own @fastify/websocket has a handleProtocols that chose otherwise.
      this.log.error('the server did not choose the subprotocol araldo.v1, which the client asked for')
      this.#close(client, CLOSE_CODES.internalError)
    }
  }

  #conversationOf({ protocol }: WebSocket, path: string, headers: Headers): Conversation | undefined {
    if (protocol !== SUBPROTOCOL) return undefined
    const { 'max-in-flight': maxMessages, limit: maxBytes } = this.options
    const connection = headers.connection_id as string
    return new Conversation({ connection, scope: `${this.name}\n${path}`, maxMessages, maxBytes })
  }

  /** ws has sent a close frame that names the error. */
  #onError(client: Client, err: Error): void {
    this.counters.protocolErrors++
    this.log.debug({ err, connection: client.id }, 'a client broke the protocol')
    this.#watch.limit(client)
  }

  #onClose(client: Client, code: number): void {
    client.early = undefined
    client.conversation?.close()
    this.#audience.delete(client)
    this.log.debug({ connection: client.id, code }, 'a client is gone')
    if (this.#audience.clients.size === 0) this.#onEmpty?.()
  }

  // ── What it is sent ───────────────────────────────────────────────────────────────────────────────────────────────

  override send(message: Message): void {
    const { name, marshaller, options } = this
    const payload = message.encode(marshaller)
    if (!marshaller.binary && !isUtf8(payload)) throw new errors.NOT_TEXT(name, message.id)
    if (frameLength(payload.length) > options.limit) throw new errors.TOO_LARGE(name, options.limit, payload.length)
    const topic = this.#place.topic?.render(message)
    const except = !options.echo && message.origin instanceof Client ? message.origin : undefined
    this.#audience.send(message, payload, topic === EVERYONE ? undefined : topic, except)
  }

  #closeSlow(client: Client, code: CloseCode, value: number, grace: number): void {
    this.counters.slowClosed++
    this.log.debug({ connection: client.id, bytes: client.pending }, 'a client reads too slowly')
    this.#close(client, code, value, grace)
  }

  /** What was sent before goes before. @param grace milliseconds until the client is cut off if it does not go. */
  #close(client: Client, code: CloseCode, value?: string | number, grace?: number): void {
    this.#audience.flush()
    client.websocket.close(code.code, closeReason(code, value))
    // For the client's own close frame, which is all that still counts.
    client.websocket.resume()
    this.#watch.limit(client, grace)
  }
}
