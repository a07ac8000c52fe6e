/**
 * Floor 3. Requests that go out, one for each message, over a bounded number of connections. Nothing waits here or in the
 * library: when every connection has a request, or the receiver has asked for a pause, the lanes are told.
 */
import type { ConnectionOptions } from 'node:tls'
import { Client } from 'undici'
import { errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { createConnector } from './connector.ts'
import { fieldWriter, type FieldsInit, type WriteFields } from './fields.ts'
import { addressFilter } from './networks.ts'
import { Connection, type End, Request } from './request.ts'

/** No attempt to connect takes longer (milliseconds). */
const CONNECT_TIMEOUT = 10_000
/** An idle connection is closed after so many milliseconds, before most receivers do. */
const KEEP_ALIVE = 4_000

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
  /** Undefined while it is closed. */
  #connect: (() => Connection) | undefined
  readonly #connections = new Set<Connection>()
  /** Those without a request. The one that had one last has the next: the others may be closed meanwhile. */
  #free: Connection[] = []
  #pause: NodeJS.Timeout | undefined
  #pausedUntil = 0

  constructor(init: WebhookInit) {
    this.#init = init
    this.#fieldsOf = fieldWriter(init)
    this.#path = init.url.pathname + init.url.search
  }

  get inFlight(): number {
    return this.#connections.size - this.#free.length
  }

  /** Connects to nobody yet. */
  open(tls: ConnectionOptions | undefined): void {
    const { url, options } = this.#init
    const { timeout, 'allow-private': allowed } = options
    const connect = createConnector({
      isAllowed: addressFilter(allowed),
      tls,
      timeout: Math.min(timeout, CONNECT_TIMEOUT),
    })
    // One timer a connection bounds all of a request.
    const clientOptions = { pipelining: 1, headersTimeout: 0, bodyTimeout: 0, connect }
    const keepAlive = { keepAliveTimeout: KEEP_ALIVE, keepAliveMaxTimeout: KEEP_ALIVE }
    this.#connect = () => {
      const connection = new Connection(new Client(url.origin, { ...clientOptions, ...keepAlive }), timeout)
      this.#connections.add(connection)
      return connection
    }
  }

  /** Drops what is under way: its senders are told that the connection is lost. */
  async close(): Promise<void> {
    const connections = [...this.#connections]
    this.#connect = undefined
    this.#connections.clear()
    this.#free = []
    clearTimeout(this.#pause)
    this.#pausedUntil = 0
    await Promise.all(connections.map((connection) => connection.close()))
  }

  /** @throws ARALDO_ERR_CONNECTION_LOST, ARALDO_ERR_OVERFLOW, ARALDO_ERR_HEADER_INVALID, ARALDO_ERR_UNENCODABLE … */
  send(message: Message, settle: Settle): void {
    const { name, url, options, marshaller } = this.#init
    if (this.#connect === undefined) throw new errors.CONNECTION_LOST(name)
    if (this.#isFull) throw new errors.OVERFLOW(name, this.inFlight)
    const body = message.encode(marshaller)
    const headers = this.#fieldsOf(message, body)
    const connection = this.#free.pop() ?? this.#connect()
    if (this.#isFull) this.#init.onChange(true)
    const request = new Request({ name, url, settle, onOver: (end) => this.#onOver(connection, end) })
    connection.send({ path: this.#path, method: options.method, headers, body }, request)
  }

  get #isFull(): boolean {
    return this.inFlight >= this.#init.options.connections || this.#pausedUntil > performance.now()
  }

  #onOver(connection: Connection, { error, pause, isCut }: End): void {
    if (error !== null) this.#init.onFailed(error)
    // At the end, all are cut off.
    if (this.#connect === undefined) return
    if (isCut) {
      this.#connections.delete(connection)
      void connection.close()
    } else this.#free.push(connection)
    if (pause !== undefined) this.#wait(pause)
    else this.#init.onChange(this.#isFull)
  }

  /** @param time milliseconds; a shorter pause than the one that there is changes nothing. */
  #wait(time: number): void {
    const until = performance.now() + Math.min(time, this.#init.options['max-retry-after'])
    if (until <= this.#pausedUntil) return
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
