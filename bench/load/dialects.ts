/**
 * How each server is spoken to: what the publisher writes for one message, what a client writes to get it, and the
 * bytes that arrive for it. All of them are the same for every message but for the payload's marks, so nothing is
 * encoded or decoded while the clock runs.
 */
import { BINARY, clientFrame, serverFrame, TEXT } from './frames.ts'
import { packBroadcast } from './msgpack.ts'
import { PAYLOAD } from './message.ts'

/** What the benchmark publishes to: a Redis channel, a NATS subject. */
export const CHANNEL = 'bench'

/** What a client does about something that is no message: answers it, or is ready for messages from then on. */
export interface Answer {
  readonly reply?: Buffer
  readonly ready?: boolean
}

export interface Dialect {
  /** The publisher's first bytes to the broker. */
  readonly greeting: Buffer
  /** The publisher's bytes for one message: made of {@link PAYLOAD}. */
  readonly command: Buffer
  /** What the client asks to be upgraded to a WebSocket; undefined where it reads plain TCP. */
  readonly path: string | undefined
  /** The client's first bytes after that. Without any it is ready at once. */
  readonly hello: Buffer | undefined
  /** All bytes that arrive for one message: made of {@link PAYLOAD}. */
  readonly record: Buffer
  /** Records are no frames: they lie in binary frames, whole ones, any number in each. */
  readonly layered: boolean
  /** What to do about a text frame or a line that is no record; undefined for what should never come. */
  answer(text: string): Answer | undefined
}

/** RESP (the Redis serialization protocol): a command is an array of bulk strings. No replies: nobody waits for them. */
function redis(channel: string, payload: string | Buffer): Pick<Dialect, 'greeting' | 'command'> {
  const parts = ['PUBLISH', channel, payload].map((part) => Buffer.from(part))
  const bulks = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')])
  return { greeting: Buffer.from('CLIENT REPLY OFF\r\n'), command: Buffer.concat([Buffer.from('*3\r\n'), ...bulks]) }
}

const plain = { hello: undefined, layered: false, answer: () => undefined }

/** A client of the command, and of every other server that sends a payload as one text frame. */
const websocket: Dialect = {
  ...plain,
  ...redis(CHANNEL, PAYLOAD),
  path: '/ws',
  record: serverFrame(TEXT, PAYLOAD),
}

/** Bytes on TCP, nothing around them. */
const raw: Dialect = { ...plain, ...redis(CHANNEL, PAYLOAD), path: undefined, record: Buffer.from(PAYLOAD) }

/** Engine.IO 4 in WebSocket text frames, Socket.IO 5 in that; the broker's side is what @socket.io/redis-emitter sends. */
const socketIo: Dialect = {
  ...redis('socket.io#/#', packBroadcast('message', JSON.parse(PAYLOAD) as Record<string, string>)),
  path: '/socket.io/?EIO=4&transport=websocket',
  hello: clientFrame(TEXT, '40'),
  record: serverFrame(TEXT, `42["message",${PAYLOAD}]`),
  layered: false,
  answer: (text) => {
    if (text === '2') return { reply: clientFrame(TEXT, '3') }
    if (text.startsWith('0')) return {}
    return text.startsWith('40') ? { ready: true } : undefined
  },
}

const connect = 'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1"}\r\n'

/** The NATS protocol: plain for the publisher, in WebSocket frames for the clients. */
const nats: Dialect = {
  greeting: Buffer.from(connect),
  command: Buffer.from(`PUB ${CHANNEL} ${PAYLOAD.length}\r\n${PAYLOAD}\r\n`),
  path: '/',
  hello: clientFrame(BINARY, `${connect}SUB ${CHANNEL} 1\r\nPING\r\n`),
  record: Buffer.from(`MSG ${CHANNEL} 1 ${PAYLOAD.length}\r\n${PAYLOAD}\r\n`),
  layered: true,
  answer: (text) => {
    if (text === 'PING') return { reply: clientFrame(BINARY, 'PONG\r\n') }
    if (text === 'PONG') return { ready: true }
    return text.startsWith('INFO ') ? {} : undefined
  },
}

export const dialects = { raw, websocket, 'socket.io': socketIo, nats } as const
export type DialectName = keyof typeof dialects

export function isDialectName(name: string): name is DialectName {
  return Object.hasOwn(dialects, name)
}
