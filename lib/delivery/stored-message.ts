/**
 * Floor 1. A message as a record of a journal: a header in JSON, and the payload as it is.
 *
 *     u32 length of the header, big-endian | header | payload
 *
 * What is kept is what a target, a dead-letter endpoint or an expression may ask for. The connection that it came in by
 * is not: it is gone when the record is read.
 */
import { errors } from '../errors.ts'
import { type Marshaller, Message } from '../message.ts'
import type { Headers } from '../types.ts'

const LENGTH_BYTES = 4

/** A message, and the topic that it came from: what order is kept by where it has no key. */
export interface Stored {
  readonly message: Message
  readonly from: string
}

/** One letter each: there is one header for each record. */
interface Header {
  /** source */
  readonly s: string
  /** id */
  readonly i: string
  /** topic */
  readonly t: string
  /** from; the topic, if left out */
  readonly f?: string
  readonly k?: string
  readonly h?: Headers
  /** milliseconds since the epoch */
  readonly m: number
  /** the payload's format */
  readonly x: string
}

/**
 * @returns a buffer of its own.
 * @throws ARALDO_ERR_UNENCODABLE where the message came as a body that its format cannot carry.
 */
export function encodeStored({ message, from }: Stored): Buffer {
  const { source, id, topic, key, headers, time, payload } = message
  const header: Header = {
    s: source,
    i: id,
    t: topic,
    ...(from === topic ? {} : { f: from }),
    ...(key === undefined ? {} : { k: key }),
    ...(isEmpty(headers) ? {} : { h: headers }),
    m: time,
    x: message.marshaller.format,
  }
  const text = JSON.stringify(header)
  const length = Buffer.byteLength(text)
  const record = Buffer.allocUnsafe(LENGTH_BYTES + length + payload.length)
  record.writeUInt32BE(length)
  record.write(text, LENGTH_BYTES)
  payload.copy(record, LENGTH_BYTES + length)
  return record
}

/**
 * @param marshaller the format of what was stored: the source's.
 * @throws ARALDO_ERR_UNDECODABLE where it is no record of {@link encodeStored}, or of another format.
 */
export function decodeStored(record: Buffer, marshaller: Marshaller): Stored {
  try {
    const end = LENGTH_BYTES + record.readUInt32BE()
    const { s, i, t, f = t, k, h, m, x } = JSON.parse(record.toString('utf8', LENGTH_BYTES, end)) as Header
    if (x !== marshaller.format) throw new Error(`it is ${x}, and the source is ${marshaller.format} now`)
    const headers = h === undefined ? undefined : withoutPrototype(h)
    const payload = record.subarray(end)
    return {
      message: new Message({ source: s, marshaller, payload, topic: t, key: k, headers, id: i, time: m }),
      from: f,
    }
  } catch (cause) {
    throw new errors.UNDECODABLE('the journal', 'of a record', { cause })
  }
}

function isEmpty(headers: Headers): boolean {
  for (const _name in headers) return false
  return true
}

/** `__proto__` is a header's name like any other. */
function withoutPrototype(headers: Headers): Headers {
  const copy = Object.create(null) as Record<string, string>
  for (const [name, value] of Object.entries(headers)) copy[name] = value
  return copy
}
