/** Floor 1. A set of small whole numbers: one bit each, growing with the largest. */

/** Words that it begins with; it doubles when it grows. */
const FIRST_WORDS = 8

export class Bitmap {
  #words = new Uint32Array(FIRST_WORDS)
  #count = 0

  /** How many are in it. */
  get count(): number {
    return this.#count
  }

  has(index: number): boolean {
    return ((this.#word(index >>> 5) >>> (index & 31)) & 1) === 1
  }

  /** @returns whether it was not in it */
  add(index: number): boolean {
    const at = index >>> 5
    this.#reach(at)
    const word = this.#word(at)
    const bit = (1 << (index & 31)) >>> 0
    if ((word & bit) !== 0) return false
    this.#words[at] = word | bit
    this.#count++
    return true
  }

  delete(index: number): void {
    if (!this.has(index)) return
    const at = index >>> 5
    this.#words[at] = this.#word(at) & ~(1 << (index & 31))
    this.#count--
  }

  /** The first from there on that is in it; undefined where there is none. */
  firstIn(from: number): number | undefined {
    return this.#search(from, 0)
  }

  /** The first from there on that is not in it: there always is one. */
  firstOut(from: number): number {
    return this.#search(from, 0xffffffff) ?? Math.max(from, this.#words.length * 32)
  }

  /** @param flip 0 to find a bit that is set, all ones to find one that is not */
  #search(from: number, flip: number): number | undefined {
    const words = this.#words
    let at = from >>> 5
    let word = ((this.#word(at) ^ flip) & (0xffffffff << (from & 31))) >>> 0
    while (at < words.length) {
      if (word !== 0) return at * 32 + (31 - Math.clz32(word & -word))
      at++
      word = (this.#word(at) ^ flip) >>> 0
    }
    return undefined
  }

  #word(at: number): number {
    return this.#words[at] ?? 0
  }

  #reach(at: number): void {
    if (at < this.#words.length) return
    const words = new Uint32Array(Math.max(at + 1, this.#words.length * 2))
    words.set(this.#words)
    this.#words = words
  }
}
