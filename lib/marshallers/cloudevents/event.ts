/**
 * Floor 3. An event of CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) in its JSON
 * format (cloudevents/formats/json-format.md).
 */
import { json } from '../json.ts'

/** Attributes by name, but for `specversion`; as text, section 3.1 "Type System". */
export type Attributes = Record<string, string>

export interface Event {
  readonly attributes: Attributes
  /** Bytes where they are bytes, what JSON has otherwise; null where there is none. */
  readonly data: unknown
}

export const SPEC_VERSION = '1.0'

const REQUIRED = ['id', 'source', 'type']
/** Section 3.1 "Attribute Naming Convention". */
const NAME = /^[a-z0-9]{1,64}$/
/** RFC 3339. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export function newAttributes(): Attributes {
  return Object.create(null) as Attributes
}

/** @throws Error where the bytes are no event. */
export function parseEvent(payload: Buffer): Event {
  const members: unknown = json.decode(payload)
  if (typeof members !== 'object' || members === null || Array.isArray(members)) throw new Error('an event is a map')
  const { specversion, data, data_base64: base64, ...rest } = members as Record<string, unknown>
  const attributes = newAttributes()
  for (const [name, value] of Object.entries(rest)) if (value !== null) attributes[name] = textOf(name, value)
  checkAttributes(attributes, specversion)
  if (base64 === undefined || base64 === null) return { attributes, data: data ?? null }
  if (data !== undefined) throw new Error('an event has data or data_base64, not both')
  if (typeof base64 !== 'string' || !BASE64.test(base64)) throw new Error('data_base64 is no base64')
  return { attributes, data: Buffer.from(base64, 'base64') }
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || Number.isInteger(value)) return String(value)
  throw new Error(`the attribute '${name.slice(0, 64)}' is no text, whole number, true or false`)
}

/** @throws Error where they are not those of an event: section 3.2 "Required attributes", and the form of the others. */
export function checkAttributes(attributes: Attributes, specversion: unknown): void {
  if (specversion !== SPEC_VERSION) throw new Error("its specversion is not '1.0'")
  for (const name of REQUIRED)
    if ((attributes[name] ?? '') === '') throw new Error(`the attribute '${name}' is missing`)
  for (const name of Object.keys(attributes)) {
    if (!NAME.test(name)) throw new Error('the name of an attribute is not of lower-case letters and digits')
  }
  if (timeOf(attributes) === undefined && attributes['time'] !== undefined) throw new Error('its time is none')
}

/** Milliseconds since 1970. */
export function timeOf({ time }: Attributes): number | undefined {
  const value = time !== undefined && TIME.test(time) ? Date.parse(time) : NaN
  return Number.isNaN(value) ? undefined : value
}

/** What an event has as its data, and how it is written. */
export interface Data {
  /** The bytes by themselves, for binary mode. */
  readonly bytes: Buffer
  /** The member of the JSON format; undefined where there is no data. */
  readonly member: 'data' | 'data_base64' | undefined
  /** Text of JSON, in bytes. */
  readonly value: Buffer
  /** The media type; undefined: JSON. */
  readonly type: string | undefined
}

const NOTHING = Buffer.alloc(0)

/**
 * Bytes are bytes, and text is text where the media type is not JSON; all else is JSON, whatever type was said.
 * @throws Error where it cannot be carried.
 */
export function dataOf(body: unknown, type: string | undefined): Data {
  if (body === null || body === undefined) return { bytes: NOTHING, member: undefined, value: NOTHING, type }
  if (body instanceof Uint8Array) {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    const value = Buffer.from(`"${bytes.toString('base64')}"`)
    return { bytes, member: 'data_base64', value, type: type ?? 'application/octet-stream' }
  }
  const value = json.encode(body)
  if (typeof body === 'string' && !isJsonType(type)) return { bytes: Buffer.from(body), member: 'data', value, type }
  return { bytes: value, member: 'data', value, type: isJsonType(type) ? type : 'application/json' }
}

/** Without a type it is JSON: section 3.1.1 of the JSON format. */
export function isJsonType(type: string | undefined): boolean {
  return type === undefined || /^[\w.+-]+\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type)
}

/** An event in the JSON format, and where its data is in these bytes. */
export function writeEvent(attributes: Attributes, { member, value }: Data): { payload: Buffer; start: number } {
  const head = JSON.stringify({ specversion: SPEC_VERSION, ...attributes })
  if (member === undefined) return { payload: Buffer.from(head), start: Buffer.byteLength(head) }
  const before = Buffer.from(`${head.slice(0, -1)},"${member}":`)
  return { payload: Buffer.concat([before, value, CLOSE]), start: before.length }
}

const CLOSE = Buffer.from('}')
