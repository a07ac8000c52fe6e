/**
 * Floor 3. One WebSocket client of an endpoint: what is known of it, and how far its writes have come. With it, what it
 * shares with others: the group of its path, and the frames that are on their way to them.
 */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Headers } from '../../types.ts'
import type { Conversation } from './conversation.ts'
import { writeQueueSize } from './internals.ts'

export interface ClientInit {
  readonly websocket: WebSocket
  /** The connection's stream, where it is a socket of the operating system's. */
  readonly socket: Socket | undefined
  /** The request's path without its query, decoded, without the relay's prefix. */
  readonly path: string
  /** Of every message that comes in by it. */
  readonly headers: Headers
  /** The watch's tick at which it came. */
  readonly tick: number
  /** Where it speaks `araldo.v1`. */
  readonly conversation: Conversation | undefined
}

/** A message of a client's that was read when nothing was to be read from it. */
export interface Early {
  readonly data: Buffer
  readonly isBinary: boolean
}

export class Client {
  readonly websocket: WebSocket
  readonly path: string
  readonly headers: Headers
  /**
   * Where finished frames are written to, beside ws; undefined where every message must go through ws: it compresses,
   * or the stream is none of the operating system's (`injectWS`).
   */
  readonly direct: Socket | undefined
  /** Of a client whose messages are answered. */
  readonly conversation: Conversation | undefined

  /** The endpoint's: what had been read already when it was paused; at most a socket's read buffer. */
  early: Early[] | undefined
  /** The fan-out's: the clients of the same path. */
  group: Group | undefined
  /** The fan-out's, during a flush: the frames of this turn that it must not get, in order; it sent them. */
  excepted: Frame[] | undefined

  /** The watch's, in ticks: when something last came in. */
  heardAt: number
  /** When it was sent a ping that it has not answered; 0 for none. */
  pingedAt = 0
  /** When bytes last left its queue, or there were none in it. */
  movedAt: number
  /** When it is cut off, whatever it does; 0 for never. */
  deadline = 0

  readonly #socket: Socket | undefined
  // What hasMoved saw last.
  #completed = 0
  #queued = 0

  /** Names the connection in messages and in the log. */
  get id(): string {
    return this.headers.connection_id as string
  }

  constructor({ websocket, socket, path, headers, tick, conversation }: ClientInit) {
    this.websocket = websocket
    this.path = path
    this.headers = headers
    this.conversation = conversation
    this.#socket = socket
    this.direct = websocket.extensions === '' ? socket : undefined
    this.heardAt = tick
    this.movedAt = tick
  }

  /** Bytes that were written to it and have not reached the operating system. */
  get pending(): number {
    return this.direct === undefined ? this.websocket.bufferedAmount : this.direct.writableLength
  }

  /** Whether bytes have left its queue since this was last asked. To be asked while there are bytes in it. */
  hasMoved(): boolean {
    const socket = this.#socket
    const queued = socket === undefined ? 0 : writeQueueSize(socket)
    const completed = socket === undefined ? -this.pending : socket.bytesWritten - socket.writableLength
    const moved = completed !== this.#completed || queued !== this.#queued
    this.#completed = completed
    this.#queued = queued
    return moved
  }
}

/** A message on its way out. */
export interface Frame {
  readonly payload: Buffer
  /** Bytes, its header included. */
  readonly length: number
  /** Whom it is for; undefined for everyone. */
  readonly group: Group | undefined
  /** Who does not get it. */
  readonly except: Client | undefined
  /** Where it begins in the buffer for everyone; of a group's frame, where it is to be inserted there. */
  offset: number
}

/** The clients of one path. */
export class Group {
  readonly clients = new Set<Client>()
  /** During a flush: its own frames of this turn, in order. */
  frames: Frame[] = []
}
