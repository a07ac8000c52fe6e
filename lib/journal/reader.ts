/**
 * Floor 1. Hands out a journal's records in order, from a cursor on: those that are not done, from disk as far as they
 * are durable, then those that still are in memory. One read at a time.
 */
import { errors, reasonOf } from '../errors.ts'
import type { File, Files } from './files.ts'
import { Scanner } from './scanner.ts'
import type { Segment } from './segment.ts'
import type { Segments } from './segments.ts'
import type { UnwrittenRecords } from './unwritten.ts'

export interface JournalRecord {
  readonly sequence: number
  readonly record: Buffer
}

export interface ReadBounds {
  readonly maxMessages: number
  /** Bytes of records; the first is handed out however large it is. */
  readonly maxBytes: number
}

export interface ReaderInit {
  readonly files: Files
  readonly folder: string
  readonly segments: Segments
  readonly unwritten: UnwrittenRecords
  /** Records that were there at the start cannot be read any more. They are as good as done. Must not throw. */
  readonly onLost: (segment: Segment, first: number, last: number) => void
}

/** The segment that is being read. */
interface Place {
  readonly segment: Segment
  readonly file: File
  readonly scanner: Scanner
  /** What the scanner finds next is this one or a later one. */
  next: number
  /** The segment's bytes that the scanner knows of. */
  bytes: number
}

/** What was read so far, and how much more may be. */
class Harvest {
  readonly records: JournalRecord[] = []
  readonly #bounds: ReadBounds
  #bytes = 0

  constructor(bounds: ReadBounds) {
    this.#bounds = bounds
  }

  /** @returns false where it is full */
  add(sequence: number, bytes: Uint8Array): boolean {
    const { maxMessages, maxBytes } = this.#bounds
    if (this.records.length >= maxMessages) return false
    if (this.records.length > 0 && this.#bytes + bytes.length > maxBytes) return false
    this.#bytes += bytes.length
    // A copy: a view would keep the whole window in memory for as long as the record waits.
    this.records.push({ sequence, record: Buffer.from(bytes) })
    return true
  }
}

export class Reader {
  /** The sequence from which on it reads next. */
  cursor: number
  readonly #init: ReaderInit
  #place: Place | undefined
  #reading: Promise<unknown> | undefined
  #isReading = false

  constructor(init: ReaderInit, cursor: number) {
    this.#init = init
    this.cursor = cursor
  }

  /** Between the call and the moment in which the cursor moves: no time at all where nothing has to be read from disk. */
  get isReading(): boolean {
    return this.#isReading
  }

  /** Rejects where the disk fails; the cursor then stands where it stood. */
  async read(bounds: ReadBounds): Promise<JournalRecord[]> {
    if (this.#isReading) throw new Error('one read of a journal at a time')
    const reading = this.#read(new Harvest(bounds))
    this.#reading = reading
    try {
      return await reading
    } finally {
      if (this.#reading === reading) this.#reading = undefined
    }
  }

  /** The segment is over: its file is closed, at the latest when the read that is on its way ends. */
  async forget(segment: Segment): Promise<void> {
    await this.#reading?.catch(() => undefined)
    if (this.#place?.segment === segment) await this.#leave()
  }

  async close(): Promise<void> {
    await this.#reading?.catch(() => undefined)
    await this.#leave()
  }

  /** Awaits nothing where nothing is on disk, so that the cursor has moved when this returns. */
  async #read(harvest: Harvest): Promise<JournalRecord[]> {
    const { segments, unwritten } = this.#init
    this.#isReading = true
    let cursor = this.cursor
    try {
      for (let next = segments.nextPending(cursor); next !== undefined; next = segments.nextPending(cursor)) {
        const { segment, sequence } = next
        const record = this.#find(segment, sequence)
        if (record === 'more') await this.#fetch(segment)
        if (!(record instanceof Buffer)) continue
        cursor = sequence
        if (!harvest.add(sequence, record)) {
          this.#unread(sequence)
          return harvest.records
        }
        cursor = sequence + 1
      }
      // What became durable meanwhile has been read from disk.
      cursor = Math.max(cursor, unwritten.first)
      for (;;) {
        const sequence = unwritten.nextPending(cursor)
        cursor = sequence ?? unwritten.next
        if (sequence === undefined || !harvest.add(sequence, unwritten.get(sequence) as Uint8Array)) {
          return harvest.records
        }
        cursor = sequence + 1
      }
    } catch (error) {
      // What was handed out so far is read again.
      cursor = this.cursor
      throw error
    } finally {
      this.cursor = cursor
      this.#isReading = false
    }
  }

  /**
   * Looks for a record that is not done: in what has been read of its segment.
   * @returns `more` where more has to be read; undefined where it is not there any more: then it has been counted as lost
   */
  #find(segment: Segment, sequence: number): Buffer | 'more' | undefined {
    const place = this.#place
    if (place?.segment !== segment) return 'more'
    const { scanner } = place
    const known = segment.positionBefore(sequence)
    if (place.next > sequence || known > scanner.position) {
      scanner.seek(known)
      place.next = segment.first
    }
    if (place.bytes !== segment.bytes) scanner.size = place.bytes = segment.bytes
    for (;;) {
      const found = scanner.next()
      if (found === 'more') return 'more'
      const isThere = found === 'record'
      if (isThere && scanner.through < sequence) continue
      place.next = isThere ? scanner.through + 1 : segment.last + 1
      if (isThere && scanner.sequence === sequence && !scanner.isEmpty) return scanner.record
      if (isThere && scanner.sequence > sequence) this.#unread(scanner.sequence)
      // It was there when it became durable, or at the start. An empty run says that it was done.
      this.#init.onLost(segment, sequence, isThere ? Math.max(sequence, scanner.sequence - 1) : segment.last)
      return undefined
    }
  }

  /** Reads more of a segment. */
  async #fetch(segment: Segment): Promise<void> {
    const { files, folder } = this.#init
    try {
      if (this.#place?.segment !== segment) {
        await this.#leave()
        const file = await files.open(`${folder}/${segment.logName}`, 'read')
        const { salt, bytes, first: next } = segment
        this.#place = { segment, file, scanner: new Scanner(file, salt, bytes), next, bytes }
      }
      await this.#place.scanner.fill()
    } catch (error) {
      await this.#leave()
      // It may have been over meanwhile, and removed.
      if (!segment.isOver) throw new errors.JOURNAL_UNREADABLE(folder, reasonOf(error), { cause: error })
    }
  }

  /** The record that was found last is to be found again. */
  #unread(sequence: number): void {
    const place = this.#place as Place
    place.scanner.back()
    place.next = sequence
  }

  async #leave(): Promise<void> {
    const file = this.#place?.file
    this.#place = undefined
    await file?.close().catch(() => undefined)
  }
}
