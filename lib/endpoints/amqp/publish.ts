/**
 * Floor 3. Messages as they leave: basic.publish, the header of its content and its body, one message behind the other in
 * one piece of memory for all of a turn of the event loop. amqplib would make ten buffers of each message, and write them
 * through two streams.
 *
 * Source: AMQP 0-9-1, sections 4.2.3 (frames), 4.2.5 (values) and 4.2.6 (content); the specification's XML for numbers.
 */
import type { Properties } from './properties.ts'
import {
  APP_ID,
  BODY_FRAME,
  CONTENT_ENCODING,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVERY_MODE,
  EXPIRATION,
  FRAME_END,
  FRAME_START,
  HEADER_FRAME,
  HEADERS,
  LONG_STRING,
  MESSAGE_ID,
  METHOD_FRAME,
  PRIORITY,
  REPLY_TO,
  TIMESTAMP,
  TYPE,
} from './protocol.ts'

export interface PublishWriterInit {
  readonly channel: number
  readonly exchange: string
  readonly persistent: boolean
  readonly mandatory: boolean
  /** Bytes of a frame, at most: as agreed upon with the broker. */
  readonly frameMax: number
  /** Whole frames, or what goes on with those before. What it is given stays as it is. */
  readonly write: (bytes: Buffer) => void
}

/** Bytes of a frame beside its payload. */
const OVERHEAD = FRAME_START + 1

const BASIC = 60
const PUBLISH = 40
const MANDATORY = 1

/** Class, weight, size of the body, flags. */
const HEADER_START = 2 + 2 + 8 + 2
/** Bytes of all properties but the headers, at most: eight texts, and numbers. */
const MAX_PROPERTIES = 8 * 256 + 16
/** Bytes beside the two texts of a header: their lengths, and a type. */
const HEADER_OVERHEAD = 1 + 1 + 4
/** No character of a string has more bytes. */
const MAX_UTF8 = 3
/** Bytes that are reserved at one time. */
const PIECE = 64 * 1024
/** A part of a payload of more bytes is written by itself, and not copied. */
const LARGE = 16 * 1024

export class PublishWriter {
  readonly #init: PublishWriterInit
  #bytes = Buffer.allocUnsafeSlow(PIECE)
  /** What lies between the two has not been written. */
  #start = 0
  #end = 0
  #isScheduled = false
  /** The method's frame for the routing key that was the last. */
  #method = Buffer.alloc(0)
  #routingKey: string | undefined

  constructor(init: PublishWriterInit) {
    this.#init = init
  }

