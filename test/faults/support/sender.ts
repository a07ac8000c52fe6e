/** A browser that speaks `araldo.v1`: sends numbered messages at a rate, and sends again, on the next connection, what was not acknowledged. */
import { WebSocket } from 'ws'
import type { Owner } from '../../support/process.ts'
import { encode, keyOf } from './message.ts'

export interface SenderOptions {
  readonly t: Owner
  readonly url: string
  /** Messages a second. */
  readonly rate: number
  readonly count: number
  readonly keys: number
}

/** How often it looks at what is due, and how long it waits before it connects anew (milliseconds). */
const TICK = 5
const RECONNECT = 50
/** So many messages may be without an answer; then it waits. */
const MAX_OPEN = 1_000

interface Answer {
  readonly type: string
  readonly id: string
}

export class Sender {
  readonly acknowledged = new Set<number>()
  /** Answers that a message did not get everywhere. */
  refusals = 0
  connects = 0
  /** Resolves when every message is acknowledged. */
  readonly finished: Promise<void>
  #finish: () => void = () => {}
  readonly #options: SenderOptions
  readonly #open = new Set<number>()
  #again: number[] = []
  #socket: WebSocket | undefined
  readonly #timer: NodeJS.Timeout
  #next = 0
  #credit = 0
  #last = performance.now()
  #isOver = false

  constructor(options: SenderOptions) {
    this.#options = options
    this.finished = new Promise((resolve) => (this.#finish = resolve))
    this.#timer = setInterval(() => this.#tick(), TICK)
    options.t.after(() => {
      this.#isOver = true
      clearInterval(this.#timer)
      this.#socket?.terminate()
    })
    this.#connect()
  }

  #connect(): void {
    if (this.#isOver) return
    const socket = new WebSocket(this.#options.url, 'araldo.v1')
    this.#socket = socket
    socket.on('open', () => {
      this.connects++
      socket.send(JSON.stringify({ type: 'session', session: 'the-fault-tests-own-session' }))
      // In the order in which they were sent at first.
      this.#again = [...this.#open].toSorted((a, b) => b - a)
      this.#open.clear()
    })
    socket.on('message', (data: Buffer) => this.#onAnswer(JSON.parse(data.toString()) as Answer))
    socket.on('error', () => {}) // it closes, which is what counts
    socket.on('close', () => setTimeout(() => this.#connect(), RECONNECT))
  }

  #onAnswer({ type, id }: Answer): void {
    const number = Number(id)
    if (type === 'ack') {
      this.#open.delete(number)
      this.acknowledged.add(number)
      if (this.acknowledged.size === this.#options.count) this.#finish()
    } else if (type === 'nack') {
      this.refusals++
      if (this.#open.delete(number)) this.#again.push(number)
    }
  }

  #tick(): void {
    const { rate, count, keys } = this.#options
    const now = performance.now()
    const passed = now - this.#last
    this.#last = now
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    this.#credit += (passed * rate) / 1_000
    while (this.#credit >= 1 && this.#open.size < MAX_OPEN) {
      const number = this.#again.pop() ?? (this.#next < count ? this.#next++ : undefined)
      this.#credit = number === undefined ? 0 : this.#credit - 1
      if (number === undefined) return
      const key = keyOf(number, keys)
      this.#open.add(number)
      this.#socket.send(`{"type":"message","id":"${number}","key":"${key}","body":${encode(number, key).toString()}}`)
    }
    if (this.#open.size >= MAX_OPEN) this.#credit = 0
  }
}
