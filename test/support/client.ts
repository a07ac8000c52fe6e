/** A WebSocket client for tests: everything that comes in is queued from the first byte on, so nothing is missed. */
import { WebSocket } from 'ws'
import type { ClientOptions } from 'ws'
import type { Owner } from './process.ts'
import { DEFAULT_TIMEOUT, within } from './wait.ts'

export interface ConnectOptions extends ClientOptions {
  readonly protocols?: string[]
  /** Milliseconds for the handshake; 5,000 if left out. */
  readonly timeout?: number
  /** The test at whose end the connection is cut. */
  readonly t?: Owner
}

export interface Closed {
  readonly code: number
  readonly reason: string
}

/** Text frames are strings, binary frames are buffers. */
export type Received = string | Buffer

/** The server answered the handshake with something else than 101. */
export class UpgradeRefused extends Error {
  override readonly name = 'UpgradeRefused'
  readonly statusCode: number
  readonly body: string

  constructor(statusCode: number, body: string) {
    super(`the handshake was answered with ${statusCode}: ${body}`)
    this.statusCode = statusCode
    this.body = body
  }
}

export class TestClient {
  /** ws's own object, for tests that need more. */
  readonly socket: WebSocket
  /** Resolves when the connection has ended, however it did. Never rejects. */
  readonly closed: Promise<Closed>
  /** Pings that came in. */
  pings = 0
  readonly #queue: Received[] = []
  #wake: (() => void) | undefined
  #closed: Closed | undefined

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.#queue.push(isBinary ? data : data.toString('utf8'))
      this.#wake?.()
    })
    socket.on('ping', () => this.pings++)
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        this.#closed = { code, reason: reason.toString('utf8') }
        resolve(this.#closed)
        this.#wake?.()
      })
    })
  }

  /** Messages that are there and were not taken yet. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Resolves when the bytes are with the operating system. Objects other than buffers are sent as JSON. */
  send(data: string | Buffer | object): Promise<void> {
    const payload = typeof data === 'string' || Buffer.isBuffer(data) ? data : JSON.stringify(data)
    return new Promise((resolve, reject) => {
      this.socket.send(payload, (error) => (error ? reject(error) : resolve()))
    })
  }

  /**
   * The next message, in order. Throws when the connection ends first or the time is over. One caller at a time.
   * @param timeout milliseconds
   */
  async next(timeout = DEFAULT_TIMEOUT): Promise<Received> {
    if (this.#queue.length === 0 && this.#closed === undefined) {
      if (this.#wake !== undefined) throw new Error('next() was called before the one before it had its message')
      try {
        const woken = new Promise<void>((resolve) => (this.#wake = resolve))
        await within(woken, { timeout, message: 'a WebSocket message' })
      } finally {
        this.#wake = undefined
      }
    }
    const message = this.#queue.shift()
    if (message !== undefined) return message
    throw new Error(`closed with ${this.#closed?.code} '${this.#closed?.reason}' while a message was waited for`)
  }

  /** The next message, parsed. */
  async nextJson(timeout?: number): Promise<unknown> {
    return JSON.parse(String(await this.next(timeout)))
  }

  /** The next `count` messages. */
  async take(count: number, timeout?: number): Promise<Received[]> {
    const messages: Received[] = []
    while (messages.length < count) messages.push(await this.next(timeout))
    return messages
  }

  /** Takes everything that is there now, without waiting. */
  drain(): Received[] {
    return this.#queue.splice(0)
  }

  /**
   * Resolves when the server has answered a ping: it has read everything that was sent before, and everything that
   * it wrote before answering is in the queue.
   */
  async roundTrip(timeout = DEFAULT_TIMEOUT): Promise<void> {
    const pong = new Promise<void>((resolve) => this.socket.once('pong', () => resolve()))
    this.socket.ping()
    await within(Promise.race([pong, this.closed]), { timeout, message: 'a pong' })
  }

  /** Stops reading: a stalled client. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** An orderly end; resolves when it is over. */
  async close(code?: number, reason?: string): Promise<Closed> {
    this.socket.close(code, reason)
    return within(this.closed, { message: 'the WebSocket to close' })
  }

  /** Cuts the connection: no close frame. */
  terminate(): void {
    this.socket.terminate()
  }
}

/**
 * Resolves when the connection is open.
 * @throws UpgradeRefused when the server answers with another status than 101
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<TestClient> {
  const { protocols = [], timeout = DEFAULT_TIMEOUT, t, ...clientOptions } = options
  const socket = new WebSocket(url, protocols, clientOptions)
  const client = new TestClient(socket)
  t?.after(() => client.terminate())
  const opened = new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.on('error', reject)
    socket.once('unexpected-response', (_request, response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => (body += text))
      response.once('end', () => reject(new UpgradeRefused(response.statusCode ?? 0, body)))
    })
  })
  try {
    await within(opened, { timeout, message: `a WebSocket connection to ${url}` })
  } catch (error) {
    socket.terminate()
    throw error
  }
  return client
}
