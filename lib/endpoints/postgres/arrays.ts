/**
 * Floor 3. Parameters that are arrays, in PostgreSQL's binary form: as text, each element would have to be quoted here and
 * parsed there, and bytes written as twice as many hex digits. Source: PostgreSQL, array_recv in arrayfuncs.c.
 */

/** What the elements are: with the type's object identifier, from pg_type.dat. */
export const ELEMENTS = { text: 25, bytea: 17 } as const
export type Element = keyof typeof ELEMENTS

/** Dimensions, whether there are nulls, the type of the elements; then length and first index of the one dimension. */
const HEAD = 20
/** Before each element: its length in bytes, or that it is null. */
const LENGTH = 4
const NULL = -1

/** @param values of one dimension. */
export function arrayOf(values: readonly (string | Buffer | null)[], element: Element): Buffer {
  let size = HEAD
  for (const value of values) size += LENGTH + bytesOf(value)
  const bytes = Buffer.allocUnsafe(size)
  bytes.writeInt32BE(1, 0)
  bytes.writeInt32BE(values.includes(null) ? 1 : 0, 4)
  bytes.writeInt32BE(ELEMENTS[element], 8)
  bytes.writeInt32BE(values.length, 12)
  bytes.writeInt32BE(1, 16)
  let offset = HEAD
  for (const value of values) {
    const start = offset + LENGTH
    let length = NULL
    if (typeof value === 'string') length = bytes.write(value, start)
    else if (value !== null) length = value.copy(bytes, start)
    bytes.writeInt32BE(length, offset)
    offset = start + Math.max(0, length)
  }
  return bytes
}

function bytesOf(value: string | Buffer | null): number {
  if (value === null) return 0
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length
}

/** Numbers and UUIDs: what needs no quotes, and spells no NULL. */
const PLAIN = /^[0-9a-f-]+$/

/** Ids as one array: its text, where none of them must be quoted; else what the library quotes. */
export function idArrayOf(ids: readonly string[]): string | readonly string[] {
  return ids.every((id) => PLAIN.test(id)) ? `{${ids.join(',')}}` : ids
}
