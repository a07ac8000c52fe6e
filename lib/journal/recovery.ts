/**
 * Floor 1. What a start makes of the files that it finds, whatever has happened to them.
 *
 * Sequences are contiguous, and the mark says up to which they were durable: so what is missing is known by number. What
 * is missing and was not done is lost, and counted. What comes behind the mark was never announced: it is kept as far as
 * it is whole, and the rest is cut off. All is read through once, a window at a time.
 */
import { Bitmap } from './bitmap.ts'
import { type DoneWriter, readDones } from './dones.ts'
import type { File, Files } from './files.ts'
import type { Range } from './gaps.ts'
import { Mark } from './mark.ts'
import { Scanner } from './scanner.ts'
import { MAX_SEGMENT_RECORDS, Segment } from './segment.ts'
import { Segments } from './segments.ts'

/** What was found. */
export interface Recovery {
  /** Records that wait to be delivered. */
  readonly pending: number
  /** Records that were announced as durable, are not known to be done, and cannot be read any more. */
  readonly lost: number
  /** Records that cannot be read any more and were announced as durable: those that are lost, and those that were done. */
  readonly unreadable: number
  /** Bytes behind the last whole record that were cut off. */
  readonly truncatedBytes: number
  /**
   * The mark, or a half of it, could not be read. Where nothing else is damaged all figures are exact nevertheless;
   * else `lost` may be too low.
   */
  readonly markDamaged: boolean
  readonly milliseconds: number
}

export interface Recovered {
  readonly segments: Segments
  readonly mark: Mark
  /** For the next segment. */
  readonly ordinal: number
  /** For the next record. */
  readonly next: number
  readonly recovery: Recovery
}

export interface RecoveryInit {
  readonly files: Files
  readonly folder: string
  readonly dones: DoneWriter
}

/** Bytes that are written again at once. */
const COPY_BYTES = 1024 * 1024

/** Rejects where the files can be neither read nor written. */
export async function recover(init: RecoveryInit): Promise<Recovered> {
  const mark = await Mark.open(init.files, init.folder)
  try {
    return await new Recoverer(init, mark).run()
  } catch (error) {
    await mark.close()
    throw error
  }
}

class Recoverer {
  readonly #init: RecoveryInit
  readonly #mark: Mark
  readonly #segments = new Segments()
  /** Segments in which there is no record. */
  readonly #bare: Segment[] = []
  readonly #start = performance.now()
  /** The last sequence that was announced, as far as is known; Infinity where the mark does not say. */
  #durable: number
  #lost = 0
  #unreadable = 0
  #truncatedBytes = 0

  constructor(init: RecoveryInit, mark: Mark) {
    this.#init = init
    this.#mark = mark
    this.#durable = mark.foundDurable ?? Infinity
  }

  async run(): Promise<Recovered> {
    const names = new Set(await this.#init.files.list(this.#init.folder))
    const found = segmentsIn(names, this.#segments)
    const ordinal = 1 + Math.max(0, ...found.map((segment) => segment.ordinal))
    const kept = await this.#weedOut(found)
    await this.#removeStrayDones(names, kept)
    // Before a segment is begun, everything before it is durable.
    const { first } = kept.at(-1) ?? { first: 1 }
    const gapsEnd = this.#mark.gaps.ranges.at(-1)?.last ?? 0
    this.#durable = Math.max(this.#durable, first - 1, gapsEnd)
    let end = 0
    for (const [index, segment] of kept.entries()) {
      this.#missing({ first: end + 1, last: segment.first - 1 }, undefined)
      const next = kept[index + 1]
      end = await this.#read(segment, next, names.has(segment.doneName))
    }
    end = Math.max(end, gapsEnd)
    if (this.#durable !== Infinity) {
      this.#missing({ first: end + 1, last: this.#durable }, undefined)
      end = Math.max(end, this.#durable)
    }
    // Twice, so that both halves say it.
    for (let half = 0; half < 2; half++) await this.#mark.write(end)
    for (const segment of this.#bare) await this.#remove(segment)
    return { segments: this.#segments, mark: this.#mark, ordinal, next: end + 1, recovery: this.#report() }
  }

  #report(): Recovery {
    return {
      pending: this.#segments.all.reduce((sum, { pending }) => sum + pending, 0),
      lost: this.#lost,
      unreadable: this.#unreadable,
      truncatedBytes: this.#truncatedBytes,
      markDamaged: this.#mark.wasDamaged,
      milliseconds: Math.round(performance.now() - this.#start),
    }
  }

  /** Removes what was over already. */
  async #weedOut(found: readonly Segment[]): Promise<Segment[]> {
    const over = found.filter((segment) => this.#mark.gaps.has(segment.first))
    for (const segment of over) await this.#remove(segment)
    return found.filter((segment) => !over.includes(segment))
  }

  async #remove(segment: Segment): Promise<void> {
    const { files, folder } = this.#init
    await files.remove(`${folder}/${segment.doneName}`)
    await files.remove(`${folder}/${segment.logName}`)
  }

  async #removeStrayDones(names: ReadonlySet<string>, kept: readonly Segment[]): Promise<void> {
    const { files, folder } = this.#init
    const known = new Set(kept.map((segment) => segment.doneName))
    for (const name of names) {
      if (name.endsWith('.done') && !known.has(name)) await files.remove(`${folder}/${name}`)
    }
  }

  /** @returns the last sequence that it accounts for */
  async #read(segment: Segment, next: Segment | undefined, hasDones: boolean): Promise<number> {
    const { files, folder, dones } = this.#init
    const done = hasDones ? await readDones(files, folder, segment) : new Bitmap()
    const file = await files.open(`${folder}/${segment.logName}`, 'write')
    let end = segment.first - 1
    try {
      end = await this.#readLog(segment, file, {
        done,
        isNewest: next === undefined,
        limit: this.#limit(segment, next),
      })
    } finally {
      await file.close()
    }
    segment.isSealed = true
    if (segment.records === 0) {
      segment.removed()
      this.#bare.push(segment)
      return end
    }
    this.#segments.push(segment)
    // So that what is lost is counted once. Where that fails, it is counted again by the next start.
    await dones.save(segment, { sync: true }).catch(() => undefined)
    return end
  }

