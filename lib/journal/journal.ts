/**
 * Floor 1. A log of records on disk that outlives the process and the power: what a lane with a durable outbox has taken
 * and not delivered yet. Append-only, in segments, every byte of it under a checksum.
 *
 * - Records are bytes to it. Their sequences are contiguous and begin with 1.
 * - {@link Journal.append} only buffers. `onDurable` says up to which sequence records survive a crash: only then may a
 *   source be told that its message is safe. Many appends share one sync.
 * - {@link Journal.done} says that a record was delivered, in any order, also before it is durable. That is written down
 *   a little later: after a crash the last ones may be forgotten, and their records delivered again.
 * - {@link Journal.read} hands out what is pending from a cursor on. A record that the lane keeps in memory since it was
 *   appended is passed over with {@link Journal.skip}. So a lane reads from disk only what did not fit into its memory:
 *
 *       const sequence = journal.append(record)
 *       if (journal.cursor === sequence && thereIsRoomInMemory) journal.skip()
 *       // later, when there is room in memory and journal.cursor < journal.next:
 *       for (const { sequence, record } of await journal.read({ maxMessages, maxBytes })) …
 *
 * - On disk it takes at most `maxBytes` and the {@link MARK_BYTES} of its mark, not counting what the file system needs
 *   for itself. Space comes back a segment at a time, when all of its records are done.
 * - After a failed write or sync it is `failed`: appends are refused, nothing more is announced, and it tries again by
 *   itself until it is `open` again. Reading and `done` go on meanwhile.
 *
 * Why a log of its own and not LMDB: that has no checksums and maps its file into memory. Of 200 damaged files 80 (every
 * one that was cut short) ended the process by SIGBUS or SIGABRT, and 65 gave wrong or too few records without a word.
 */
import { errors, reasonOf } from '../errors.ts'
import { DoneWriter } from './dones.ts'
import { systemFiles } from './files.ts'
import { HEADER_BYTES, MAX_RECORD_BYTES } from './format.ts'
import { Lock } from './lock.ts'
import type { JournalOptions, JournalState } from './options.ts'
import { type JournalRecord, type ReadBounds, Reader } from './reader.ts'
import { type Recovered, type Recovery, recover } from './recovery.ts'
import { Remover } from './removal.ts'
import { DONE_BYTES, type Segment } from './segment.ts'
import type { Segments } from './segments.ts'
import { UnwrittenRecords } from './unwritten.ts'
import { Writer } from './writer.ts'

const DEFAULT_UNWRITTEN_BYTES = 64 * 1024 * 1024
const MAX_SEGMENT_BYTES = 64 * 1024 * 1024
const SEGMENTS = 16
/** What a record takes on disk beside itself, at most. */
const OVERHEAD = HEADER_BYTES + DONE_BYTES

export class Journal {
  /** What the start found. */
  readonly recovery: Recovery
  readonly path: string
  readonly maxBytes: number
  readonly #options: JournalOptions
  readonly #lock: Lock
  readonly #segments: Segments
  readonly #unwritten: UnwrittenRecords
  readonly #dones: DoneWriter
  readonly #writer: Writer
  readonly #reader: Reader
  readonly #closeMark: () => Promise<void>
  #durablePending: number
  #lost = 0
  #closing: Promise<void> | undefined

