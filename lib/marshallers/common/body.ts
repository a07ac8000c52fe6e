/**
 * Floor 3. What binary formats hold, as bodies that expressions read and that every format can write again, and back.
 *
 * A body holds null, true and false, numbers, text, bytes (`Uint8Array`), lists and maps, and nothing else. Whole
 * numbers that a JavaScript number cannot hold exactly (beyond 2^53) become decimal text, times ISO 8601 text.
 */
import { toPlain } from '../../plain.ts'

/** Levels of lists and maps that come in; as many as go out. */
export const MAX_DEPTH = 1000

/**
 * @param value what a library has made of bytes: nobody else's, for it is changed in place. Not deeper than
 *   {@link MAX_DEPTH}, and without circles.
 * @throws Error where it holds a time that is none, or something that no body can hold.
 */
export function bodyOf(value: unknown): unknown {
  switch (typeof value) {
    case 'undefined':
      return null
    case 'bigint':
      return wholeNumber(value)
    case 'object':
      return value === null ? null : ofObject(value)
    case 'function':
    case 'symbol':
      throw new Error(`a ${typeof value} is no body`)
    default:
      return value
  }
}

/** A number where it is exact, else decimal text. */
export function wholeNumber(value: bigint): number | string {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value.toString()
}

function ofObject(value: object): unknown {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = bodyOf(value[index])
    return value
  }
  if (value instanceof Uint8Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof Date) return value.toISOString()
  const isPlain = Object.getPrototypeOf(value) === Object.prototype
  const record = (isPlain ? value : {}) as Record<string, unknown>
  for (const [name, item] of Object.entries(value)) {
    if (name === '__proto__') throw new Error("the key '__proto__' is refused")
    record[name] = bodyOf(item)
  }
  return record
}

/**
 * What a format with integers is given to write: whole numbers beyond 32 bits as BigInt, for else the libraries would
 * write them as floating point, which many readers do not take for a whole number. A key without a value is left out,
 * as in JSON. The body itself stays as it is.
 * @throws Error where the body holds what cannot be carried.
 */
export function encodable(body: unknown): unknown {
  if (body === undefined) throw new Error('there is no body')
  return widen(toPlain(body))
}

function widen(value: unknown): unknown {
  if (typeof value === 'number') return isWide(value) ? BigInt(value) : value
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : widen(item)))
  const copy: Record<string, unknown> = {}
  for (const [name, item] of Object.entries(value)) if (item !== undefined) copy[name] = widen(item)
  return copy
}

function isWide(value: number): boolean {
  return Number.isSafeInteger(value) && (value > 0xffff_ffff || value < -0x8000_0000)
}
