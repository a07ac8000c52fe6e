/**
 * Floor 1. What was appended to a journal and is not durable yet, in memory: it waits for the write that is under way,
 * or is part of it. Its bound is the journal's `maxUnwrittenBytes`.
 */
import { HEADER_BYTES } from './format.ts'
import { DONE_BYTES } from './segment.ts'

/** Undefined where the record was done before it was written: then a header is enough. */
export type Unwritten = Uint8Array | undefined

export class UnwrittenRecords {
  /** The sequence of the oldest; the next to be appended where there is none. */
  #first: number
  readonly #records: Unwritten[] = []
  readonly #sizes: number[] = []
  /** Those before have left; they are taken out of the arrays now and then. */
  #head = 0
  #bytes = 0
  #pending = 0

  constructor(first: number) {
    this.#first = first
  }

  get first(): number {
    return this.#first
  }

  /** The sequence that the next record will have. */
  get next(): number {
    return this.#first + this.length
  }

  get length(): number {
    return this.#records.length - this.#head
  }

  /** Those that are not done. */
  get pending(): number {
    return this.#pending
  }

  /** Bytes of the records and their headers. */
  get bytes(): number {
    return this.#bytes
  }

  /** What they will take on disk at most. */
  get charged(): number {
    return this.#bytes + this.length * DONE_BYTES
  }

  push(record: Uint8Array): void {
    this.#records.push(record)
    this.#sizes.push(record.length)
    this.#bytes += HEADER_BYTES + record.length
    this.#pending++
  }

  get(sequence: number): Unwritten {
    return this.#records[this.#head + sequence - this.#first]
  }

  /** @returns false where it was done already */
  done(sequence: number): boolean {
    const index = this.#head + sequence - this.#first
    if (this.#records[index] === undefined) return false
    this.#records[index] = undefined
    this.#pending--
    return true
  }

  /** The first from there on that is not done. */
  nextPending(from: number): number | undefined {
    for (let sequence = Math.max(from, this.#first); sequence < this.next; sequence++) {
      if (this.get(sequence) !== undefined) return sequence
    }
    return undefined
  }

  /** The oldest ones: at least one, as many as stay within the bounds, headers included. */
  batch(maxRecords: number, maxBytes: number): Unwritten[] {
    let bytes = 0
    let end = this.#head
    while (end < this.#records.length && end - this.#head < maxRecords) {
      bytes += HEADER_BYTES + (this.#records[end]?.length ?? 0)
      if (bytes > maxBytes && end > this.#head) break
      end++
    }
    return this.#records.slice(this.#head, end)
  }

  /** The oldest ones have become durable. */
  shift(count: number): void {
    for (let index = this.#head; index < this.#head + count; index++) {
      this.#bytes -= HEADER_BYTES + (this.#sizes[index] as number)
      if (this.#records[index] !== undefined) this.#pending--
      this.#records[index] = undefined
    }
    this.#head += count
    this.#first += count
    // Moving the rest costs no more than what has left did.
    if (this.#head * 2 >= this.#records.length) {
      this.#records.splice(0, this.#head)
      this.#sizes.splice(0, this.#head)
      this.#head = 0
    }
  }
}
