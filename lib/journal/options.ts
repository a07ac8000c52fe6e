/** Floor 1. What a journal is opened with, and whom it tells what happens. */
import type { Files } from './files.ts'

/**
 * - `open`: it takes records.
 * - `failed`: the last write failed; it refuses records and tries again.
 * - `closed`: for good.
 */
export type JournalState = 'open' | 'failed' | 'closed'

/** The part of a logger that a journal needs. */
export interface JournalLog {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

export interface JournalOptions {
  /** Its folder; made where it is missing. Nothing else may be in it. */
  readonly path: string
  /** Bytes on disk at most. What is there already may be more: then it takes nothing until enough is done. */
  readonly maxBytes: number
  /** Bytes in memory of records that are not durable yet, at most: a part of the lane's bound. 64 MiB if left out. */
  readonly maxUnwrittenBytes?: number
  /** Bytes of a segment; a larger record has one of its own. A sixteenth of `maxBytes`, 64 MiB at most, if left out. */
  readonly segmentBytes?: number
  readonly log?: JournalLog | undefined
  /** Everything up to this sequence is durable. Called in order. Must not throw. */
  readonly onDurable?: (through: number) => void
  /** Must not throw. */
  readonly onState?: (state: JournalState, failure: Error | undefined) => void
  /** There is more room: see {@link Journal.fits}. Must not throw. */
  readonly onSpace?: () => void
  /**
   * So many durable, pending records turned out to be unreadable while it ran; they are pending no more. What was lost
   * before the start is in {@link Journal.recovery}. Must not throw.
   */
  readonly onLost?: (records: number) => void
  /** Handed in by tests. */
  readonly files?: Files
  /** A number in [0, 1); handed in by tests. */
  readonly random?: () => number
}
