/**
 * Floor 3. Between what the library reads and writes (64-bit numbers as BigInt, unions in maps) and bodies. Stricter than
 * the library where it writes: a field that the schema does not have is an error.
 */
import type { Type, types } from 'avsc'
import { MAX_DEPTH, wholeNumber } from '../common/body.ts'
import { branchFor, isUnion, nameOf, unionOf } from './unions.ts'

type Values = Record<string, unknown>

/** @param value what the library has made; nobody else's. */
export function toBody(type: Type, value: unknown): unknown {
  if (typeof value === 'bigint') return wholeNumber(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  if (Array.isArray(value)) {
    const { itemsType } = type as types.ArrayType
    for (let index = 0; index < value.length; index++) value[index] = toBody(itemsType, value[index])
    return value
  }
  if (isUnion(type)) return branchToBody(type, value as Values)
  const body: Values = {}
  if (type.typeName === 'map') {
    const values = valuesOf(type)
    for (const [key, item] of Object.entries(value)) body[key] = toBody(values, item)
  } else {
    for (const field of (type as types.RecordType).fields) {
      body[field.name] = toBody(field.type, (value as Values)[field.name])
    }
  }
  return body
}

export function valuesOf(type: Type): Type {
  return (type as types.MapType).valuesType as Type
}

function branchToBody(type: Type, wrapped: Values): unknown {
  const { byKind, byName } = unionOf(type)
  const [name, value] = Object.entries(wrapped)[0] as [string, unknown]
  const branch = byName.get(name === 'abstract:long' ? 'long' : name) as Type
  const body = toBody(branch, value)
  return byKind === undefined ? { [nameOf(branch)]: body } : body
}

/**
 * @param body as it is plain: lib/plain.ts.
 * @throws Error that names the field.
 */
export function toAvro(type: Type, body: unknown, path = '', depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new Error('too many levels')
  if (isUnion(type)) {
    const { branch, value } = branchFor(unionOf(type), body, place(path))
    return branch.typeName === 'null' ? null : { [branchKey(branch)]: toAvro(branch, value, path, depth + 1) }
  }
  switch (type.typeName) {
    case 'null':
      return expect(body === null, body, path, 'null')
    case 'boolean':
      return expect(typeof body === 'boolean', body, path, 'true or false')
    case 'int':
      return expect(Number.isInteger(body) && (body as number) >> 0 === body, body, path, 'an int')
    case 'abstract:long':
      return longOf(body, path)
    case 'float':
    case 'double':
      return expect(typeof body === 'number', body, path, 'a number')
    case 'string':
      return expect(typeof body === 'string', body, path, 'text')
    case 'enum': {
      const { symbols } = type as types.EnumType
      return expect(symbols.includes(body as string), body, path, `one of ${symbols.slice(0, 20).join(', ')}`)
    }
    case 'bytes':
      return bytesOf(body, path)
    case 'fixed': {
      const { size } = type as types.FixedType
      const bytes = bytesOf(body, path)
      return expect(bytes.length === size, bytes, path, `${size} bytes`)
    }
    case 'array':
      if (!Array.isArray(body)) throw new Error(`${place(path)} is no list`)
      return body.map((item, index) =>
        toAvro((type as types.ArrayType).itemsType, item, `${path}[${index}]`, depth + 1),
      )
    default:
      return mapOrRecord(type, body, path, depth)
  }
}

function mapOrRecord(type: Type, body: unknown, path: string, depth: number): Values {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || body instanceof Uint8Array) {
    throw new Error(`${place(path)} is no map`)
  }
  const given = body as Values
  const values: Values = {}
  if (type.typeName === 'map') {
    const items = valuesOf(type)
    for (const [key, item] of Object.entries(given)) values[key] = toAvro(items, item, join(path, key), depth + 1)
    return values
  }
  const { fields } = type as types.RecordType
  const names = new Set(fields.map(({ name }) => name))
  const unknown = Object.keys(given).find((name) => !names.has(name) && given[name] !== undefined)
  if (unknown !== undefined) throw new Error(`the schema has no field '${join(path, unknown)}'`)
  for (const field of fields) values[field.name] = fieldOf(field, given, join(path, field.name), depth)
  return values
}

function fieldOf(field: types.Field, given: Values, path: string, depth: number): unknown {
  const value = Object.hasOwn(given, field.name) ? given[field.name] : undefined
  if (value !== undefined) return toAvro(field.type, value, path, depth + 1)
  const standard: unknown = field.defaultValue()
  if (standard === undefined) throw new Error(`the field '${path}' is missing, and has no default`)
  return standard
}

/** What the library calls a branch. */
function branchKey(branch: Type): string {
  return branch.branchName ?? branch.typeName
}

function longOf(body: unknown, path: string): bigint {
  const isWhole = typeof body === 'string' ? /^-?\d{1,19}$/.test(body) : Number.isSafeInteger(body)
  const value = isWhole ? BigInt(body as string | number) : undefined
  if (value === undefined || BigInt.asIntN(64, value) !== value) throw new Error(`${place(path)} is no long`)
  return value
}

/** As bytes, or as base64 text: what becomes of bytes in JSON. */
function bytesOf(body: unknown, path: string): Buffer {
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (typeof body === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(body)) return Buffer.from(body, 'base64')
  throw new Error(`${place(path)} is neither bytes nor base64`)
}

function expect<Value>(isFine: boolean, value: Value, path: string, what: string): Value {
  if (!isFine) throw new Error(`${place(path)} is not ${what}`)
  return value
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

function place(path: string): string {
  return path === '' ? 'the body' : path
}
