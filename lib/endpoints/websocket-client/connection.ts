/**
 * Floor 3. One connection to a server, from the handshake to its end. What the server still says after
 * {@link Connection.close} reaches nobody.
 */
import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { WebSocket } from 'ws'
import { Cork } from '../common/cork.ts'
import { closingOf, refusalOf } from './reasons.ts'
import { Silence } from './silence.ts'

export interface ConnectionInit {
  readonly url: string
  readonly subprotocols: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly tls: ConnectionOptions | undefined
  /** Bytes. */
  readonly maxPayload: number
  /** Milliseconds. */
  readonly pingInterval: number
  readonly pingTimeout: number
  readonly onMessage: (data: Buffer, isBinary: boolean) => void
  /** Bytes have reached the operating system. */
  readonly onWritten: () => void
  /** Called once, when it was open and has ended by itself. @param code of the close frame, where there was one. */
  readonly onLost: (error: Error, code?: number) => void
}

/** How long the end waits for the server's close frame (milliseconds). */
const CLOSE_TIMEOUT = 1_000
/** A message may come in so many pieces, and one more for each so many bytes: a piece costs memory beside its bytes. */
const FREE_PIECES = 256
const BYTES_A_PIECE = 256

export class Connection {
  readonly #init: ConnectionInit
  readonly #websocket: WebSocket
  readonly #cork = new Cork()
  #socket: Socket | undefined
  #silence: Silence | undefined
  #isClosed = false

  /** Begins the handshake; {@link open} is to be called in the same turn. */
  constructor(init: ConnectionInit) {
    this.#init = init
    const pieces = FREE_PIECES + Math.ceil(init.maxPayload / BYTES_A_PIECE)
    this.#websocket = new WebSocket(init.url, [...init.subprotocols], {
      ...init.tls,
      headers: init.headers,
      maxPayload: init.maxPayload,
      maxFragments: pieces,
      maxBufferedChunks: pieces,
      perMessageDeflate: false,
      followRedirects: false,
    })
  }

  /** Resolves when it is open. @throws Error that says what to do, without a secret. */
  async open(signal: AbortSignal): Promise<void> {
    const websocket = this.#websocket
    const onAbort = (): void =>
      void websocket.emit('error', new Error('the server did not answer the handshake in time'))
    signal.addEventListener('abort', onAbort)
    try {
      await new Promise<void>((resolve, reject) => {
        websocket.on('error', (error) => {
          reject(error)
          this.#lost(error)
        })
        websocket.on('unexpected-response', (request, response) => {
          request.destroy()
          reject(refusalOf(response))
        })
        websocket.on('upgrade', ({ socket }) => (this.#socket = socket))
        websocket.on('open', () => {
          this.#begin()
          resolve()
        })
      })
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #begin(): void {
    const websocket = this.#websocket
    const { onMessage, pingInterval, pingTimeout } = this.#init
    const silence = new Silence({
      pingInterval,
      pingTimeout,
      isPaused: () => websocket.isPaused,
      ping: () => websocket.ping(),
      onSilent: () => this.#lost(new Error(`the server says nothing, and did not answer a ping for ${pingTimeout} ms`)),
    })
    this.#silence = silence
    websocket.on('ping', () => silence.heard())
    websocket.on('pong', () => silence.heard())
    websocket.on('message', (data: Buffer, isBinary) => {
      silence.heard()
      if (!this.#isClosed) onMessage(data, isBinary)
    })
    websocket.on('close', (code, reason) => this.#lost(closingOf(code, reason), code))
  }

  /** Bytes that wait for the operating system. */
  get unsent(): number {
    return this.#websocket.bufferedAmount
  }

  /** Where it is closing already, nothing happens: it is about to be lost. */
  send(data: Buffer | string, binary: boolean): void {
    if (this.#socket !== undefined) this.#cork.hold(this.#socket)
    this.#websocket.send(data, { binary, compress: false }, this.#onWritten)
  }

  readonly #onWritten = (): void => {
    if (!this.#isClosed) this.#init.onWritten()
  }

  /** Reads nothing until {@link resume}; what was read already may still come. */
  pause(): void {
    this.#websocket.pause()
  }

  resume(): void {
    this.#websocket.resume()
  }

  #lost(error: Error, code?: number): void {
    if (this.#silence === undefined || this.#isClosed) return
    this.#silence.stop()
    this.#isClosed = true
    this.#init.onLost(error, code)
  }

  /** An orderly end where it is open, within a second. */
  async close(): Promise<void> {
    this.#silence?.stop()
    const isOrderly = !this.#isClosed && this.#websocket.readyState === WebSocket.OPEN
    this.#isClosed = true
    if (isOrderly) await this.#shake()
    this.#websocket.terminate()
  }

  async #shake(): Promise<void> {
    this.#websocket.resume()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CLOSE_TIMEOUT)
      this.#websocket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      this.#websocket.close(1000)
    })
  }
}
