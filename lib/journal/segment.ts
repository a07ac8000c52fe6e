/**
 * Floor 1. One piece of a journal's log: a file of records with contiguous sequences, and beside it, once one of them
 * was done, a file that says which. When all are done, both are removed; nothing smaller frees disk space.
 *
 * In memory a segment is two bits a record (done; done and not on disk yet) and a place in the file every 64 KiB.
 * This is what is known of it; the files are read and written by others.
 */
import { Bitmap } from './bitmap.ts'
import type { Range } from './gaps.ts'
import { HEADER_BYTES, Salt } from './format.ts'

/** Records of a segment at most, so that its bits stay few even where records are tiny. */
export const MAX_SEGMENT_RECORDS = 2 ** 20

/** What saying of one record that it is done takes at most: a frame of its own with one range. */
export const DONE_BYTES = HEADER_BYTES + 8

/** Bytes of the log between two places that are remembered. */
const INDEX_BYTES = 64 * 1024

/** Disk space that all segments of a journal use. */
export interface Usage {
  /** Bytes of their files. */
  disk: number
  /** The same, and room to say of each record that it is done: what is held against the journal's bound. */
  charged: number
}

export interface SegmentInit {
  /** Larger than that of every segment made before. */
  readonly ordinal: number
  /** The sequence of its first record. */
  readonly first: number
  readonly salt: Salt
  readonly usage: Usage
}

const NAME = /^([\da-f]{8})-([\da-f]{14})-([\da-f]{16})\.log$/

export class Segment {
  readonly ordinal: number
  readonly first: number
  readonly salt: Salt
  /** The sequence of its last record; `first - 1` while it has none. */
  last: number
  /** Nothing is appended to it any more. */
  isSealed = false
  /** Bytes of its log that hold durable records. */
  bytes = 0
  /** Bytes of its file of dones that hold whole frames, and how many these are. */
  doneBytes = 0
  doneFrames = 0
  readonly #usage: Usage
  #charged = 0
  readonly #done = new Bitmap()
  readonly #unsaved = new Bitmap()
  /** All before are done. */
  #firstUndone = 0
  readonly #indexSequences: number[] = []
  readonly #indexPositions: number[] = []

  constructor({ ordinal, first, salt, usage }: SegmentInit) {
    this.ordinal = ordinal
    this.first = first
    this.last = first - 1
    this.salt = salt
    this.#usage = usage
  }

  /** The segment whose log has this name; undefined where it is no such name. */
  static named(name: string, usage: Usage): Segment | undefined {
    const [, ordinal, first, salt] = NAME.exec(name) ?? []
    if (ordinal === undefined || first === undefined || salt === undefined) return undefined
    return new Segment({
      ordinal: Number.parseInt(ordinal, 16),
      first: Number.parseInt(first, 16),
      salt: new Salt(salt),
      usage,
    })
  }

  get #stem(): string {
    const ordinal = this.ordinal.toString(16).padStart(8, '0')
    return `${ordinal}-${this.first.toString(16).padStart(14, '0')}-${this.salt.text}`
  }

  get logName(): string {
    return `${this.#stem}.log`
  }

  get doneName(): string {
    return `${this.#stem}.done`
  }

  get records(): number {
    return this.last - this.first + 1
  }

  get pending(): number {
    return this.records - this.#done.count
  }

  get range(): Range {
    return { first: this.first, last: this.last }
  }

  /** Whether it can go: nothing is added, nothing is needed. */
  get isOver(): boolean {
    return this.isSealed && this.pending === 0
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.count > 0
  }

  /** Records have become durable. */
  extend(last: number, bytes: number): void {
    this.#use(bytes, bytes + (last - this.last) * DONE_BYTES)
    this.last = last
    this.bytes += bytes
  }

  /** A record begins there. Called in order; most calls remember nothing. */
  index(sequence: number, position: number): void {
    if (position - (this.#indexPositions.at(-1) ?? -INDEX_BYTES) < INDEX_BYTES) return
    this.#indexSequences.push(sequence)
    this.#indexPositions.push(position)
  }

  /** Where a record begins that is at or before this one, as near to it as is known. */
  positionBefore(sequence: number): number {
    let low = 0
    let high = this.#indexSequences.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#indexSequences[middle] as number) <= sequence) low = middle + 1
      else high = middle
    }
    return this.#indexPositions[low - 1] ?? 0
  }

  isDone(sequence: number): boolean {
    return this.#done.has(sequence - this.first)
  }

  /** A durable record was done. @returns false where it was already */
  done(sequence: number): boolean {
    if (!this.#done.add(sequence - this.first)) return false
    this.#unsaved.add(sequence - this.first)
    return true
  }

  /** The disk says of a record that it is done. */
  doneOnDisk(sequence: number): void {
    if (this.#done.add(sequence - this.first)) this.#use(0, -DONE_BYTES)
  }

  /** The first record from there on that is not done. */
  nextPending(from: number): number | undefined {
    const start = Math.max(from - this.first, this.#firstUndone)
    const next = this.#done.firstOut(start)
    if (start === this.#firstUndone) this.#firstUndone = next
    return this.first + next <= this.last ? this.first + next : undefined
  }

  /** Takes out what is done and not on disk: at most so many ranges. */
  takeUnsaved(maxRanges: number): Range[] {
    const ranges: Range[] = []
    for (let first = this.#unsaved.firstIn(0); first !== undefined; first = this.#unsaved.firstIn(first)) {
      if (ranges.length === maxRanges) break
      const end = this.#unsaved.firstOut(first)
      ranges.push({ first: this.first + first, last: this.first + end - 1 })
      for (; first < end; first++) this.#unsaved.delete(first)
    }
    return ranges
  }

  /** What was taken out could not be written. */
  putBackUnsaved(ranges: readonly Range[]): void {
    for (const { first, last } of ranges) {
      for (let sequence = first; sequence <= last; sequence++) this.#unsaved.add(sequence - this.first)
    }
  }

  /** What was taken out is on disk, in one more frame. */
  saved(ranges: readonly Range[], frameBytes: number): void {
    let records = 0
    for (const { first, last } of ranges) records += last - first + 1
    this.doneFrames++
    this.doneBytes += frameBytes
    this.#use(frameBytes, frameBytes - records * DONE_BYTES)
  }

  /** Its file of dones, as it was found. */
  foundDones(bytes: number, frames: number): void {
    this.doneBytes = bytes
    this.doneFrames = frames
    this.#use(bytes, bytes)
  }

  /** Its files are gone. */
  removed(): void {
    this.#usage.charged -= this.#charged
    this.#usage.disk -= this.bytes + this.doneBytes
    this.#charged = 0
  }

  #use(disk: number, charged: number): void {
    this.#usage.disk += disk
    this.#usage.charged += charged
    this.#charged += charged
  }
}
