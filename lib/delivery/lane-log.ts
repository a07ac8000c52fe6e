/** Floor 2. What lanes have to say to the log: every drop is counted, but a lane does not fill the log with it. */
import { reasonOf } from '../errors.ts'
import type { Lane } from './lane.ts'
import type { DropReason } from '../types.ts'

/** The part of a logger that the router needs. */
export interface RouterLog {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** A lane that drops is logged at most once in so many milliseconds, with how many it was. */
const INTERVAL = 1_000

export class LaneLog {
  readonly #log: RouterLog
  /** Drops since the lane was logged last. */
  readonly #silenced = new Map<Lane, number>()
  #timer: NodeJS.Timeout | undefined
  /** When it was logged last that dead letters of the lane cannot be written (milliseconds, monotonic). */
  readonly #refusedAt = new WeakMap<Lane, number>()
  #isClosed = false

  constructor(log: RouterLog) {
    this.#log = log
  }

  readonly onDrop = (lane: Lane, reason: DropReason, error: unknown): void => {
    const silenced = this.#silenced.get(lane)
    if (silenced !== undefined) {
      this.#silenced.set(lane, silenced + 1)
      return
    }
    this.#silenced.set(lane, 0)
    this.#schedule()
    const why = error === undefined ? (lane.target.reason ?? reason) : reasonOf(error)
    const fields = { source: lane.source, target: lane.target.name, reason, why }
    // What a source keeps until it is acknowledged is not lost by the end of the relay.
    const isKept = reason === 'closing' && lane.delivery.guarantee === 'at-least-once'
    if (isKept) this.#log.info(fields, 'message given back to its source')
    else this.#log.warn(fields, 'message dropped')
  }

  readonly onDeadLetterRefused = (lane: Lane, error: unknown): void => {
    const now = performance.now()
    if (now - (this.#refusedAt.get(lane) ?? -Infinity) < INTERVAL) return
    this.#refusedAt.set(lane, now)
    const { source, target, delivery } = lane
    const fields = { source, target: target.name, deadLetter: delivery.deadLetter, why: reasonOf(error) }
    this.#log.warn(fields, 'a dead letter cannot be written: it waits')
  }

  /** The lane is gone. */
  forget(lane: Lane): void {
    this.#silenced.delete(lane)
  }

  /** Ends the timer: the first that each lane drops from now on is logged, and no more. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#silenced.clear()
  }

  readonly #report = (): void => {
    this.#timer = undefined
    for (const [lane, count] of this.#silenced) {
      if (count === 0) {
        this.#silenced.delete(lane)
        continue
      }
      this.#silenced.set(lane, 0)
      this.#log.warn(
        { source: lane.source, target: lane.target.name, count, dropped: { ...lane.ledger.dropped } },
        'more messages dropped',
      )
    }
    if (this.#silenced.size > 0) this.#schedule()
  }

  #schedule(): void {
    if (!this.#isClosed) this.#timer ??= setTimeout(this.#report, INTERVAL).unref()
  }
}
