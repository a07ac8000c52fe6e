/**
 * Floor 3. Requests that go out, one for each message, over a bounded number of connections. Nothing waits here or in the
 * library: when every connection has a request, or the receiver has asked for a pause, the lanes are told.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { ConnectionOptions } from 'node:tls'
import { type Dispatcher, Pool } from 'undici'
import { errors, reasonOf } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { createConnector } from './connector.ts'
import { fieldWriter, type FieldsInit, type WriteFields } from './fields.ts'
import { addressFilter } from './networks.ts'
import { type Outcome, outcomeOf } from './outcome.ts'

/** No attempt to connect takes longer (milliseconds). */
const CONNECT_TIMEOUT = 10_000
/** An idle connection is closed after so many milliseconds, before most receivers do. */
const KEEP_ALIVE = 4_000
/** Bytes of an answer's body: what is larger costs its connection. */
const MAX_ANSWER = 64 * 1024

export interface WebhookInit extends FieldsInit {
  readonly url: URL
  readonly counters: WebhookCounters
  /** Whether it can take a message has changed. */
  readonly onChange: (isFull: boolean) => void
  /** A message was not delivered: refused, unanswered, or not sent at all. */
  readonly onFailed: (error: Error) => void
}

export interface WebhookCounters {
  /** Requests that were answered with an error, or could not be made. */
  refused: number
  /** Requests that may have arrived, and no answer came. */
  unanswered: number
  /** Pauses that the receiver asked for. */
  pauses: number
}

export class Webhook {
  readonly #init: WebhookInit
  readonly #fieldsOf: WriteFields
  readonly #path: string
  #pool: Pool | undefined
  readonly #requests = new Set<Request>()
  #pause: NodeJS.Timeout | undefined
  #pausedUntil = 0

  constructor(init: WebhookInit) {
    this.#init = init
    this.#fieldsOf = fieldWriter(init)
    this.#path = init.url.pathname + init.url.search
  }

  get inFlight(): number {
    return this.#requests.size
  }

  /** Connects to nobody yet. */
  open(tls: ConnectionOptions | undefined): void {
    const { url, options } = this.#init
    const { timeout, connections, 'allow-private': allowed } = options
    this.#pool = new Pool(url.origin, {
      connections,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE,
      keepAliveMaxTimeout: KEEP_ALIVE,
      // One timer a request bounds all of it.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: createConnector({
        isAllowed: addressFilter(allowed),
        tls,
        timeout: Math.min(timeout, CONNECT_TIMEOUT),
      }),
    })
  }

  /** Drops what is under way: its senders are told that the connection is lost. */
  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    clearTimeout(this.#pause)
    this.#pausedUntil = 0
    for (const request of this.#requests) request.abandon()
    await pool?.destroy()
  }

  /** @throws ARALDO_ERR_CONNECTION_LOST, ARALDO_ERR_OVERFLOW, ARALDO_ERR_HEADER_INVALID, ARALDO_ERR_UNENCODABLE … */
  send(message: Message, settle: Settle): void {
    const { name, options, marshaller } = this.#init
    const pool = this.#pool
    if (pool === undefined) throw new errors.CONNECTION_LOST(name)
    if (this.#isFull) throw new errors.OVERFLOW(name, this.#requests.size)
    const body = message.encode(marshaller)
    const headers = this.#fieldsOf(message, body)
    const request = new Request(this.#init, settle, (pause) => {
      this.#requests.delete(request)
      if (pause !== undefined) this.#wait(pause)
      else if (this.#pool !== undefined) this.#init.onChange(this.#isFull)
    })
    this.#requests.add(request)
    if (this.#isFull) this.#init.onChange(true)
    pool.dispatch({ path: this.#path, method: options.method, headers, body }, request)
  }

  get #isFull(): boolean {
    return this.#requests.size >= this.#init.options.connections || this.#pausedUntil > performance.now()
  }

  /** @param time milliseconds; a shorter pause than the one that there is changes nothing. */
  #wait(time: number): void {
    const until = performance.now() + Math.min(time, this.#init.options['max-retry-after'])
    if (this.#pool === undefined || until <= this.#pausedUntil) return
    this.#init.counters.pauses++
    this.#pausedUntil = until
    clearTimeout(this.#pause)
    this.#init.onChange(true)
    this.#pause = setTimeout(() => {
      this.#pausedUntil = 0
      this.#init.onChange(this.#isFull)
    }, until - performance.now())
  }
}

/** One message's request. Its message is settled when the answer has ended, by its status. */
class Request implements Dispatcher.DispatchHandler {
  readonly #init: WebhookInit
  readonly #settle: Settle
  readonly #onOver: (pause: number | undefined) => void
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  /** What the answer says, once there is one. */
  #outcome: Outcome | undefined
  #answerBytes = 0
  #isOver = false

  /** @param onOver called once, before the message is settled. */
  constructor(init: WebhookInit, settle: Settle, onOver: (pause: number | undefined) => void) {
    this.#init = init
    this.#settle = settle
    this.#onOver = onOver
    const { timeout } = init.options
    this.#timer = setTimeout(this.#onTimeout, timeout)
  }

  /** The endpoint ends it where it is. */
  abandon(): void {
    this.#end(this.#outcome ?? { error: new errors.CONNECTION_LOST(this.#init.name) }, new Error('it is over'))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isOver) controller.abort(new Error('too late'))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Interim answers say nothing yet.
    if (status < 200) return
    const { name, url } = this.#init
    this.#outcome = outcomeOf(name, status, headers, url)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#answerBytes += chunk.length
    if (this.#answerBytes > MAX_ANSWER) controller.abort(new Error('the answer is too long'))
  }

  /** Not before the library has its connection back: the next message is to have that, not another one. */
  onResponseEnd(): void {
    setImmediate(this.#onAnswered)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(this.#outcome ?? { error: this.#failure(error) })
  }

  readonly #onAnswered = (): void => this.#end(this.#outcome ?? { error: this.#failure(new Error('no answer')) })

  readonly #onTimeout = (): void => {
    const reason = new Error(`no answer within ${this.#init.options.timeout} ms`)
    this.#end(this.#outcome ?? { error: this.#failure(reason) }, reason)
  }

  /** Once it has a connection, the receiver may have it. */
  #failure(cause: Error): Error {
    const Failure = this.#controller === undefined ? errors.SEND_FAILED : errors.UNANSWERED
    return new Failure(this.#init.name, reasonOf(cause), { cause })
  }

  /** @param reason why the request is cut off, where it is under way. */
  #end({ error, pause }: Outcome, reason?: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    if (reason !== undefined) this.#controller?.abort(reason)
    if (error !== null) this.#init.onFailed(error)
    this.#onOver(pause)
    this.#settle(error)
  }
}
