/**
 * Floor 1. Walks through a file of records, whatever has happened to it: what is damaged is skipped up to the next
 * undamaged header. Holds a window of the file, never all of it.
 *
 * {@link Scanner.next} is synchronous, since a promise for each of a million records would take seconds; it asks for
 * more of the file when it needs it:
 *
 *     for (;;) {
 *       const found = scanner.next()
 *       if (found === 'end') break
 *       if (found === 'more') await scanner.fill()
 *       else use(scanner.sequence, scanner.record)
 *     }
 */
import type { File } from './files.ts'
import { HEADER_BYTES, type Salt, headerEmptyRun, headerLength, headerSequence, isIntact } from './format.ts'

/** Bytes that are read at once, where no record is larger. */
const WINDOW_BYTES = 256 * 1024

export class Scanner {
  /** Of the record that was found, or the first that its header stands for. */
  sequence = 0
  /** The last that its header stands for; the same where a record follows it. */
  through = 0
  /** Whether it is a header alone, of records that nobody needs any more. */
  isEmpty = false
  /** What was found. A view of the window: gone with the next call. */
  record: Buffer = Buffer.alloc(0)
  /** Where what was found begins in the file, and where it ends. */
  start = 0
  end = 0
  /** How far to read; may be raised while the file grows. */
  size: number
  readonly #file: File
  readonly #salt: Salt
  #window: Buffer = Buffer.alloc(0)
  /** Where in the file the window begins, and how much of it is filled. */
  #windowStart = 0
  #filled = 0
  /** Where to go on. */
  #position = 0
  /** Bytes from there on that have to be in the window. */
  #needed = HEADER_BYTES

  constructor(file: File, salt: Salt, size: number) {
    this.#file = file
    this.#salt = salt
    this.size = size
  }

  get position(): number {
    return this.#position
  }

  /** Goes on there, which is where a record begins. */
  seek(position: number): void {
    this.#position = position
    if (position >= this.#windowStart && position <= this.#windowStart + this.#filled) return
    this.#windowStart = position
    this.#filled = 0
  }

  /** Finds the same record again next time. */
  back(): void {
    this.#position = this.start
  }

  next(): 'record' | 'more' | 'end' {
    const windowEnd = this.#windowStart + this.#filled
    for (;;) {
      const available = windowEnd - this.#position
      if (available < HEADER_BYTES) return this.#more(HEADER_BYTES)
      const at = this.#position - this.#windowStart
      if (!this.#salt.isHeader(this.#window, at)) {
        this.#resync(at + 1)
        continue
      }
      const bytes = HEADER_BYTES + headerLength(this.#window, at)
      if (this.#position + bytes <= this.size) {
        if (available < bytes) return this.#more(bytes)
        if (this.#take(at, bytes)) return 'record'
      }
      // The header is undamaged, what follows it is not, or is cut off.
      this.#position += HEADER_BYTES
    }
  }

  /** Reads on. Rejects where the file cannot be read. */
  async fill(): Promise<void> {
    const kept = this.#window.subarray(this.#position - this.#windowStart, this.#filled)
    const capacity = Math.max(WINDOW_BYTES, this.#needed)
    const window = this.#window.length === capacity ? this.#window : Buffer.allocUnsafeSlow(capacity)
    window.set(kept, 0)
    this.#window = window
    this.#windowStart = this.#position
    this.#filled = kept.length
    const wanted = Math.min(capacity, this.size - this.#windowStart) - this.#filled
    const into = window.subarray(this.#filled, this.#filled + wanted)
    const read = await this.#file.read(into, this.#windowStart + this.#filled)
    this.#filled += read
    // Somebody has cut it off meanwhile.
    if (read < wanted) this.size = this.#windowStart + this.#filled
  }

  #more(bytes: number): 'more' | 'end' {
    if (this.#position + bytes > this.size) return 'end'
    this.#needed = bytes
    return 'more'
  }

  #take(at: number, bytes: number): boolean {
    const record = this.#window.subarray(at + HEADER_BYTES, at + bytes)
    if (!isIntact(this.#window, at, record)) return false
    const run = headerEmptyRun(this.#window, at)
    this.sequence = headerSequence(this.#window, at)
    this.isEmpty = run > 0
    this.through = this.sequence + Math.max(0, run - 1)
    this.record = record
    this.start = this.#position
    this.end = this.#position + bytes
    this.#position = this.end
    return true
  }

  /** Goes to the next place in the window that looks like a header, or to the window's end. */
  #resync(from: number): void {
    const { magic } = this.#salt
    const found = this.#window.subarray(0, this.#filled).indexOf(magic, from)
    // The first bytes of one may be the window's last.
    const at = found === -1 ? Math.max(from, this.#filled - magic.length + 1) : found
    this.#position = this.#windowStart + at
  }
}
