/**
 * Floor 2. Steps that do more than change one message at once: they hold messages back for a while, or make several of
 * one. Each is a stage that messages go through on their way to the lane's outbox; a lane without such steps has none.
 *
 * What a stage has taken in counts as waiting in the lane, until the stage hands it on or it ends.
 */
import type { Holdable, Parcel, SettledAs, Settlement } from './delivery.ts'
import type { Clock } from './dispatcher.ts'
import type { Endpoint } from '../endpoint.ts'
import { isRetryable } from '../errors.ts'
import type { DeliveryConfig } from './guarantee.ts'
import type { Ledger } from '../ledger.ts'
import type { Message } from '../message.ts'
import type { DropReason } from '../types.ts'

/** What a lane does to a message on its way: another message, or `null` to filter it out. Throws: it is dropped as invalid. */
export interface Step {
  readonly name: string
  apply(message: Message): Message | null
}

/** A place in a lane: takes messages and hands on what comes of them. */
export interface Stage {
  /** Takes one in. Never throws. */
  take(parcel: Parcel): void
  /** Whether the queue that comes first, here or further on, has room. */
  readonly hasRoom: boolean
  /** Messages that it and those after it hold. */
  readonly messages: number
  /** Bytes of these. */
  readonly bytes: number
  /** Resolves when it holds nothing, nor do those after it. */
  whenEmpty(): Promise<void>
  /** Ends it, and those after it: what they hold is dropped. */
  close(): void
}

/** The lane that a stage is in. Nothing here throws. */
export interface StageContext {
  readonly ledger: Ledger
  readonly source: string
  readonly target: Endpoint
  readonly delivery: DeliveryConfig
  readonly clock: Clock
  /** The source sends again what it is told has failed for now. */
  readonly replays: boolean
  /** Whom a full queue pauses; undefined where the lane does not block. */
  readonly holdable: Holdable | undefined
  /**
   * Makes what comes after this stage. Called once.
   * @param holdable whom a full queue there pauses; the one above, if left out.
   */
  next(holdable?: Holdable): Stage
  /** The message goes no further, and that is well. */
  filtered(parcel: Parcel): void
  /** The step failed for it: it goes to the dead letters, or is dropped. */
  failed(parcel: Parcel, reason: DropReason, error: unknown): void
  dropped(parcel: Parcel, reason: DropReason, error: unknown): void
  /** There is no room for it. */
  overflowed(parcel: Parcel): void
  retried(): void
}

/** A step that is a stage. */
export interface StagedStep {
  readonly name: string
  /** Makes its stage in one lane, at start. */
  open(lane: StageContext): Stage
}

/** Hands on what a message has become, each part with the ledger's entry of its own; they are settled together. */
export function handOn(parcel: Parcel, parts: readonly Message[], lane: StageContext, next: Stage): void {
  if (parts.length === 0) {
    lane.filtered(parcel)
    return
  }
  const whole = parcel.settlement
  const settlement = whole === undefined || parts.length === 1 ? whole : new Parts(whole, parts.length)
  for (let index = 0; index < parts.length; index++) {
    // The first stands for the message that came in.
    if (index > 0) lane.ledger.received++
    next.take({ ...parcel, message: parts[index] as Message, settlement })
  }
}

/** Counts the parts of a message down; the last one settles it. */
export class Parts implements Settlement {
  readonly #whole: Settlement
  #remaining: number
  #error: Error | null = null
  #delivered = false
  #stored = false
  #deadLettered = false

  constructor(whole: Settlement, count: number) {
    this.#whole = whole
    this.#remaining = count
  }

  settle(error: Error | null, as?: SettledAs): void {
    if (error === null) {
      this.#delivered ||= as === undefined
      this.#stored ||= as === 'stored'
      this.#deadLettered ||= as === 'dead-lettered'
    } else if (this.#error === null || (isRetryable(error) && !isRetryable(this.#error))) {
      // Where any may yet succeed, all are sent again.
      this.#error = error
    }
    this.#remaining--
    if (this.#remaining > 0) return
    this.#whole.settle(this.#error, this.#end)
  }

  get #end(): SettledAs | undefined {
    if (this.#deadLettered) return 'dead-lettered'
    if (this.#stored) return 'stored'
    return this.#delivered ? undefined : 'filtered'
  }
}

/** A step that changes one message at once is none. */
export function isStaged(step: Step | StagedStep): step is StagedStep {
  return 'open' in step
}

/**
 * Makes the stages of a lane, the last first.
 * @param steps those from the first stage on.
 * @param before how many the lane has before these.
 * @param holdable whom the first full queue pauses.
 * @param exit makes what comes after all of them: the outbox.
 */
export function openStages(
  steps: readonly (Step | StagedStep)[],
  before: number,
  lane: Omit<StageContext, 'holdable' | 'next'>,
  holdable: Holdable | undefined,
  exit: (holdable: Holdable | undefined) => Stage,
): Stage {
  const [first, ...rest] = steps
  if (first === undefined) return exit(holdable)
  const own: typeof lane = {
    ...lane,
    // What other steps have made of it must not go through them again.
    failed: (parcel, reason, error) => lane.failed({ ...parcel, failedIn: `${before}/${first.name}` }, reason, error),
  }
  const next = (other = holdable): Stage => openStages(rest, before + 1, lane, other, exit)
  return isStaged(first) ? first.open({ ...own, holdable, next }) : new Simple(first, own, next())
}

/** A step that changes one message at once, after one that does more. */
class Simple implements Stage {
  readonly #step: Step
  readonly #lane: Pick<StageContext, 'filtered' | 'failed'>
  readonly #next: Stage

  constructor(step: Step, lane: Pick<StageContext, 'filtered' | 'failed'>, next: Stage) {
    this.#step = step
    this.#lane = lane
    this.#next = next
  }

  get hasRoom(): boolean {
    return this.#next.hasRoom
  }

  get messages(): number {
    return this.#next.messages
  }

  get bytes(): number {
    return this.#next.bytes
  }

  take(parcel: Parcel): void {
    let message: Message | null
    try {
      message = this.#step.apply(parcel.message)
    } catch (error) {
      this.#lane.failed(parcel, 'invalid', error)
      return
    }
    if (message === null) this.#lane.filtered(parcel)
    else this.#next.take({ ...parcel, message })
  }

  async whenEmpty(): Promise<void> {
    await this.#next.whenEmpty()
  }

  close(): void {
    this.#next.close()
  }
}
