/**
 * Browsers made of bare sockets, a thousand of them in the test's own process: each takes frames apart, checks that none
 * is missing, and tells how late they came. They can stop reading, or read slowly.
 */
import { Histogram } from '../../../bench/measure.ts'
import { connectRaw, type RawClient } from '../../endpoints/websocket/raw.ts'
import type { Owner } from '../../support/process.ts'
import { decode, MESSAGE_BYTES } from './message.ts'

/** A text frame of {@link MESSAGE_BYTES}: two bytes of head, two of length (RFC 6455 section 5.2). */
const HEAD = Buffer.from([0x81, 126, MESSAGE_BYTES >> 8, MESSAGE_BYTES & 0xff])
const FRAME = HEAD.length + MESSAGE_BYTES
const NUMBER_AT = HEAD.length + '{"number":'.length
const ZERO = 48
const PING = 0x89
const CLOSE = 0x88
/** An answer to a ping without content, masked by zeros. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

/** What all browsers of a test share: when each message was sent, and how late each came. */
export class Arrivals {
  /** By number (milliseconds, monotonic). */
  readonly sentAt: number[] = []
  readonly latency = new Histogram()

  record(number: number): void {
    const sent = this.sentAt[number]
    if (sent !== undefined) this.latency.record(Math.round((performance.now() - sent) * 1_000))
  }
}

export interface BrowserOptions {
  readonly t: Owner
  readonly arrivals: Arrivals
  /** Whether it checks the hash of each message, too. */
  readonly thorough?: boolean
}

export class Browser {
  /** Messages that came. */
  received = 0
  /** Messages that should have come before one that did. */
  missed = 0
  corrupted = 0
  last = -1
  /** Of the close frame that came. */
  closeCode: number | undefined
  readonly #arrivals: Arrivals
  readonly #thorough: boolean
  readonly #client: RawClient
  #rest: Buffer = Buffer.alloc(0)

  private constructor(client: RawClient, { arrivals, thorough = false }: BrowserOptions) {
    this.#client = client
    this.#arrivals = arrivals
    this.#thorough = thorough
    const { bytes } = client
    client.socket.removeAllListeners('data')
    client.socket.on('data', this.#onData)
    if (bytes.length > 0) this.#onData(bytes)
  }

  static async connect(url: string, options: BrowserOptions): Promise<Browser> {
    return new Browser(await connectRaw(url, { t: options.t }), options)
  }

  get isOpen(): boolean {
    return !this.#client.socket.destroyed
  }

  /** Reads nothing more. */
  stall(): void {
    this.#client.socket.pause()
  }

  /** Reads so many bytes a second from now on, until the test ends. */
  readSlowly(t: Owner, bytesPerSecond: number): void {
    const { socket } = this.#client
    socket.off('data', this.#onData)
    socket.pause()
    const timer = setInterval(() => {
      const chunk = socket.read(Math.min(bytesPerSecond / 10, socket.readableLength)) as Buffer | null
      if (chunk !== null) this.#onData(chunk)
    }, 100)
    socket.on('readable', () => {}) // what makes it fill its buffer, and no more
    t.after(() => clearInterval(timer))
  }

  readonly #onData = (chunk: Buffer): void => {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (at < bytes.length) {
      const length = frameLength(bytes, at)
      if (length === undefined || at + length > bytes.length) break
      if (length === FRAME) this.#onMessage(bytes, at)
      else this.#onControl(bytes.subarray(at, at + length))
      at += length
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at)
  }

  #onMessage(bytes: Buffer, at: number): void {
    let number = 0
    for (let place = at + NUMBER_AT; ; place++) {
      const digit = (bytes[place] as number) - ZERO
      if (digit < 0 || digit > 9) break
      number = number * 10 + digit
    }
    this.received++
    if (this.last !== -1) this.missed += number - this.last - 1
    this.last = number
    this.#arrivals.record(number)
    if (this.#thorough && decode(bytes.subarray(at + HEAD.length, at + FRAME)) === undefined) this.corrupted++
  }

  #onControl(frame: Buffer): void {
    if (frame[0] === PING) this.#client.socket.write(PONG)
    else if (frame[0] === CLOSE) this.closeCode = frame.readUInt16BE(2)
    else throw new Error(`a frame that nobody sent: ${frame.subarray(0, 16).toString('hex')}`)
  }
}

/** Of the frame that begins there; undefined where that is still to come. The server sends no longer ones than ours. */
function frameLength(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < HEAD.length) return undefined
  const length = (bytes[at + 1] as number) & 0x7f
  return length === 126 ? HEAD.length + bytes.readUInt16BE(at + 2) : 2 + length
}
