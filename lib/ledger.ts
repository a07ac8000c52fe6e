/**
 * Floor 1. A lane's counters. They always add up:
 *
 *   received = delivered + filtered + dropped + deadLettered + waiting
 *
 * A message that a step makes several of counts as received once for each of them: the first part stands for it, each
 * further one is received when it is handed on. One that becomes none is filtered.
 */
import { DROP_REASONS, type DropReason } from './types.ts'

/** A ledger's figures at one moment: a plain object, safe to keep. */
export interface LedgerSnapshot {
  readonly received: number
  readonly delivered: number
  readonly filtered: number
  /** Every reason is present, at 0 where nothing was dropped for it. */
  readonly dropped: Readonly<Record<DropReason, number>>
  readonly deadLettered: number
  /** In the lane: handed to the target and not confirmed yet, or queued. */
  readonly waiting: number
  /** Payload bytes delivered. */
  readonly bytes: number
}

export class Ledger {
  received = 0
  delivered = 0
  filtered = 0
  deadLettered = 0
  bytes = 0
  readonly dropped: Record<DropReason, number> = Object.fromEntries(
    DROP_REASONS.map((reason) => [reason, 0]),
  ) as Record<DropReason, number>

  get droppedTotal(): number {
    let total = 0
    for (const reason of DROP_REASONS) total += this.dropped[reason]
    return total
  }

  /**
   * What was received and has not come to its end. It follows from the others, so that the identity holds at every
   * moment; that it equals what really waits in the lane is what the tests assert.
   */
  get waiting(): number {
    return this.received - this.delivered - this.filtered - this.droppedTotal - this.deadLettered
  }

  snapshot(): LedgerSnapshot {
    return {
      received: this.received,
      delivered: this.delivered,
      filtered: this.filtered,
      dropped: { ...this.dropped },
      deadLettered: this.deadLettered,
      waiting: this.waiting,
      bytes: this.bytes,
    }
  }
}