  /**
   * It is written at the end of this turn of the event loop.
   * @param routingKey of 255 bytes at most.
   * @returns bytes of all its frames.
   * @throws RangeError where the headers do not fit into a frame; nothing of the message is written then.
   */
  add(routingKey: string, properties: Properties, payload: Buffer): number {
    if (routingKey !== this.#routingKey) this.#addressTo(routingKey)
    const head = this.#writeHead(properties, payload.length)
    this.#end += head
    // Before a large payload is written, so that its end leaves with it.
    if (!this.#isScheduled) process.nextTick(this.flush)
    this.#isScheduled = true
    return head + this.#writeBody(payload)
  }

  /** Writes what there is at once. */
  readonly flush = (): void => {
    this.#isScheduled = false
    if (this.#start === this.#end) return
    this.#init.write(this.#bytes.subarray(this.#start, this.#end))
    this.#start = this.#end
  }

  /**
   * After what there is.
   * @returns bytes of the method's frame and the header's.
   * @throws RangeError
   */
  #writeHead(properties: Properties, bodySize: number): number {
    const { frameMax } = this.#init
    const { headers } = properties
    let characters = 0
    for (const text of headers) characters += text.length
    // No text has fewer bytes than characters: nothing is reserved for what cannot be sent.
    if (characters > frameMax) throw tooLarge(frameMax)
    const most = characters * MAX_UTF8 + (headers.length / 2) * HEADER_OVERHEAD + MAX_PROPERTIES
    this.#reserve(this.#method.length + OVERHEAD + HEADER_START + most)
    const bytes = this.#bytes
    const start = this.#end + this.#method.copy(bytes, this.#end)
    const end = writeProperties(bytes, start + FRAME_START + HEADER_START - 2, properties, this.#init.persistent)
    const size = end - start - FRAME_START
    if (size + OVERHEAD > frameMax) throw tooLarge(frameMax)
    const at = this.#writeFrameStart(start, HEADER_FRAME, size)
    bytes.writeUInt16BE(BASIC, at)
    bytes.writeUInt16BE(0, at + 2)
    bytes.writeUInt32BE(0, at + 4)
    bytes.writeUInt32BE(bodySize, at + 8)
    bytes[end] = FRAME_END
    return end + 1 - this.#end
  }

  /** @returns bytes of its frames. */
  #writeBody(payload: Buffer): number {
    const most = this.#init.frameMax - OVERHEAD
    let frames = 0
    for (let from = 0; from < payload.length; from += most) {
      const size = Math.min(most, payload.length - from)
      frames++
      const isLarge = size > LARGE
      this.#reserve(isLarge ? OVERHEAD : OVERHEAD + size)
      this.#end = this.#writeFrameStart(this.#end, BODY_FRAME, size)
      if (isLarge) {
        this.flush()
        this.#init.write(payload.subarray(from, from + size))
      } else this.#end += payload.copy(this.#bytes, this.#end, from, from + size)
      this.#bytes[this.#end++] = FRAME_END
    }
    return payload.length + frames * OVERHEAD
  }

  #addressTo(routingKey: string): void {
    const { exchange, mandatory } = this.#init
    const size = 2 + 2 + 2 + textSize(exchange) + textSize(routingKey) + 1
    const bytes = Buffer.allocUnsafe(OVERHEAD + size)
    let at = writeFrameStart(bytes, 0, METHOD_FRAME, this.#init.channel, size)
    at = bytes.writeUInt16BE(BASIC, at)
    at = bytes.writeUInt16BE(PUBLISH, at)
    at = bytes.writeUInt16BE(0, at) // reserved
    at = writeText(bytes, writeText(bytes, at, exchange), routingKey)
    bytes[at++] = mandatory ? MANDATORY : 0
    bytes[at] = FRAME_END
    this.#method = bytes
    this.#routingKey = routingKey
  }

  #writeFrameStart(at: number, type: number, size: number): number {
    return writeFrameStart(this.#bytes, at, type, this.#init.channel, size)
  }

  /** There are so many bytes after {@link #end}. What was written before is never written over: sockets may hold it. */
  #reserve(size: number): void {
    if (this.#end + size <= this.#bytes.length) return
    this.flush()
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(PIECE, size))
    this.#start = this.#end = 0
  }
}

function writeFrameStart(bytes: Buffer, at: number, type: number, channel: number, size: number): number {
  bytes[at] = type
  bytes.writeUInt16BE(channel, at + 1)
  return bytes.writeUInt32BE(size, at + 3)
}

/** Flags and values, in the order of the flags. @returns where they end. */
function writeProperties(bytes: Buffer, start: number, properties: Properties, persistent: boolean): number {
  const { contentType, contentEncoding, headers, priority, correlationId } = properties
  const { replyTo, expiration, messageId, timestamp, type, appId } = properties
  let flags = CONTENT_TYPE | HEADERS | DELIVERY_MODE | TIMESTAMP
  let at = writeText(bytes, start + 2, contentType)
  if (contentEncoding !== undefined) {
    flags |= CONTENT_ENCODING
    at = writeText(bytes, at, contentEncoding)
  }
  at = writeTable(bytes, at, headers)
  bytes[at++] = persistent ? 2 : 1
  if (priority !== undefined) {
    flags |= PRIORITY
    bytes[at++] = priority
  }
  if (correlationId !== undefined) {
    flags |= CORRELATION_ID
    at = writeText(bytes, at, correlationId)
  }
  if (replyTo !== undefined) {
    flags |= REPLY_TO
    at = writeText(bytes, at, replyTo)
  }
  if (expiration !== undefined) {
    flags |= EXPIRATION
    at = writeText(bytes, at, expiration)
  }
  if (messageId !== undefined) {
    flags |= MESSAGE_ID
    at = writeText(bytes, at, messageId)
  }
  at = bytes.writeUInt32BE(Math.floor(timestamp / 2 ** 32), at)
  at = bytes.writeUInt32BE(timestamp % 2 ** 32, at)
  if (type !== undefined) {
    flags |= TYPE
    at = writeText(bytes, at, type)
  }
  if (appId !== undefined) {
    flags |= APP_ID
    at = writeText(bytes, at, appId)
  }
  bytes.writeUInt16BE(flags, start)
  return at
}

/** @param headers names and values. */
function writeTable(bytes: Buffer, start: number, headers: readonly string[]): number {
  let at = start + 4
  for (let index = 0; index < headers.length; index += 2) {
    at = writeText(bytes, at, headers[index] as string)
    bytes[at++] = LONG_STRING
    const length = bytes.write(headers[index + 1] as string, at + 4)
    bytes.writeUInt32BE(length, at)
    at += 4 + length
  }
  bytes.writeUInt32BE(at - start - 4, start)
  return at
}

/** A byte of length, and UTF-8. */
function textSize(text: string): number {
  return 1 + Buffer.byteLength(text)
}

function writeText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 1)
  bytes[at] = length
  return at + 1 + length
}

function tooLarge(frameMax: number): Error {
  return new RangeError(`all of them together are larger than what the broker takes at one time (${frameMax} bytes)`)
}
