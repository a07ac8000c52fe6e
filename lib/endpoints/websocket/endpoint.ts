/**
 * Floor 3. A WebSocket endpoint: its clients, what they send, what they are sent, and how they are closed.
 *
 * Clients are not trusted: what they send is decoded before it goes anywhere, and nothing that they send, or do not
 * read, costs more than its bound.
 */
import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { WebSocket } from 'ws'
import { within } from '../../deadline.ts'
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { type AraldoError, errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Template } from '../../template.ts'
import type { Headers } from '../../types.ts'
import { admitsOrigin, decodePath, originSet } from './admission.ts'
import { Client } from './client.ts'
import { CLOSE_CODES, type CloseCode, closeReason } from './close-codes.ts'
import { FanOut } from './fan-out.ts'
import { frameLength } from './frame.ts'
import { boundMessages, releaseResponse } from './internals.ts'
import type { WebSocketOptions } from './options.ts'
import { EVERYONE } from './topic.ts'
import { Watch } from './watch.ts'

/** A connection's id can't be guessed. */
const ID_BYTES = 15
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

/** A message that came in while nothing is to come in. */
interface Early {
  readonly client: Client
  readonly payload: Buffer
  readonly isBinary: boolean
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
  }
  readonly #place: WebSocketPlace
  readonly #origins: ReadonlySet<string> | undefined
  readonly #fanOut: FanOut
  readonly #watch: Watch
  #open = false
  /** What had been read already when the relay asked for a pause: at most a socket's read buffer for each client. */
  #early: Early[] = []
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
    })
    this.#fanOut = new FanOut({
      binary: marshaller.binary,
      limit: options.limit,
      counters: this.counters,
      onOverflow: (client) => this.#closeSlow(client, CLOSE_CODES.tooSlow, client.pending, options['write-timeout']),
    })
    this.#watch = new Watch(this.#fanOut.clients, {
      pingInterval: options['ping-interval'],
      pingTimeout: options['ping-timeout'],
      writeTimeout: options['write-timeout'],
      onStalled: (client) => this.#closeSlow(client, CLOSE_CODES.stalled, options['write-timeout'], STALLED_GRACE),
      onPingTimeout: () => this.counters.pingTimeouts++,
    })
  }

  override get gauges(): Record<string, number> {
    let bufferedBytes = 0
    for (const client of this.#fanOut.clients) bufferedBytes += client.pending
    return { connections: this.#fanOut.clients.size, bufferedBytes }
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
    this.#watch.isDeaf = true
    for (const { websocket } of this.#fanOut.clients) websocket.pause()
  }

  protected override resume(): void {
    const early = this.#early
    this.#early = []
    for (const [index, { client, payload, isBinary }] of early.entries()) {
      this.#onMessage(client, payload, isBinary)
      if (!this.suspended) continue
      // Held again by what it brought: the rest keeps its place.
      this.#early = [...early.slice(index + 1), ...this.#early]
      return
    }
    this.#watch.isDeaf = false
    for (const client of this.#fanOut.clients) {
      this.#watch.heard(client)
      client.websocket.resume()
    }
  }

  /** Sends every client away, each with another moment to come back at, and waits a little for them to go. */
  protected override async disconnect(): Promise<void> {
    this.#open = false
    this.#watch.stop()
    const { clients } = this.#fanOut
    if (clients.size === 0) return
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve))
    for (const client of clients) {
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
    if (this.#fanOut.clients.size >= options['max-connections']) {
      counters.refusedFull++
      return new errors.ENDPOINT_FULL(name, options['max-connections'])
    }
    return decodePath(request.raw.url as string) === undefined ? new errors.PATH_REFUSED(name) : undefined
  }

  /** Takes a connection over that was just upgraded. Must be called before anything is read from it. */
  accept(websocket: WebSocket, request: FastifyRequest): void {
    const { socket } = request.raw
    const stream = socket instanceof Socket ? socket : undefined
    const client = new Client({
      websocket,
      socket: stream,
      path: this.#topicOf(request),
      headers: headersOf(request),
      tick: this.#watch.now,
    })
    boundMessages(websocket, this.options['max-payload'])
    if (stream !== undefined) releaseResponse(stream)
    // @fastify/websocket's listener would cut the connection before the close frame that names the error has left.
    websocket.removeAllListeners('error')
    websocket.on('message', (data, isBinary) => this.#onMessage(client, data as Buffer, isBinary))
    websocket.on('pong', () => this.#watch.heard(client))
    websocket.on('error', (err) => this.#onError(client, err))
    websocket.on('close', (code) => this.#onClose(client, code))
    if (this.suspended) websocket.pause()
    this.#fanOut.add(client)
    this.counters.opened++
    this.log.debug({ connection: client.id }, 'a client connected')
  }

  #topicOf(request: FastifyRequest): string {
    const path = decodePath(request.raw.url as string) as string
    const { prefix } = this.#place
    return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path
  }

  // ── What it sends ─────────────────────────────────────────────────────────────────────────────────────────────────

  #onMessage(client: Client, payload: Buffer, isBinary: boolean): void {
    this.#watch.heard(client)
    // What comes after a close frame that we sent is not heard any more.
    if (!this.#open || !this.hasRoute || client.websocket.readyState !== WebSocket.OPEN) return
    if (this.suspended) {
      this.#early.push({ client, payload, isBinary })
      return
    }
    try {
      this.#take(client, payload, isBinary)
    } catch (err) {
      this.log.error({ err, connection: client.id }, 'could not handle a message')
      this.#close(client, CLOSE_CODES.internalError)
    }
  }

  #take(client: Client, payload: Buffer, isBinary: boolean): void {
    const { marshaller } = this
    if (payload.length > this.options['max-payload']) {
      this.counters.protocolErrors++
      this.#close(client, CLOSE_CODES.tooLarge)
      return
    }
    if (isBinary && !marshaller.binary) {
      this.#onInvalid(client, CLOSE_CODES.textExpected)
      return
    }
    let body: unknown
    try {
      body = marshaller.decode(payload)
    } catch {
      this.#onInvalid(client, CLOSE_CODES.undecodable)
      return
    }
    const { path, headers } = client
    this.receive(this.message({ payload, body, topic: path, headers, origin: client }))
  }

  #onInvalid(client: Client, code: CloseCode): void {
    this.counters.decodeErrors++
    this.log.debug({ connection: client.id, code: code.code }, 'a client sent what cannot be decoded')
    if (this.options['on-invalid'] === 'drop') return
    this.counters.invalidClosed++
    this.#close(client, code, this.marshaller.format)
  }

  /** ws has sent a close frame that names the error. */
  #onError(client: Client, err: Error): void {
    this.counters.protocolErrors++
    this.log.debug({ err, connection: client.id }, 'a client broke the protocol')
    this.#watch.limit(client)
  }

  #onClose(client: Client, code: number): void {
    this.#fanOut.delete(client)
    this.log.debug({ connection: client.id, code }, 'a client is gone')
    if (this.#fanOut.clients.size === 0) this.#onEmpty?.()
  }

  // ── What it is sent ───────────────────────────────────────────────────────────────────────────────────────────────

  override send(message: Message): void {
    const { name, marshaller, options } = this
    const payload = message.encode(marshaller)
    if (!marshaller.binary && !isUtf8(payload)) throw new errors.NOT_TEXT(name, message.id)
    if (frameLength(payload.length) > options.limit) throw new errors.TOO_LARGE(name, options.limit, payload.length)
    const topic = this.#place.topic?.render(message)
    const except = !options.echo && message.origin instanceof Client ? message.origin : undefined
    this.#fanOut.send(payload, topic === EVERYONE ? undefined : topic, except)
  }

  #closeSlow(client: Client, code: CloseCode, value: number, grace: number): void {
    this.counters.slowClosed++
    this.log.debug({ connection: client.id, bytes: client.pending }, 'a client reads too slowly')
    this.#close(client, code, value, grace)
  }

  /** What was sent before goes before. @param grace milliseconds until the client is cut off if it does not go. */
  #close(client: Client, code: CloseCode, value?: string | number, grace?: number): void {
    this.#fanOut.flush()
    client.websocket.close(code.code, closeReason(code, value))
    this.#watch.limit(client, grace)
  }
}

/** Of every message of the connection: its id, and the route's parameters. */
function headersOf(request: FastifyRequest): Headers {
  const headers: Record<string, string> = { connection_id: randomBytes(ID_BYTES).toString('base64url') }
  for (const [name, value] of Object.entries(request.params as object)) {
    if (typeof value === 'string') headers[`param_${name}`] = value
  }
  return Object.freeze(headers)
}
