/**
 * Floor 3. A body as a message of Protocol Buffers. Stricter than the library's own conversion, which would leave out what
 * it does not know and write 0 for what is no number: nothing is lost in silence.
 */
import protobuf from 'protobufjs'
import { MAX_DEPTH } from '../common/body.ts'

type Values = Record<string, unknown>
type MapField = protobuf.Field & { readonly keyType: string }

const RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  sint32: [-(2n ** 31n), 2n ** 31n - 1n],
  sfixed32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  fixed32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  sint64: [-(2n ** 63n), 2n ** 63n - 1n],
  sfixed64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  fixed64: [0n, 2n ** 64n - 1n],
}

/**
 * @param body as it is plain: lib/plain.ts.
 * @returns what the library encodes.
 * @throws Error that names the field.
 */
export function messageOf(type: protobuf.Type, body: unknown, path = '', depth = 0): Values {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || body instanceof Uint8Array) {
    throw new Error(`${path === '' ? 'the body' : path} is no map`)
  }
  if (depth > MAX_DEPTH) throw new Error('too many levels')
  const message: Values = {}
  for (const [name, value] of Object.entries(body)) {
    const field = Object.hasOwn(type.fields, name) ? (type.fields[name] as protobuf.Field) : undefined
    const place = path === '' ? name : `${path}.${name}`
    if (field === undefined) throw new Error(`${type.fullName.slice(1)} has no field '${place}'`)
    if (value !== undefined && value !== null) message[name] = fieldOf(field, value, place, depth)
  }
  for (const field of type.fieldsArray) {
    if (field.required && message[field.name] === undefined) throw new Error(`the field '${field.name}' is missing`)
  }
  checkOneofs(type, message)
  return message
}

function checkOneofs(type: protobuf.Type, message: Values): void {
  for (const { name, oneof } of type.oneofsArray) {
    const set = oneof.filter((field) => message[field] !== undefined)
    if (set.length > 1) throw new Error(`only one of ${set.join(', ')} can be set: they are the oneof '${name}'`)
  }
}

function fieldOf(field: protobuf.Field, value: unknown, path: string, depth: number): unknown {
  if (isMap(field)) return mapOf(field, value, path, depth)
  if (!field.repeated) return single(field, value, path, depth)
  if (!Array.isArray(value)) throw new Error(`${path} is no list`)
  return value.map((item, index) => single(field, item, `${path}[${index}]`, depth))
}

/** The library's types have it that a field of a map is no field. */
function isMap(field: protobuf.Field): field is MapField {
  return field.map
}

function mapOf(field: MapField, value: unknown, path: string, depth: number): Values {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${path} is no map`)
  const map: Values = {}
  for (const [key, item] of Object.entries(value)) {
    checkKey(field.keyType, key, path)
    map[key] = single(field, item, `${path}.${key}`, depth)
  }
  return map
}

function checkKey(type: string, key: string, path: string): void {
  if (RANGES[type] !== undefined) whole(type, key, `a key of ${path}`)
  else if (type !== 'string') throw new Error(`${path}: maps with keys of ${type} are not supported`)
}

function single(field: protobuf.Field, value: unknown, path: string, depth: number): unknown {
  const { resolvedType } = field
  if (resolvedType instanceof protobuf.Enum) return enumOf(resolvedType, value, path)
  if (resolvedType instanceof protobuf.Type) return messageOf(resolvedType, value, path, depth + 1)
  if (RANGES[field.type] !== undefined) return whole(field.type, value, path)
  switch (field.type) {
    case 'double':
    case 'float':
      return expect(typeof value === 'number', value, path, 'number')
    case 'bool':
      return expect(typeof value === 'boolean', value, path, 'true or false')
    case 'string':
      return expect(typeof value === 'string', value, path, 'text')
    default:
      return bytesOf(value, path)
  }
}

function expect(isFine: boolean, value: unknown, path: string, what: string): unknown {
  if (!isFine) throw new Error(`${path} is not ${what}`)
  return value
}

/** A number, or decimal text where a number would not be exact. */
function whole(type: string, value: unknown, path: string): unknown {
  const [least, most] = RANGES[type] as readonly [bigint, bigint]
  const isWhole = typeof value === 'string' ? /^-?\d{1,20}$/.test(value) : Number.isSafeInteger(value)
  const number = isWhole ? BigInt(value as string | number) : undefined
  if (number === undefined || number < least || number > most) throw new Error(`${path} is no ${type}`)
  if (!type.endsWith('64')) return Number(number)
  // What the library writes of a Long of its own.
  return {
    low: Number(BigInt.asIntN(32, number)),
    high: Number(BigInt.asIntN(32, number >> 32n)),
    unsigned: least === 0n,
  }
}

function enumOf({ name, values }: protobuf.Enum, value: unknown, path: string): number {
  if (typeof value === 'string' && Object.hasOwn(values, value)) return values[value] as number
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 31) return value
  throw new Error(`${path} is none of ${name}: ${Object.keys(values).slice(0, 20).join(', ')}`)
}

/** As bytes, or as base64 text: what becomes of bytes in JSON. */
function bytesOf(value: unknown, path: string): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) return Buffer.from(value, 'base64')
  throw new Error(`${path} is neither bytes nor base64`)
}