  /** The last sequence that it can have. One whose first sync failed may have none: a newer one has taken its place. */
  #limit(segment: Segment, next: Segment | undefined): number {
    return Math.min(next?.first ?? Infinity, this.#mark.gaps.firstAfter(segment.first) ?? Infinity) - 1
  }

  async #readLog(
    segment: Segment,
    file: File,
    { done, isNewest, limit }: { readonly done: Bitmap; readonly isNewest: boolean; readonly limit: number },
  ): Promise<number> {
    const { first } = segment
    const markDurable = this.#mark.foundDurable ?? 0
    const size = await file.size()
    const scanner = new Scanner(file, segment.salt, size)
    const holes = new Bitmap()
    let next = first
    let end = 0
    let unsureFrom: number | undefined
    for (let found = scanner.next(); found !== 'end'; found = scanner.next()) {
      if (found === 'more') {
        await scanner.fill()
        continue
      }
      const { sequence, through } = scanner
      // Left behind by a write that failed, and written again elsewhere since.
      if (sequence < next || through > limit || through - first >= MAX_SEGMENT_RECORDS) continue
      // A hole in what was never announced: what comes behind it would be out of order.
      if (isNewest && sequence > next && sequence > this.#durable + 1) break
      for (; next < sequence; next++) holes.add(next - first)
      if (scanner.isEmpty) for (let empty = sequence; empty <= through; empty++) done.add(empty - first)
      if (through > markDurable) unsureFrom ??= scanner.start
      segment.index(sequence, scanner.start)
      next = through + 1
      end = scanner.end
    }
    if (isNewest && unsureFrom !== undefined) await rewrite(file, unsureFrom, end)
    if (isNewest && end < size) {
      await file.truncate(end)
      this.#truncatedBytes += size - end
    }
    segment.extend(next - 1, isNewest ? end : size)
    this.#settle(segment, done, holes)
    const last = Math.min(limit, this.#durable)
    if (last === Infinity || last < next) return next - 1
    this.#missing({ first: next, last }, { segment, done })
    return last
  }

  /** What was done, and what is missing between records that are there. */
  #settle(segment: Segment, done: Bitmap, holes: Bitmap): void {
    const { first, last } = segment
    for (let at = done.firstIn(0); at !== undefined && first + at <= last; at = done.firstIn(at + 1)) {
      segment.doneOnDisk(first + at)
    }
    this.#unreadable += holes.count
    for (let at = holes.firstIn(0); at !== undefined; at = holes.firstIn(at + 1)) {
      if (segment.done(first + at)) this.#lost++
    }
  }

  /** No file has anything of these any more: cut off, or gone with a file that the mark did not say was over. */
  #missing(range: Range, from: { readonly segment: Segment; readonly done: Bitmap } | undefined): void {
    for (const part of this.#mark.gaps.outside(range)) {
      // Without a mark nobody knows which segments were over; those that are gone most likely were.
      if (this.#mark.foundDurable !== undefined) {
        const count = part.last - part.first + 1
        this.#unreadable += count
        this.#lost += count - (from === undefined ? 0 : countIn(from.done, from.segment.first, part))
      }
      // Where the mark has no place for it, it is counted again by the next start.
      this.#mark.gaps.add(part)
    }
  }
}

/** Newest last. */
function segmentsIn(names: Iterable<string>, { usage }: Segments): Segment[] {
  return [...names]
    .map((name) => Segment.named(name, usage))
    .filter((segment) => segment !== undefined)
    .toSorted((a, b) => a.ordinal - b.ordinal)
}

/** How many of a range are in a set of how far they are from `first`. */
function countIn(set: Bitmap, first: number, range: Range): number {
  let count = 0
  for (let at = set.firstIn(range.first - first); at !== undefined; at = set.firstIn(at + 1)) {
    if (first + at > range.last) break
    count++
  }
  return count
}

/**
 * Writes what is there again. It may only seem to be there: where a sync failed, the kernel keeps pages that it could
 * not write, and takes them for written.
 */
async function rewrite(file: File, from: number, end: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, end - from))
  for (let at = from; at < end; at += buffer.length) {
    const part = buffer.subarray(0, Math.min(buffer.length, end - at))
    await file.read(part, at)
    await file.write([part], at)
  }
  await file.sync()
}
