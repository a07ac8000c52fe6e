/**
 * Floor 1. The sequences of which a journal keeps nothing any more, since every record of their segments was done: a
 * few ranges, as neighbours become one.
 */

export interface Range {
  readonly first: number
  readonly last: number
}

/** Ranges at most: as many as fit into a {@link Mark}'s slot. */
export const MAX_GAPS = 250

export class Gaps {
  /** Ascending; neither overlapping nor touching. */
  #ranges: Range[] = []

  constructor(ranges: readonly Range[] = []) {
    for (const range of ranges) this.#ranges = merged(this.#ranges, range)
  }

  get ranges(): readonly Range[] {
    return this.#ranges
  }

  has(sequence: number): boolean {
    return this.#ranges.some(({ first, last }) => first <= sequence && sequence <= last)
  }

  /** The first sequence after this one that is in a gap. */
  firstAfter(sequence: number): number | undefined {
    return this.#ranges.find(({ first }) => first > sequence)?.first
  }

  /** @returns false, and changes nothing, where that would be too many ranges */
  add(range: Range): boolean {
    const ranges = merged(this.#ranges, range)
    if (ranges.length > MAX_GAPS) return false
    this.#ranges = ranges
    return true
  }

  /** The parts of a range that are in no gap. */
  outside({ first, last }: Range): Range[] {
    const parts: Range[] = []
    let next = first
    for (const gap of this.#ranges) {
      if (gap.last < next) continue
      if (gap.first > last) break
      if (gap.first > next) parts.push({ first: next, last: gap.first - 1 })
      next = gap.last + 1
    }
    if (next <= last) parts.push({ first: next, last })
    return parts
  }
}

function merged(ranges: readonly Range[], range: Range): Range[] {
  const before = ranges.filter(({ last }) => last + 1 < range.first)
  const after = ranges.filter(({ first }) => first - 1 > range.last)
  const touching = ranges.slice(before.length, ranges.length - after.length)
  const first = Math.min(range.first, touching[0]?.first ?? Infinity)
  const last = Math.max(range.last, touching.at(-1)?.last ?? -Infinity)
  return [...before, { first, last }, ...after]
}
