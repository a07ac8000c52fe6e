/** Floor 1. A journal's segments that hold something, in order, and what they come to. */
import type { Segment, Usage } from './segment.ts'

export class Segments {
  readonly usage: Usage = { disk: 0, charged: 0 }
  /** By their first sequence, ascending. */
  readonly #list: Segment[] = []

  get all(): readonly Segment[] {
    return this.#list
  }

  /** The newest. */
  get last(): Segment | undefined {
    return this.#list.at(-1)
  }

  /** Appends the newest. */
  push(segment: Segment): void {
    this.#list.push(segment)
  }

  remove(segment: Segment): void {
    const index = this.#list.indexOf(segment)
    if (index !== -1) this.#list.splice(index, 1)
  }

  /** The one that a sequence belongs to; undefined where it is in none. */
  find(sequence: number): Segment | undefined {
    const segment = this.#list[this.#indexAfter(sequence) - 1]
    return segment !== undefined && sequence <= segment.last ? segment : undefined
  }

  /** The first record from there on that is not done. */
  nextPending(from: number): { readonly segment: Segment; readonly sequence: number } | undefined {
    for (let index = Math.max(0, this.#indexAfter(from) - 1); index < this.#list.length; index++) {
      const segment = this.#list[index] as Segment
      const sequence = segment.nextPending(Math.max(from, segment.first))
      if (sequence !== undefined) return { segment, sequence }
    }
    return undefined
  }

  /** The index of the first segment that begins after this sequence. */
  #indexAfter(sequence: number): number {
    let low = 0
    let high = this.#list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#list[middle] as Segment).first <= sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}
