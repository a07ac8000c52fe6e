/**
 * Floor 3. Looks bytes from strangers through before a library decodes them, in one pass and without recursion: every
 * length is within the bytes, nesting is bounded, text is UTF-8, and keys are text or whole numbers. So the library never
 * allocates for a length that lies, and never meets its own extensions: records, references, classes.
 */
import { isUtf8 } from 'node:buffer'
import { MAX_DEPTH } from './body.ts'

/** Shorter text is compared byte by byte: most of it is ASCII, and a call costs more. */
const SHORT = 24

export class Scan {
  readonly bytes: Buffer
  position = 0
  /** Whether the item is a map's key. */
  isKey = false
  /** Whether there is anything that a body holds otherwise than the library: bytes, times, large numbers. */
  isSpecial = false
  /** By level: items that belong there, items that were there, whether it is a map. */
  readonly #expected: number[] = [1]
  readonly #seen: number[] = [0]
  readonly #isMap: boolean[] = [false]
  #depth = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** @returns whether another item begins. @throws Error where bytes are left over. */
  next(): boolean {
    while (this.#seen[this.#depth] === this.#expected[this.#depth]) {
      if (--this.#depth < 0) {
        if (this.position !== this.bytes.length) throw new Error('there are bytes after its end')
        return false
      }
    }
    const seen = this.#seen[this.#depth] as number
    this.isKey = this.#isMap[this.#depth] === true && seen % 2 === 0
    this.#seen[this.#depth] = seen + 1
    return true
  }

  /** A list or a map begins. @param count items, keys included; Infinity where its end is marked. */
  open(count: number, isMap: boolean): void {
    if (this.isKey) throw new Error('a key is a list or a map')
    if (Number.isFinite(count) && count > this.bytes.length - this.position) throw new Error('it ends too early')
    if (++this.#depth > MAX_DEPTH) throw new Error(`more than ${MAX_DEPTH} levels of lists and maps`)
    this.#expected[this.#depth] = count
    this.#seen[this.#depth] = 0
    this.#isMap[this.#depth] = isMap
  }

  /** The end mark of a list or map of unknown length, which {@link next} has taken for an item. */
  close(): void {
    const seen = (this.#seen[this.#depth] as number) - 1
    if (this.#expected[this.#depth] !== Infinity) throw new Error('an end mark where nothing is open')
    if (this.#isMap[this.#depth] === true && seen % 2 === 1) throw new Error('a key without a value')
    this.#depth--
  }

  /** @returns the value of `length` bytes, big-endian; exact up to 6 bytes. */
  uint(length: 1 | 2 | 4): number {
    const at = this.position
    this.skip(length)
    return this.bytes.readUIntBE(at, length)
  }

  skip(length: number): void {
    this.position += length
    if (this.position > this.bytes.length) throw new Error('it ends too early')
  }

  blob(length: number): void {
    this.notKey('bytes')
    this.isSpecial = true
    this.skip(length)
  }

  text(length: number): void {
    const start = this.position
    this.skip(length)
    if (!this.#isAscii(start, length) && !isUtf8(this.bytes.subarray(start, this.position))) {
      throw new Error('not valid UTF-8')
    }
    if (this.isKey && length === 9 && this.bytes.toString('latin1', start, this.position) === '__proto__') {
      throw new Error("the key '__proto__' is refused")
    }
  }

  #isAscii(start: number, length: number): boolean {
    if (length > SHORT) return false
    for (let at = start; at < start + length; at++) if ((this.bytes[at] as number) > 0x7f) return false
    return true
  }

  notKey(what: string): void {
    if (this.isKey) throw new Error(`a key is ${what}`)
  }
}
