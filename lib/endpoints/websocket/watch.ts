/**
 * Floor 3. One timer for all deadlines of an endpoint's clients: pings and their answers, writes that make no progress,
 * close frames that are not answered.
 *
 * Time is counted in ticks of that timer, not in what the clock says: a process that was stopped for a minute, or busy
 * for ten seconds, does not blame its clients for it.
 */
import { WebSocket } from 'ws'
import type { Client } from './client.ts'

/** Milliseconds between two ticks, unless a deadline is too short for that. */
const TICK = 1_000
/** The shortest deadline has at least so many ticks. */
const TICKS_PER_DEADLINE = 4
/** A client that was sent a close frame, or breaks the protocol, is cut off after so many milliseconds. */
const CLOSE_TIMEOUT = 2_000

/** Milliseconds each. */
export interface WatchOptions {
  /** A client that was not heard of for so long is sent a ping. */
  readonly pingInterval: number
  /** And is cut off when it is not heard of for so long after. */
  readonly pingTimeout: number
  /** A client whose queue makes no progress for so long is stalled. */
  readonly writeTimeout: number
  /** Called once for a stalled client. */
  readonly onStalled: (client: Client) => void
  /** Called before a client is cut off that did not answer a ping. */
  readonly onPingTimeout: (client: Client) => void
}

export class Watch {
  /** Counted from 1 on. */
  now = 1
  readonly #clients: ReadonlySet<Client>
  readonly #options: WatchOptions
  readonly #tick: number
  readonly #pingInterval: number
  readonly #pingTimeout: number
  readonly #writeTimeout: number
  #timer: NodeJS.Timeout | undefined

  constructor(clients: ReadonlySet<Client>, options: WatchOptions) {
    const { pingInterval, pingTimeout, writeTimeout } = options
    const shortest = Math.min(pingInterval, pingTimeout, writeTimeout)
    this.#clients = clients
    this.#options = options
    this.#tick = Math.max(1, Math.min(TICK, Math.floor(shortest / TICKS_PER_DEADLINE)))
    this.#pingInterval = this.ticks(pingInterval)
    this.#pingTimeout = this.ticks(pingTimeout)
    this.#writeTimeout = this.ticks(writeTimeout)
  }

  /** How many ticks it takes for so many milliseconds to have passed. */
  ticks(milliseconds: number): number {
    return Math.ceil(milliseconds / this.#tick)
  }

  start(): void {
    this.#timer ??= setInterval(this.#sweep, this.#tick).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Something came in from a client: it lives. */
  heard(client: Client): void {
    client.heardAt = this.now
    client.pingedAt = 0
  }

  /** A client that is closing is cut off when it has not gone after so many milliseconds. */
  limit(client: Client, milliseconds = CLOSE_TIMEOUT): void {
    if (client.deadline === 0) client.deadline = this.now + this.ticks(milliseconds)
  }

  readonly #sweep = (): void => {
    this.now++
    for (const client of this.#clients) {
      if (client.websocket.readyState !== WebSocket.OPEN) this.limit(client)
      if (client.deadline === 0) this.#check(client)
      else if (this.now >= client.deadline) client.websocket.terminate()
    }
  }

  #check(client: Client): void {
    const { now } = this
    if (client.pending > 0) {
      if (client.hasMoved()) client.movedAt = now
      else if (now - client.movedAt >= this.#writeTimeout) this.#options.onStalled(client)
      // A ping waits behind what is queued: its answer is not due yet.
      if (client.pingedAt !== 0) client.pingedAt = now
      return
    }
    client.movedAt = now
    if (client.websocket.isPaused) this.#probe(client)
    else if (client.pingedAt !== 0) {
      if (now - client.pingedAt < this.#pingTimeout) return
      this.#options.onPingTimeout(client)
      client.websocket.terminate()
    } else if (now - client.heardAt >= this.#pingInterval) {
      client.pingedAt = now
      client.websocket.ping()
    }
  }

  /**
   * Of a client that nothing is read from: that it is not heard of is not its fault, and an answer would not be, either.
   * One that has gone, which only reading would tell, shows itself by writes that fail.
   */
  #probe(client: Client): void {
    if (this.now - client.heardAt < this.#pingInterval) return
    this.heard(client)
    client.websocket.ping()
  }
}
