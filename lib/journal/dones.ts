/**
 * Floor 1. What was done, on disk: beside a segment's log a file of frames, each a record of the log's own format whose
 * content is ranges of sequences (two numbers of 4 bytes: how far from the segment's first, and how many).
 *
 * Frames are written after the fact, many dones at a time, and not synced: a crash may forget the last ones, and then
 * their records are delivered once more. A damaged frame is skipped, to the same effect.
 */
import { Bitmap } from './bitmap.ts'
import type { File, Files } from './files.ts'
import { HEADER_BYTES } from './format.ts'
import type { Range } from './gaps.ts'
import { Scanner } from './scanner.ts'
import { MAX_SEGMENT_RECORDS, type Segment } from './segment.ts'
import type { JournalLog } from './options.ts'

/** Ranges of a frame at most; more are written as several. */
const MAX_RANGES = 4096
/** Files that are kept open. What is delivered at one time is mostly of one segment or of neighbours. */
const MAX_OPEN = 4

export interface DoneWriterInit {
  readonly files: Files
  readonly folder: string
  readonly log: Pick<JournalLog, 'warn'> | undefined
}

export class DoneWriter {
  readonly #init: DoneWriterInit
  readonly #dirty = new Set<Segment>()
  /** Used last, last. */
  readonly #open = new Map<Segment, File>()
  #turn: NodeJS.Immediate | undefined
  #running: Promise<void> | undefined
  #hasFailed = false

  constructor(init: DoneWriterInit) {
    this.#init = init
  }

  /** Something of the segment was done; it is written at the end of this turn, or after what is being written. */
  add(segment: Segment): void {
    this.#dirty.add(segment)
    this.#schedule()
  }

  /** Resolves when what was added is written, or has failed and waits for the next time. Never rejects. */
  async flush(): Promise<void> {
    while (this.#running !== undefined) await this.#running
    clearImmediate(this.#turn)
    this.#turn = undefined
    await this.#start()
  }

  /** Writes what of a segment is not on disk yet. Rejects where that fails; it stays to be written. */
  async save(segment: Segment, { sync = false } = {}): Promise<void> {
    while (segment.hasUnsaved) {
      const ranges = segment.takeUnsaved(MAX_RANGES)
      const frame = encode(segment, ranges)
      try {
        const file = await this.#fileOf(segment)
        // Over what a write that failed may have left there.
        await file.write([frame], segment.doneBytes)
        if (sync) await file.sync()
      } catch (error) {
        segment.putBackUnsaved(ranges)
        throw error
      }
      segment.saved(ranges, frame.length)
    }
  }

  /** The segment is over and about to be removed: from here on nothing is written of it. */
  async forget(segment: Segment): Promise<void> {
    await this.#running
    this.#dirty.delete(segment)
    const file = this.#open.get(segment)
    this.#open.delete(segment)
    await file?.close()
  }

  async close(): Promise<void> {
    await this.flush()
    for (const file of this.#open.values()) await file.close().catch(() => undefined)
    this.#open.clear()
  }

  #schedule(): void {
    if (this.#running !== undefined) return
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      void this.#start()
    })
  }

  #start(): Promise<void> {
    const running = this.#run().then((isWritten) => {
      this.#running = undefined
      // After a failure it waits for the next record that is done.
      if (isWritten && this.#dirty.size > 0) this.#schedule()
    })
    this.#running = running
    return running
  }

  /** @returns false where a write failed */
  async #run(): Promise<boolean> {
    for (const segment of Array.from(this.#dirty)) {
      this.#dirty.delete(segment)
      // One that is over is removed, and its dones with it.
      if (segment.isOver) continue
      try {
        await this.save(segment)
        this.#hasFailed = false
      } catch (error) {
        this.#dirty.add(segment)
        if (!this.#hasFailed) {
          const text = 'what was delivered could not be written down; after a crash it would be delivered again'
          this.#init.log?.warn({ err: error, path: this.#init.folder }, text)
        }
        this.#hasFailed = true
        return false
      }
    }
    return true
  }

  async #fileOf(segment: Segment): Promise<File> {
    const { files, folder } = this.#init
    const known = this.#open.get(segment)
    const file = known ?? (await files.open(`${folder}/${segment.doneName}`, 'write'))
    this.#open.delete(segment)
    this.#open.set(segment, file)
    const [oldest] = this.#open
    if (this.#open.size > MAX_OPEN && oldest !== undefined) {
      this.#open.delete(oldest[0])
      await oldest[1].close()
    }
    return file
  }
}

function encode(segment: Segment, ranges: readonly Range[]): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + ranges.length * 8)
  for (const [index, { first, last }] of ranges.entries()) {
    frame.writeUInt32LE(first - segment.first, HEADER_BYTES + index * 8)
    frame.writeUInt32LE(last - first + 1, HEADER_BYTES + index * 8 + 4)
  }
  segment.salt.complement.writeHeader(frame, 0, segment.doneFrames + 1, frame.subarray(HEADER_BYTES))
  return frame
}

/** Reads what the file beside a segment's log says is done: how far from the segment's first each is. */
export async function readDones(files: Files, folder: string, segment: Segment): Promise<Bitmap> {
  const dones = new Bitmap()
  const file = await files.open(`${folder}/${segment.doneName}`, 'read')
  let end = 0
  let frames = 0
  try {
    const scanner = new Scanner(file, segment.salt.complement, await file.size())
    for (let found = scanner.next(); found !== 'end'; found = scanner.next()) {
      if (found === 'more') {
        await scanner.fill()
        continue
      }
      decode(scanner.record, dones)
      end = scanner.end
      frames = Math.max(frames, scanner.sequence)
    }
  } finally {
    await file.close()
  }
  segment.foundDones(end, frames)
  return dones
}

function decode(record: Buffer, dones: Bitmap): void {
  for (let at = 0; at + 8 <= record.length; at += 8) {
    const first = record.readUInt32LE(at)
    const end = Math.min(first + record.readUInt32LE(at + 4), MAX_SEGMENT_RECORDS)
    for (let index = first; index < end; index++) dones.add(index)
  }
}
