/**
 * Takes the bytes of one connection apart: records, which are counted, and what comes between them.
 *
 * A thousand of these on one core must keep up with millions of records a second, so a record is recognised by its
 * first bytes and skipped by its known length; nothing is allocated and nothing is decoded for it.
 */
import type { Dialect } from './dialects.ts'
import { CLOSE, clientFrame, PING, PONG, readHead } from './frames.ts'

export interface Events {
  /** A record begins at `start`. */
  record(bytes: Buffer, start: number): void
  /** Something has to be sent back. */
  reply(bytes: Buffer): void
  /** Messages come from now on. */
  ready(): void
  /** The server closes the WebSocket. */
  closed(code: number): void
}

/** So many bytes of a record are compared: a frame's head, `MSG `. */
const SIGNATURE = 4
const NO_CODE = 1005

export class Reader {
  readonly #dialect: Dialect
  readonly #events: Events
  readonly #signature: readonly number[]
  readonly #length: number
  /** Of the frame that records lie in: bytes that are still to come. */
  #frameLeft = 0

  constructor(dialect: Dialect, events: Events) {
    this.#dialect = dialect
    this.#events = events
    this.#signature = [...dialect.record.subarray(0, SIGNATURE)]
    this.#length = dialect.record.length
  }

  /**
   * Reads what came in. What is cut off at the end must be there again, at the beginning, the next time.
   * @returns where it stopped.
   * @throws Error on bytes that the server should never send: what is measured would not be what is meant.
   */
  read(bytes: Buffer, start: number, end: number): number {
    return this.#dialect.layered ? this.#readLayered(bytes, start, end) : this.#readRecords(bytes, start, end)
  }

  #readLayered(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end) {
      if (this.#frameLeft === 0) {
        const head = readHead(bytes, at, end)
        if (head === undefined) break
        if (head.opcode >= CLOSE) {
          if (end - at < head.size + head.length) break
          this.#control(head.opcode, bytes.subarray(at + head.size, at + head.size + head.length))
          at += head.size + head.length
          continue
        }
        at += head.size
        this.#frameLeft = head.length
      }
      const limit = Math.min(end, at + this.#frameLeft)
      const stopped = this.#readRecords(bytes, at, limit)
      this.#frameLeft -= stopped - at
      at = stopped
      if (at < limit) {
        if (limit < end) throw new Error('a message is spread over two frames: this client cannot read that')
        break
      }
    }
    return at
  }

  #readRecords(bytes: Buffer, start: number, end: number): number {
    const length = this.#length
    let at = start
    while (at < end) {
      if (this.#isRecord(bytes, at, end)) {
        if (end - at < length) break
        this.#events.record(bytes, at)
        at += length
      } else {
        const used = this.#readOther(bytes, at, end)
        if (used === 0) break
        at += used
      }
    }
    return at
  }

  /** Whether a record, or the beginning of one, is at `at`. */
  #isRecord(bytes: Buffer, at: number, end: number): boolean {
    const signature = this.#signature
    for (let index = 0; index < SIGNATURE && at + index < end; index++) {
      if (bytes[at + index] !== signature[index]) return false
    }
    return true
  }

  /** @returns the bytes that it took: 0 while it is not whole. */
  #readOther(bytes: Buffer, at: number, end: number): number {
    if (this.#dialect.layered || this.#dialect.path === undefined) return this.#readLine(bytes, at, end)
    const head = readHead(bytes, at, end)
    if (head === undefined || end - at < head.size + head.length) return 0
    const payload = bytes.subarray(at + head.size, at + head.size + head.length)
    if (head.opcode >= CLOSE) this.#control(head.opcode, payload)
    else this.#answer(payload.toString())
    return head.size + head.length
  }

  #readLine(bytes: Buffer, at: number, end: number): number {
    const newline = bytes.subarray(at, end).indexOf('\r\n')
    if (newline === -1) return 0
    this.#answer(bytes.toString('utf8', at, at + newline))
    return newline + 2
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === PING) this.#events.reply(clientFrame(PONG, payload))
    if (opcode === CLOSE) this.#events.closed(payload.length < 2 ? NO_CODE : payload.readUInt16BE(0))
  }

  #answer(text: string): void {
    const answer = this.#dialect.answer(text)
    if (answer === undefined) throw new Error(`the server sent what nobody published: ${text.slice(0, 200)}`)
    if (answer.reply !== undefined) this.#events.reply(answer.reply)
    if (answer.ready === true) this.#events.ready()
  }
}
