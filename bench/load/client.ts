/** One of the thousand: a TCP socket that is upgraded, says hello, and counts what arrives. */
import { connect, type Socket } from 'node:net'
import type { Dialect } from './dialects.ts'
import { findPlaces, type Places, readNumber } from './message.ts'
import { Reader } from './reader.ts'

/** All clients read into one buffer: each is done with it before the next one reads. */
const READ_BYTES = 256 * 1024
/** What a client could not use of one read goes here, in front of the next one. */
const TAIL_BYTES = 4 * 1024
const buffer = Buffer.alloc(TAIL_BYTES + READ_BYTES)
/** So many clients connect at once. */
const BATCH = 50
const END_OF_HEAD = '\r\n\r\n'

export interface ClientOptions {
  readonly port: number
  readonly dialect: Dialect
  /** Called before what one read brought is taken apart. */
  readonly onRead: () => void
  /** A message came; its record begins at `start`. */
  readonly onMessage: (bytes: Buffer, start: number) => void
}

export class Client {
  /** Resolves when messages come from now on. */
  readonly ready: Promise<void>
  /** Messages since {@link restart}. */
  count = 0
  /** Why the connection ended, where it has: `close code 1013`. */
  ended: string | undefined
  readonly #options: ClientOptions
  readonly #socket: Socket
  readonly #reader: Reader
  readonly #places: Places
  readonly #tail = Buffer.allocUnsafe(TAIL_BYTES)
  #tailLength = 0
  #upgraded: boolean
  /** The numbers of the first and the last message since {@link restart}. */
  #first = -1
  #last = -1
  #lastStart = -1
  #isReady: () => void = () => {}
  #failed: (error: Error) => void = () => {}

  constructor(options: ClientOptions) {
    this.#options = options
    this.#places = findPlaces(options.dialect.record)
    this.#upgraded = options.dialect.path === undefined
    this.ready = new Promise((resolve, reject) => {
      this.#isReady = resolve
      this.#failed = reject
    })
    this.#reader = new Reader(options.dialect, {
      record: (bytes, start) => {
        this.count++
        if (this.#first === -1) this.#first = readNumber(bytes, start + this.#places.number)
        this.#lastStart = start
        options.onMessage(bytes, start)
      },
      reply: (bytes) => this.#socket.write(bytes),
      ready: () => this.#isReady(),
      closed: (code) => (this.ended ??= `close code ${code}`),
    })
    const target = buffer.subarray(TAIL_BYTES)
    this.#socket = connect({
      port: options.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: target, callback: (length) => this.#read(length) },
    })
    this.#socket.once('connect', () => this.#greet())
    this.#socket.once('error', (error) => this.#end(error.message))
    this.#socket.once('close', () => this.#end('closed'))
  }

  /** Counts from here. */
  restart(): void {
    this.count = 0
    this.#first = -1
    this.#last = -1
  }

  /** Messages that it never got although it got a later one. */
  get missed(): number {
    return this.#first === -1 ? 0 : this.#last - this.#first + 1 - this.count
  }

  /** Reads nothing from now on, and stays. */
  stall(): void {
    this.#socket.pause()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #greet(): void {
    const { path } = this.#options.dialect
    if (path === undefined) {
      this.#isReady()
      return
    }
    const head = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${this.#options.port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]
    this.#socket.write(head.join('\r\n') + END_OF_HEAD)
  }

  #read(length: number): boolean {
    const start = TAIL_BYTES - this.#tailLength
    const end = TAIL_BYTES + length
    this.#tail.copy(buffer, start, 0, this.#tailLength)
    try {
      this.#options.onRead()
      const stopped = this.#upgraded ? this.#reader.read(buffer, start, end) : this.#upgrade(start, end)
      if (this.#lastStart !== -1) this.#last = readNumber(buffer, this.#lastStart + this.#places.number)
      this.#lastStart = -1
      this.#tailLength = end - stopped
      if (this.#tailLength > TAIL_BYTES) throw new Error(`${this.#tailLength} bytes are not even one message`)
      buffer.copy(this.#tail, 0, stopped, end)
    } catch (error) {
      this.#socket.destroy(error as Error)
    }
    return true
  }

  #upgrade(start: number, end: number): number {
    const head = buffer.toString('latin1', start, end)
    const length = head.indexOf(END_OF_HEAD)
    if (length === -1) return start
    if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`the server refused the upgrade: ${head.slice(0, 200)}`)
    this.#upgraded = true
    const { hello } = this.#options.dialect
    if (hello === undefined) this.#isReady()
    else this.#socket.write(hello)
    return this.#reader.read(buffer, start + length + END_OF_HEAD.length, end)
  }

  #end(reason: string): void {
    this.ended ??= reason
    this.#failed(new Error(`a client got no connection: ${reason}`))
  }
}

/** Connects so many, a few at a time, and resolves when messages come to all of them. */
export async function connectClients(count: number, options: ClientOptions): Promise<Client[]> {
  const clients: Client[] = []
  while (clients.length < count) {
    const batch = Array.from({ length: Math.min(BATCH, count - clients.length) }, () => new Client(options))
    clients.push(...batch)
    await Promise.all(batch.map((client) => client.ready))
  }
  return clients
}
