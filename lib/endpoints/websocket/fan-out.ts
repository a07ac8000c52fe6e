/**
 * Floor 3. One message to many clients. A server's frames are the same bytes for every client, so each is made once;
 * and all frames of one turn of the event loop leave as one buffer that the clients share, in one write a client.
 *
 * Finished frames are written straight to the socket, beside ws, which writes pings, pongs and close frames to it. Both
 * write whole frames, synchronously, so none is written into another; and after a close frame the WebSocket is no longer
 * OPEN, so that nothing follows it (RFC 6455 section 5.5.1).
 */
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { type Client, type Frame, Group } from './client.ts'
import { BINARY, frameLength, type Opcode, TEXT } from './frame.ts'
import { layOut, merge, partsAround, type Turn } from './turn.ts'

/** Frames are written before those of one turn are more bytes than this. */
const MAX_TURN = 256 * 1024

/**
 * When fan-outs that share it write next: no sooner than the last flush took, after its end. Where writing to all clients
 * takes long, more is gathered for the next time, and the other half of the time is there for what comes in.
 */
export interface Pace {
  /** Milliseconds, of the clock that never goes back. */
  notBefore: number
}

export interface FanOutOptions {
  /** Binary frames, else text. */
  readonly binary: boolean
  /** Bytes that may wait for one client. */
  readonly limit: number
  /** Grow after each flush: messages written, one for each client that a message was written to; and their frames' bytes. */
  readonly counters: { deliveries: number; deliveredBytes: number }
  /** A client did not get what was due to it: more than `limit` would wait. Called when the others were written to. */
  readonly onOverflow: (client: Client) => void
  /** One of its own, if left out. */
  readonly pace?: Pace
}

export class FanOut {
  readonly clients = new Set<Client>()
  readonly #options: FanOutOptions
  readonly #opcode: Opcode
  readonly #maxTurn: number
  readonly #groups = new Map<string, Group>()
  readonly #pace: Pace
  #frames: Frame[] = []
  #bytes = 0
  #scheduled = false
  // Of the flush that runs.
  #deliveries = 0
  #deliveredBytes = 0
  readonly #overflowed: Client[] = []

  constructor(options: FanOutOptions) {
    this.#options = options
    this.#pace = options.pace ?? { notBefore: 0 }
    this.#opcode = options.binary ? BINARY : TEXT
    this.#maxTurn = Math.min(MAX_TURN, options.limit)
  }

  add(client: Client): void {
    const group = this.#groups.get(client.path) ?? new Group()
    this.#groups.set(client.path, group)
    group.clients.add(client)
    client.group = group
    this.clients.add(client)
  }

  delete(client: Client): void {
    this.clients.delete(client)
    const { group, path } = client
    if (group?.clients.delete(client) === true && group.clients.size === 0) this.#groups.delete(path)
  }

  /** Whether a message for that path, or for all, is for anyone. */
  reaches(path: string | undefined): boolean {
    return path === undefined ? this.clients.size > 0 : this.#groups.has(path)
  }

  /**
   * Takes a message in for all clients, or for those of one path. Costs the same for one client and for a thousand.
   * @param payload kept until it is written; its frame must not be longer than {@link FanOutOptions.limit}.
   * @param except a client that does not get it.
   */
  send(payload: Buffer, path: string | undefined, except: Client | undefined): void {
    if (this.clients.size === 0) return
    const group = path === undefined ? undefined : this.#groups.get(path)
    if (group === undefined && path !== undefined) return
    const length = frameLength(payload.length)
    if (this.#bytes + length > this.#maxTurn) this.flush()
    this.#frames.push({ payload, length, group, except, offset: 0 })
    this.#bytes += length
    if (this.#scheduled) return
    this.#scheduled = true
    const wait = this.#pace.notBefore - performance.now()
    if (wait < 1) setImmediate(this.#onTurnEnd)
    else setTimeout(this.#onTurnEnd, wait)
  }

  readonly #onTurnEnd = (): void => {
    this.#scheduled = false
    const start = performance.now()
    this.flush()
    const end = performance.now()
    // Another one may have written in this turn, too.
    this.#pace.notBefore = Math.max(this.#pace.notBefore, end) + (end - start)
  }

  /** Writes what this turn has gathered so far. To be called before a close frame is sent. */
  flush(): void {
    const frames = this.#frames
    if (frames.length === 0) return
    this.#frames = []
    this.#bytes = 0
    const turn = layOut(frames, this.clients, this.#opcode)
    for (const group of turn.broadcasts > 0 ? this.#groups.values() : turn.groups) {
      // One group after the other: its buffer is gone, or in its clients' queues, when the next one's is made.
      const buffer = merge(turn.everyone, group.frames, this.#opcode)
      for (const client of group.clients) this.#deliver(client, turn, buffer)
      if (group.frames.length > 0) group.frames = []
    }
    this.#count()
    for (const client of this.#overflowed.splice(0)) this.#options.onOverflow(client)
  }

  #count(): void {
    const { counters } = this.#options
    counters.deliveries += this.#deliveries
    counters.deliveredBytes += this.#deliveredBytes
    this.#deliveries = 0
    this.#deliveredBytes = 0
  }

  #deliver(client: Client, turn: Turn, buffer: Buffer): void {
    const { direct, excepted, websocket } = client
    const group = client.group as Group
    client.excepted = undefined
    if (websocket.readyState !== WebSocket.OPEN) return
    if (direct === undefined) {
      this.#deliverByWs(client, turn.broadcasts > 0 ? turn.frames : group.frames)
      return
    }
    if (direct.writableLength + buffer.length > this.#options.limit) {
      this.#overflowed.push(client)
      return
    }
    this.#deliveries += turn.broadcasts + group.frames.length
    this.#deliveredBytes += buffer.length
    if (excepted === undefined) direct.write(buffer)
    else this.#deliverParts(direct, buffer, excepted, group)
  }

  #deliverParts(socket: Socket, buffer: Buffer, excepted: readonly Frame[], group: Group): void {
    this.#deliveries -= excepted.length
    for (const { length } of excepted) this.#deliveredBytes -= length
    const parts = partsAround(buffer, excepted, group.frames)
    if (parts.length > 1) socket.cork()
    for (const part of parts) socket.write(part)
    if (parts.length > 1) socket.uncork()
  }

  /** Message by message, for clients whose connection compresses: what they get depends on what they got before. */
  #deliverByWs(client: Client, frames: readonly Frame[]): void {
    const { binary, limit } = this.#options
    for (const { payload, length, group, except } of frames) {
      if (except === client || (group !== undefined && group !== client.group)) continue
      if (client.pending + length > limit) {
        this.#overflowed.push(client)
        return
      }
      client.websocket.send(payload, { binary })
      this.#deliveries++
      this.#deliveredBytes += length
    }
  }
}
