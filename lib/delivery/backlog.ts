/** Floor 2. What a journal has and memory has not: read from disk, a part at a time, while there is room for it. */
import type { Journal } from '../journal/journal.ts'
import type { JournalLog } from '../journal/options.ts'
import type { JournalRecord, ReadBounds } from '../journal/reader.ts'

export interface BacklogInit {
  readonly journal: Journal
  /** Of one read. */
  readonly bounds: ReadBounds
  readonly log: JournalLog | undefined
  /** Whether there is room for more. */
  readonly wants: () => boolean
  /** Takes a record, in order. Must not throw. */
  readonly onRecord: (record: JournalRecord) => void
}

/** A disk that could not be read is tried again after so many milliseconds. */
const READ_AGAIN = 1_000

export class Backlog {
  readonly #init: BacklogInit
  #isReading = false
  #isClosed = false
  #again: NodeJS.Timeout | undefined

  constructor(init: BacklogInit) {
    this.#init = init
  }

  /** A read is under way: what is appended meanwhile comes after it. */
  get isReading(): boolean {
    return this.#isReading
  }

  /** Reads on, if there is anything, and room for it. May be called at any time. */
  refill(): void {
    const { journal, bounds, wants } = this.#init
    if (this.#isReading || this.#isClosed || journal.cursor >= journal.next || !wants()) return
    this.#isReading = true
    void journal.read(bounds).then(
      (records) => this.#onRead(records),
      (error: unknown) => this.#onUnreadable(error),
    )
  }

  /** Gives nothing more. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#again)
  }

  #onRead(records: readonly JournalRecord[]): void {
    this.#isReading = false
    for (const record of records) if (!this.#isClosed) this.#init.onRecord(record)
    this.refill()
  }

  #onUnreadable(err: unknown): void {
    this.#isReading = false
    if (this.#isClosed) return
    this.#init.log?.warn({ err }, 'the journal cannot be read: it is tried again')
    this.#again = setTimeout(() => this.refill(), READ_AGAIN).unref()
  }
}
