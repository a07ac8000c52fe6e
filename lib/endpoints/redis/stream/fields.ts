/**
 * Floor 3. The form of araldo's entries in a Redis stream: what of a message is in which field.
 *
 *     payload  the bytes, as they are
 *     id       the message's id
 *     time     milliseconds since the epoch
 *     key      where the message has one
 *     …        each header under its own name; as `header:<name>` where that name is one of these
 *
 * An entry of somebody else's that has a payload field is read the same way, whatever of the rest it lacks. One without
 * it (`XADD orders * total 12 region eu`) is not in this form: its body is the map of all its fields, as JSON, and none
 * of them means anything to the relay.
 */
import type { Message } from '../../../message.ts'
import type { Headers } from '../../../types.ts'

export const DEFAULT_PAYLOAD_FIELD = 'payload'

/** What begins with it is a header, whatever follows. */
const HEADER_PREFIX = 'header:'
/** An id is no longer (bytes): one that is, is not the relay's, and the entry's own is used. */
const MAX_ID = 1_024

/** What an entry says of its message. */
export interface Content {
  readonly payload: Buffer
  readonly id: string | undefined
  readonly time: number | undefined
  readonly key: string | undefined
  readonly headers: Headers | undefined
}

/**
 * An entry's fields for a message: name, value, name, value …
 * @param payload the message in the format of whoever writes it.
 */
export function fieldsOf(message: Message, payload: Buffer, payloadField: string): (string | Buffer)[] {
  const { id, time, key, headers } = message
  const fields = [payloadField, payload, 'id', id, 'time', String(time)]
  if (key !== undefined) fields.push('key', key)
  for (const name in headers) fields.push(headerField(name, payloadField), headers[name] as string)
  return fields
}

function headerField(name: string, payloadField: string): string {
  const isTaken =
    name === payloadField ||
    name === DEFAULT_PAYLOAD_FIELD ||
    name === 'id' ||
    name === 'time' ||
    name === 'key' ||
    name.startsWith(HEADER_PREFIX)
  return isTaken ? HEADER_PREFIX + name : name
}

/**
 * Reads an entry. Never throws. Of fields that stand there twice, the last counts. Names and values of headers are text:
 * what is no UTF-8 in them is replaced by U+FFFD.
 * @param fields name, value, name, value …; the payload is one of these buffers, not a copy.
 */
export function contentOf(fields: readonly Buffer[], payloadField: string): Content {
  let payload: Buffer | undefined
  let id: string | undefined
  let time: number | undefined
  let key: string | undefined
  let headers: Record<string, string> | undefined
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = (fields[index] as Buffer).toString()
    const value = fields[index + 1] as Buffer
    if (name === payloadField) payload = value
    else if (name === 'id') id = idOf(value)
    else if (name === 'time') time = timeOf(value)
    else if (name === 'key') key = value.toString()
    // Without a prototype, `__proto__` is a name like any other.
    else (headers ??= Object.create(null) as Record<string, string>)[headerName(name)] = value.toString()
  }
  if (payload === undefined) return foreign(fields)
  return { payload, id, time, key, headers }
}

function headerName(field: string): string {
  return field.startsWith(HEADER_PREFIX) ? field.slice(HEADER_PREFIX.length) : field
}

function idOf(value: Buffer): string | undefined {
  return value.length === 0 || value.length > MAX_ID ? undefined : value.toString()
}

function timeOf(value: Buffer): number | undefined {
  // No year beyond 275760, the last that a Date can hold, has more digits.
  return value.length <= 16 && /^\d+$/.test(value.toString()) ? Number(value.toString()) : undefined
}

function foreign(fields: readonly Buffer[]): Content {
  const body = Object.create(null) as Record<string, string>
  for (let index = 0; index + 1 < fields.length; index += 2) {
    body[(fields[index] as Buffer).toString()] = (fields[index + 1] as Buffer).toString()
  }
  const payload = Buffer.from(JSON.stringify(body))
  return { payload, id: undefined, time: undefined, key: undefined, headers: undefined }
}
