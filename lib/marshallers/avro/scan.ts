/**
 * Floor 3. Looks Avro data from strangers through before the library decodes it: that takes the length of a list for what
 * it says, and would go round for as long. Here every length is within the bytes, nesting is bounded, text is UTF-8.
 */
import { isUtf8 } from 'node:buffer'
import type { Type, types } from 'avsc'
import { MAX_DEPTH } from '../common/body.ts'

/** Items of lists whose items take no bytes at all, in one payload. */
const MAX_EMPTY = 10_000

/** @throws Error where the bytes are no data of the schema. */
export function scanAvro(type: Type, bytes: Buffer): void {
  const scan = new Scan(bytes)
  scan.value(type, 0)
  if (scan.position !== bytes.length) throw new Error('there are bytes after its end')
}

class Scan {
  readonly #bytes: Buffer
  position = 0
  #empty = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  value(type: Type, depth: number): void {
    if (depth > MAX_DEPTH) throw new Error(`more than ${MAX_DEPTH} levels`)
    switch (type.typeName) {
      case 'null':
        return
      case 'boolean':
        return this.#boolean()
      case 'int':
      case 'long':
      case 'abstract:long':
        this.#long()
        return
      case 'float':
        return this.#skip(4)
      case 'double':
        return this.#skip(8)
      case 'bytes':
        return this.#skip(this.#length())
      case 'string':
        this.#text()
        return
      case 'fixed':
        return this.#skip((type as types.FixedType).size)
      case 'enum':
        this.#index((type as types.EnumType).symbols.length)
        return
      case 'array':
        return this.#blocks(depth, (type as types.ArrayType).itemsType)
      case 'map':
        return this.#blocks(depth, (type as types.MapType).valuesType as Type, true)
      case 'union:wrapped':
      case 'union:unwrapped': {
        const branches = (type as types.WrappedUnionType).types
        return this.value(branches[this.#index(branches.length)] as Type, depth + 1)
      }
      case 'record':
      case 'error':
        for (const field of (type as types.RecordType).fields) this.value(field.type, depth + 1)
        return
      default:
        throw new Error(`a type that is not known: ${type.typeName}`)
    }
  }

  #blocks(depth: number, items: Type, isMap = false): void {
    for (;;) {
      let count = this.#long()
      if (count === 0n) return
      if (count < 0n) {
        count = -count
        this.#long()
      }
      if (count > BigInt(this.#bytes.length - this.position) + BigInt(MAX_EMPTY)) throw new Error('it ends too early')
      for (let left = Number(count); left > 0; left--) {
        const start = this.position
        if (isMap && this.#text() === '__proto__') throw new Error("the key '__proto__' is refused")
        this.value(items, depth + 1)
        if (this.position === start && ++this.#empty > MAX_EMPTY) {
          throw new Error(`more than ${MAX_EMPTY} items without a byte`)
        }
      }
    }
  }

  #boolean(): void {
    this.#skip(1)
    if ((this.#bytes[this.position - 1] as number) > 1) throw new Error('a boolean that is neither true nor false')
  }

  #index(count: number): number {
    const index = this.#long()
    if (index < 0n || index >= BigInt(count)) throw new Error('an index beyond what there is')
    return Number(index)
  }

  #text(): string | undefined {
    const start = this.position
    const length = this.#length()
    const from = this.position
    this.#skip(length)
    const bytes = this.#bytes.subarray(from, this.position)
    if (!isUtf8(bytes)) throw new Error('not valid UTF-8')
    return this.position - start < 20 ? bytes.toString('latin1') : undefined
  }

  #length(): number {
    const length = this.#long()
    if (length < 0n || length > BigInt(this.#bytes.length - this.position)) throw new Error('it ends too early')
    return Number(length)
  }

  #skip(length: number): void {
    this.position += length
    if (this.position > this.#bytes.length) throw new Error('it ends too early')
  }

  /** Zig-zag, of 64 bits at most. */
  #long(): bigint {
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return BigInt((low >>> 1) ^ -(low & 1))
    }
    let value = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return checked((value >> 1n) ^ -(value & 1n))
    }
    throw new Error('a number of more than 64 bits')
  }

  #byte(): number {
    const byte = this.#bytes[this.position++]
    if (byte === undefined) throw new Error('it ends too early')
    return byte
  }
}

function checked(value: bigint): bigint {
  if (BigInt.asIntN(64, value) !== value) throw new Error('a number of more than 64 bits')
  return value
}