  private constructor(options: JournalOptions, lock: Lock, dones: DoneWriter, recovered: Recovered) {
    const { path, maxBytes, files = systemFiles, log, random } = options
    const { segments, mark, recovery } = recovered
    this.path = path
    this.maxBytes = maxBytes
    this.recovery = recovery
    this.#options = options
    this.#lock = lock
    this.#segments = segments
    this.#dones = dones
    this.#closeMark = () => mark.close()
    this.#durablePending = recovery.pending
    const unwritten = new UnwrittenRecords(recovered.next)
    this.#unwritten = unwritten
    const shared = { files, folder: path, segments, mark, dones }
    const onRemove = async (segment: Segment): Promise<void> => {
      await dones.forget(segment)
      await this.#reader.forget(segment)
    }
    const remover = new Remover({ ...shared, log, onRemove, onSpace: () => options.onSpace?.() })
    this.#writer = new Writer({
      ...shared,
      unwritten,
      remover,
      random,
      segmentBytes: options.segmentBytes ?? Math.min(MAX_SEGMENT_BYTES, Math.ceil(maxBytes / SEGMENTS)),
      ordinal: recovered.ordinal,
      onDurable: (through, pending) => {
        this.#durablePending += pending
        options.onDurable?.(through)
      },
      onFailure: (failure) => this.#onFailure(failure),
    })
    const first = segments.nextPending(1)?.sequence ?? recovered.next
    const onLost = this.#onLost.bind(this)
    this.#reader = new Reader({ files, folder: path, segments, unwritten, onLost }, first)
    for (const segment of segments.all.filter((each) => each.isOver)) this.#writer.over(segment)
  }

  /**
   * Takes the folder, and reads through what is there.
   *
   * Rejects with `JOURNAL_LOCKED` where another process has the folder, and with `JOURNAL_UNUSABLE` where the files can
   * be neither read nor written. Damage is no reason to reject: it is counted in {@link Journal.recovery}.
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const { path, files = systemFiles, log } = options
    try {
      await files.makeFolder(path)
      const lock = await Lock.acquire(path)
      try {
        const dones = new DoneWriter({ files, folder: path, log })
        const journal = new Journal(options, lock, dones, await recover({ files, folder: path, dones }))
        journal.#report()
        return journal
      } catch (error) {
        await lock.release()
        throw error
      }
    } catch (error) {
      if (error instanceof errors.JOURNAL_LOCKED || error instanceof errors.JOURNAL_UNUSABLE) throw error
      throw new errors.JOURNAL_UNUSABLE(path, reasonOf(error), { cause: error })
    }
  }

  get state(): JournalState {
    if (this.#closing !== undefined) return 'closed'
    return this.#writer.failure === undefined ? 'open' : 'failed'
  }

  /** Why it is `failed`. */
  get failure(): Error | undefined {
    const { failure } = this.#writer
    if (failure === undefined) return undefined
    return new errors.JOURNAL_FAILED(this.path, reasonOf(failure), { cause: failure })
  }

  /** The sequence that the next record will have. */
  get next(): number {
    return this.#unwritten.next
  }

  /** Everything up to this sequence survives a crash. */
  get durable(): number {
    return this.#unwritten.first - 1
  }

  /** Where {@link read} goes on; {@link next} where it has handed out, or passed over, all there is. */
  get cursor(): number {
    return this.#reader.cursor
  }

  /** Records that are not done. */
  get pending(): number {
    return this.#durablePending + this.#unwritten.pending
  }

  /** The oldest record that is not done. */
  get oldest(): number | undefined {
    return this.#segments.nextPending(1)?.sequence ?? this.#unwritten.nextPending(1)
  }

  /** What counts against `maxBytes`: the segments' files, what is about to be written, and room to say that it is done. */
  get bytes(): number {
    return this.#segments.usage.charged + this.#unwritten.charged
  }

  /** Bytes of the segments' files. */
  get diskBytes(): number {
    return this.#segments.usage.disk
  }

  /** Bytes of records in memory that are not durable yet, with their headers. */
  get unwrittenBytes(): number {
    return this.#unwritten.bytes
  }

  /** How full it is, by the bound that is nearer: 0 empty, 1 full. */
  get level(): number {
    return Math.max(this.bytes / this.maxBytes, this.#unwritten.bytes / this.#maxUnwrittenBytes)
  }

  /** Pending records that turned out to be unreadable since the start. */
  get lost(): number {
    return this.#lost
  }

  /** Syncs since the start. */
  get syncs(): number {
    return this.#writer.syncs
  }

  /** Whether a record of so many bytes would be taken. Where not, `onSpace` or `onDurable` says when to ask again. */
  fits(bytes: number): boolean {
    if (this.state !== 'open' || bytes > this.#maxRecordBytes) return false
    if (this.#unwritten.length > 0 && this.#unwritten.bytes + bytes > this.#maxUnwrittenBytes) return false
    if (this.bytes + bytes + OVERHEAD <= this.maxBytes) return true
    this.#writer.wantSpace()
    return false
  }

  /**
   * Takes a record. The bytes are the journal's from now on: they must not be changed.
   *
   * Throws `JOURNAL_FULL` where there is no room, `JOURNAL_FAILED` while writing fails, `JOURNAL_TOO_LARGE` for a record
   * that never fits, and `CLOSING` after {@link close}.
   * @returns its sequence
   */
  append(record: Uint8Array): number {
    if (!this.fits(record.length)) throw this.#refusal(record.length)
    const sequence = this.#unwritten.next
    this.#unwritten.push(record)
    this.#writer.kick()
    return sequence
  }

  /** A record was delivered, or is not wanted any more. Nothing happens where it was done before. */
  done(sequence: number): void {
    if (sequence >= this.#unwritten.first) {
      this.#unwritten.done(sequence)
      return
    }
    const segment = this.#segments.find(sequence)
    if (segment?.done(sequence) !== true) return
    this.#durablePending--
    this.#settled(segment)
  }

  /**
   * The next pending records from the cursor on, which moves behind them; none where there are no more. One read at a
   * time. Also hands out what is not durable yet.
   *
   * Rejects with `JOURNAL_UNREADABLE` where the disk fails: nothing is lost by that, and it may be tried again.
   */
  read(bounds: ReadBounds): Promise<JournalRecord[]> {
    if (this.#closing !== undefined) return Promise.reject(new errors.CLOSING())
    return this.#reader.read(bounds)
  }

  /** Passes over the record at the cursor, which was appended last: the caller has it. */
  skip(): void {
    if (this.cursor !== this.next - 1 || this.#reader.isReading) {
      throw new Error(`only the record appended last can be skipped, and only where the cursor has come to it`)
    }
    this.#reader.cursor++
  }

  /**
   * Writes what it holds, as far as that works, and lets go of the folder. What is then not durable was never announced.
   * Idempotent; never rejects.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  get #maxUnwrittenBytes(): number {
    return this.#options.maxUnwrittenBytes ?? DEFAULT_UNWRITTEN_BYTES
  }

  get #maxRecordBytes(): number {
    return Math.min(this.maxBytes - OVERHEAD, MAX_RECORD_BYTES)
  }

  #refusal(bytes: number): Error {
    if (this.#closing !== undefined) return new errors.CLOSING()
    if (bytes > this.#maxRecordBytes) return new errors.JOURNAL_TOO_LARGE(this.path, this.#maxRecordBytes, bytes)
    if (this.failure !== undefined) return this.failure
    const onDisk = `${this.bytes} of ${this.maxBytes} bytes are taken, by ${this.pending} messages`
    const inMemory = `${this.unwrittenBytes} of ${this.#maxUnwrittenBytes} bytes wait to be written`
    const isDiskFull = this.bytes + bytes + OVERHEAD > this.maxBytes
    return new errors.JOURNAL_FULL(this.path, isDiskFull ? onDisk : inMemory)
  }

  async #close(): Promise<void> {
    const { log, onState } = this.#options
    await this.#writer.close()
    await this.#dones.close()
    await this.#reader.close()
    await this.#closeMark().catch(() => undefined) // What it says is synced.
    await this.#lock.release()
    const { length } = this.#unwritten
    if (length > 0) log?.error({ path: this.path, records: length }, 'records were not written, and not acknowledged')
    onState?.('closed', undefined)
  }

  /** Something of a segment was done. */
  #settled(segment: Segment): void {
    if (this.#closing !== undefined) return
    if (segment.pending === 0) this.#writer.over(segment)
    if (!segment.isOver) this.#dones.add(segment)
  }

  #onFailure(failure: unknown): void {
    const { log, onState } = this.#options
    if (failure === undefined) log?.info({ path: this.path }, 'the journal can be written again')
    else log?.error({ err: failure, path: this.path }, 'the journal cannot be written: nothing more is acknowledged')
    if (this.#closing === undefined) onState?.(this.state, this.failure)
  }

  #onLost(segment: Segment, first: number, last: number): void {
    let records = 0
    for (let sequence = first; sequence <= last; sequence++) if (segment.done(sequence)) records++
    if (records === 0) return
    this.#durablePending -= records
    this.#lost += records
    this.#settled(segment)
    this.#options.log?.error({ path: this.path, first, last, records }, 'records have become unreadable: they are lost')
    this.#options.onLost?.(records)
  }

  #report(): void {
    const { log } = this.#options
    const { lost, truncatedBytes, markDamaged } = this.recovery
    const fields = { path: this.path, ...this.recovery }
    if (lost > 0) log?.error(fields, 'the journal was damaged: records that were acknowledged are lost')
    else if (truncatedBytes > 0 || markDamaged)
      log?.warn(fields, 'the journal was not closed properly; nothing is lost')
    else log?.info(fields, 'the journal is open')
  }
}
