/**
 * Floor 3. A request with a message a line. All of it is looked at before any of it is handed in, so that a request is
 * refused as a whole; it is handed in bit by bit, and only while the lanes want more.
 */
import { type AraldoError, errors, isRetryable } from '../../errors.ts'
import type { Marshaller } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { codeOf } from './answers.ts'

/** Lines that are decoded, or handed in, before others have their turn. */
const SLICE = 256
/** Failures that an answer lists. */
const MAX_LISTED = 1_000
const LINE_END = 0x0a
const CARRIAGE_RETURN = 0x0d

export interface Line {
  /** From 1. */
  readonly number: number
  readonly payload: Buffer
}

export interface LineLimits {
  /** The endpoint's name. */
  readonly name: string
  readonly messages: number
  /** Bytes of one. */
  readonly payload: number
}

/** Lines without their ends (LF, CR LF); empty ones are none. The last one needs no end. */
export function linesOf(body: Buffer, { name, messages, payload: limit }: LineLimits): Line[] | AraldoError {
  const lines: Line[] = []
  for (let start = 0, number = 1; start < body.length; number++) {
    const found = body.indexOf(LINE_END, start)
    const next = found === -1 ? body.length : found
    const end = next > start && body[next - 1] === CARRIAGE_RETURN ? next - 1 : next
    const length = end - start
    if (length > limit) return new errors.TOO_LARGE(name, limit, length)
    if (length > 0) {
      if (lines.length === messages) return new errors.BATCH_TOO_LONG(name, messages)
      lines.push({ number, payload: body.subarray(start, end) })
    }
    start = next + 1
  }
  return lines
}

/** @returns why a line is none of the format; undefined where all are. */
export async function undecodable(lines: readonly Line[], marshaller: Marshaller): Promise<AraldoError | undefined> {
  for (const [index, { number, payload }] of lines.entries()) {
    if (index > 0 && index % SLICE === 0) await nextTurn()
    try {
      marshaller.decode(payload)
    } catch (cause) {
      return new errors.UNDECODABLE(marshaller.format, `line ${number}`, { cause })
    }
  }
  return undefined
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

interface Failure {
  readonly line: number
  readonly code: string
  /** Whether it may be sent again. */
  readonly retry: boolean
}

/** What the answer says of a batch. */
export interface BatchReport {
  readonly messages: number
  /** Of these: those that every required target has. */
  readonly settled: number
  /** The others, by line; at most 1,000. */
  readonly failed: readonly Failure[]
  /** Of the others: those that are not listed. */
  readonly omitted: number
  /** Whether some of the others may be sent again. */
  readonly retry: boolean
}

export interface BatchInit {
  readonly lines: readonly Line[]
  /** Whether the lanes want nothing at the moment: {@link Batch.goOn} when they do again. */
  readonly isHeld: () => boolean
  /** @param settle undefined where nobody waits for it. */
  readonly give: (line: Line, settle: Settle | undefined) => void
  readonly settles: boolean
  /** Called once: when every line is settled, or handed in where they do not settle, or {@link Batch.end} was called. */
  readonly onEnd: (report: BatchReport) => void
}

export class Batch {
  readonly #init: BatchInit
  #next = 0
  #settled = 0
  readonly #failures: Failure[] = []
  #failed = 0
  #retry = false
  #isGiving = false
  #hasEnded = false
  /** Lines that have been handed in and have no answer. */
  readonly #open = new Set<Line>()

  constructor(init: BatchInit) {
    this.#init = init
  }

  /** Hands in what the lanes want. */
  async goOn(): Promise<void> {
    if (this.#isGiving) return
    this.#isGiving = true
    const { lines, isHeld } = this.#init
    let given = 0
    while (this.#next < lines.length && !isHeld() && !this.#hasEnded) {
      this.#give(lines[this.#next++] as Line)
      given++
      if (given % SLICE === 0) await nextTurn()
    }
    this.#isGiving = false
    this.#look()
  }

  /** Ends it: what is not handed in never is, what is not settled counts as failed for now. */
  end(error: Error): void {
    if (this.#hasEnded) return
    const rest = [...this.#open, ...this.#init.lines.slice(this.#next)]
    this.#next = this.#init.lines.length
    this.#open.clear()
    for (const line of rest) this.#fail(line, error)
    this.#look()
  }

  #give(line: Line): void {
    const { give, settles } = this.#init
    if (!settles) {
      give(line, undefined)
      this.#settled++
      return
    }
    this.#open.add(line)
    give(line, (error) => {
      if (!this.#open.delete(line)) return
      if (error === null) this.#settled++
      else this.#fail(line, error)
      if (!this.#isGiving) this.#look()
    })
  }

  #fail({ number }: Line, error: Error): void {
    const retry = isRetryable(error)
    this.#failed++
    if (retry) this.#retry = true
    if (this.#failures.length < MAX_LISTED) this.#failures.push({ line: number, code: codeOf(error), retry })
  }

  #look(): void {
    const { lines, onEnd } = this.#init
    if (this.#hasEnded || this.#next < lines.length || this.#open.size > 0) return
    this.#hasEnded = true
    onEnd({
      messages: lines.length,
      settled: this.#settled,
      failed: this.#failures.toSorted((one, other) => one.line - other.line),
      omitted: this.#failed - this.#failures.length,
      retry: this.#retry,
    })
  }
}
