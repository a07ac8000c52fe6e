/**
 * Floor 3. What ws and Node do not offer by a public name. Each is used where it is there and done without where it is
 * not, so that another version of either changes a bound's sharpness, not what the relay does.
 */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'

type Bounds = Partial<Record<'_maxPayload' | '_maxFragments' | '_maxBufferedChunks', unknown>>

interface WebSocketInternals {
  readonly _receiver?: Bounds | null
  readonly _extensions?: Readonly<Record<string, Bounds>> | null
}

interface SocketInternals {
  readonly _handle?: { readonly writeQueueSize?: unknown } | null
  readonly _httpMessage?: { detachSocket?: (socket: Socket) => void } | null
}

/** A message may come in so many pieces, and one more for each so many bytes: a piece costs memory beside its bytes. */
const FREE_PIECES = 256
const BYTES_A_PIECE = 256

/**
 * Lets ws refuse a message of more than `bytes` with 1009 as soon as its header tells, or as it is inflated, and with
 * 1008 one that dribbles in. The server's own bounds hold for all endpoints of the server. To be called before anything
 * is read.
 */
export function boundMessages(websocket: WebSocket, bytes: number): void {
  const { _receiver, _extensions } = websocket as unknown as WebSocketInternals
  const pieces = FREE_PIECES + Math.ceil(bytes / BYTES_A_PIECE)
  const bounds = { _maxPayload: bytes, _maxFragments: pieces, _maxBufferedChunks: pieces }
  for (const part of [_receiver, ...Object.values(_extensions ?? {})]) {
    for (const [name, bound] of Object.entries(bounds) as [keyof Bounds, number][]) {
      if (typeof part?.[name] === 'number') part[name] = bound
    }
  }
}

/**
 * Bytes that libuv has of a socket and the operating system has not. One write may be larger than a slow client reads
 * in a long while, and within it no public figure moves. 0 where it is not known.
 */
export function writeQueueSize(socket: Socket): number {
  const size = (socket as unknown as SocketInternals)._handle?.writeQueueSize
  return typeof size === 'number' ? size : 0
}

/** Lets go of the response that the upgraded request was never answered with: else it lives as long as the socket. */
export function releaseResponse(socket: Socket): void {
  ;(socket as unknown as SocketInternals)._httpMessage?.detachSocket?.(socket)
}
