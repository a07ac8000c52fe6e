/**
 * Floor 3. Looks at the frames that come, before amqplib decodes them: it decodes tables within tables by calls within
 * calls, whose stack whoever may publish could have overflow with one message, and again on each new connection, for the
 * message is delivered again; and it believes whatever length a body is said to have.
 *
 * Source: AMQP 0-9-1, sections 4.2.3, 4.2.5.5, 4.2.6.1.
 */
import { CONTENT_ENCODING, CONTENT_TYPE, FRAME_START, HEADER_FRAME, HEADERS, LONG_STRING } from './protocol.ts'

/** Class, weight. */
const BEFORE_SIZE = 4
const BEFORE_FLAGS = BEFORE_SIZE + 8
/** Bytes. No broker takes more. Source: RabbitMQ, `max_message_size`. */
const MAX_BODY = 512 * 1024 * 1024
/** Tables and arrays are taken apart so deep: what is deeper stays bytes, as it came. */
const MAX_DEPTH = 64
const TABLE = 'F'.charCodeAt(0)
const ARRAY = 'A'.charCodeAt(0)
const BYTES = 'x'.charCodeAt(0)
/** Bytes of the values of a field table, by their type; those with a length of their own are not among them. */
const SIZES: ReadonlyMap<number, number> = new Map(
  Object.entries({ t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, f: 4, D: 5, l: 8, d: 8, T: 8, V: 0 }).map(
    ([tag, size]) => [tag.charCodeAt(0), size],
  ),
)
const WITH_LENGTH = new Set([TABLE, ARRAY, BYTES, LONG_STRING])

/** Of amqplib's connection. */
export interface FrameReader {
  /** What has been read and not decoded; a frame begins there. */
  readonly rest: Buffer
  /** Called before each frame, and again when more has been read. What it throws is the connection's end. */
  recvFrame(): unknown
}

/** From now on, each frame is looked at. */
export function guard(reader: FrameReader): void {
  const receive = reader.recvFrame.bind(reader)
  reader.recvFrame = () => {
    lookAt(reader.rest)
    return receive()
  }
}

/**
 * @param rest what a frame is to begin; written to where its headers are too deep.
 * @throws Error where the body that is announced is larger than any.
 */
export function lookAt(rest: Buffer): void {
  if (rest[0] !== HEADER_FRAME || rest.length < FRAME_START) return
  const end = FRAME_START + rest.readUInt32BE(3)
  if (rest.length <= end || end < FRAME_START + BEFORE_FLAGS + 2) return
  const size = rest.readBigUInt64BE(FRAME_START + BEFORE_SIZE)
  if (size > MAX_BODY) throw new Error(`the broker announces a message of ${size} bytes, more than any broker takes`)
  flatten(rest.subarray(FRAME_START + BEFORE_FLAGS, end))
}

/** @param properties flags and values. Whatever is wrong with them, amqplib finds. */
function flatten(properties: Buffer): void {
  const flags = properties.readUInt16BE(0)
  if ((flags & HEADERS) === 0) return
  let at = 2
  for (const flag of [CONTENT_TYPE, CONTENT_ENCODING]) if ((flags & flag) !== 0) at += 1 + (properties[at] ?? 0)
  if (at + 4 <= properties.length) flattenTable(properties.subarray(at + 4))
}

/** Without recursion: its depth is the sender's to choose. */
function flattenTable(bytes: Buffer): void {
  /** Where the tables and arrays end that `at` is in, from the outermost on. */
  const open: { readonly end: number; readonly isArray: boolean }[] = []
  let at = 0
  while (at < bytes.length) {
    while (open.length > 0 && at >= (open.at(-1)?.end ?? 0)) open.pop()
    if (open.at(-1)?.isArray !== true) at += 1 + (bytes[at] ?? 0)
    const place = at++
    const tag = bytes[place] ?? 0
    if (!WITH_LENGTH.has(tag)) {
      const size = SIZES.get(tag)
      if (size === undefined) return
      at += size
    } else {
      if (at + 4 > bytes.length) return
      const end = at + 4 + bytes.readUInt32BE(at)
      const isNested = tag === TABLE || tag === ARRAY
      // Bytes are written in the same way: a length, and what is in it.
      if (isNested && open.length >= MAX_DEPTH) bytes[place] = BYTES
      if (isNested && open.length < MAX_DEPTH) {
        open.push({ end, isArray: tag === ARRAY })
        at += 4
      } else at = end
    }
  }
}
