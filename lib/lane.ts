/**
 * Floor 2. A lane: one (route, target) pair at run time: its steps, its counters, and the hand-over to the target.
 *
 * A message that comes in is, in this order: received, changed or filtered by the steps, handed to the target, and
 * counted where it ended. Where the target does not confirm and can take it at once, all of that happens within one call
 * and costs no promise, closure or queue entry; otherwise the message waits in the lane's outbox.
 */
import { Delivery, type Holdable, type Parcel, type Settlement } from './delivery.ts'
import type { Clock } from './dispatcher.ts'
import type { Endpoint } from './endpoint.ts'
import { errors, reasonOf } from './errors.ts'
import type { DeliveryConfig } from './guarantee.ts'
import type { HopGuard } from './hops.ts'
import { Ledger } from './ledger.ts'
import type { Message } from './message.ts'
import type { DropReason } from './types.ts'

export type { Settlement } from './delivery.ts'

/** What a lane does to a message on its way: another message, or `null` to filter it out. Throws: it is dropped as invalid. */
export interface Step {
  readonly name: string
  apply(message: Message): Message | null
}

/** How one message ended in one lane; for the console and for tests. */
export type Outcome = 'delivered' | 'filtered' | 'dead-lettered' | DropReason

/** Sees every message that ends in a lane. Must be quick and must not throw; the message must not be kept. */
export type Trace = (lane: Lane, message: Message, outcome: Outcome) => void

export interface LaneInit {
  readonly source: Pick<Endpoint, 'name' | 'capabilities'> & Holdable
  readonly target: Endpoint
  readonly steps: readonly Step[]
  /** Runs before the steps, where the target carries hops. */
  readonly hops?: HopGuard | undefined
  /** An optional lane never holds back, or spoils, the source's acknowledgement. */
  readonly optional: boolean
  readonly delivery: DeliveryConfig
  /** Of `delivery.deadLetter`. */
  readonly deadLetters?: Endpoint | undefined
  /** Called after the ledger has counted it. Must not throw. */
  readonly onDrop: (lane: Lane, reason: DropReason, error: unknown) => void
  /** The dead-letter endpoint did not take a message, and is tried again. Must not throw. */
  readonly onDeadLetterRefused?: (lane: Lane, error: unknown) => void
  readonly clock?: Clock
}

export class Lane {
  readonly source: string
  readonly target: Endpoint
  readonly optional: boolean
  readonly delivery: DeliveryConfig
  readonly ledger = new Ledger()
  trace: Trace | undefined
  /** Times that a message which had failed was to be sent again. */
  retries = 0
  readonly #init: LaneInit
  readonly #steps: readonly Step[]
  /** Messages may go straight to the target: it does not confirm, and the lane is not closed. */
  #isDirect: boolean
  readonly #hasDeadLetters: boolean
  /** Made when the first message has to wait. */
  #outbox: Delivery | undefined
  #isClosed = false

  constructor(init: LaneInit) {
    this.#init = init
    this.source = init.source.name
    this.target = init.target
    this.optional = init.optional
    this.delivery = init.delivery
    this.#steps = init.hops === undefined ? init.steps : [init.hops, ...init.steps]
    this.#isDirect = init.target.capabilities.target?.confirm !== true
    this.#hasDeadLetters = init.deadLetters !== undefined
  }

  get steps(): readonly Step[] {
    return this.#steps
  }

  /** Of the messages that were filtered: those that the target had been given before. */
  get looped(): number {
    return this.#init.hops?.looped ?? 0
  }

  /** Messages that the lane holds: what the ledger's `waiting` must equal. */
  get messages(): number {
    return this.#outbox?.messages ?? 0
  }

  /** Bytes of these, in the target's format. */
  get bytes(): number {
    return this.#outbox?.bytes ?? 0
  }

  /** Takes a message in. Never throws. `settlement` is there when the source waits for this lane. */
  accept(received: Message, settlement: Settlement | undefined): void {
    const ledger = this.ledger
    ledger.received++
    let message: Message | null = received
    const steps = this.#steps
    for (let index = 0; index < steps.length; index++) {
      try {
        message = (steps[index] as Step).apply(message)
      } catch (error) {
        this.#failed(received, error, settlement)
        return
      }
      if (message === null) {
        ledger.filtered++
        this.trace?.(this, received, 'filtered')
        settlement?.settle(null)
        return
      }
    }
    const target = this.target
    const outbox = this.#outbox
    if (!this.#isDirect || (outbox !== undefined && !outbox.idle) || !target.ready) {
      this.#openOutbox().add({ message, settlement }, keyOf(message, received))
      return
    }
    let sending: unknown
    try {
      sending = target.send(message)
    } catch (error) {
      this.#openOutbox().addFailed({ message, settlement }, keyOf(message, received), error)
      return
    }
    if (sending === undefined) this.#delivered(message, settlement)
    else this.#openOutbox().addSending({ message, settlement }, keyOf(message, received), sending)
  }

  /** Counts a message that cannot be taken in at all as dropped for `overflow`. Never throws. */
  refuse(message: Message, error: Error, settlement: Settlement | undefined): void {
    this.ledger.received++
    this.#drop(message, 'overflow', error, settlement)
  }

  /** Resolves when nothing is under way in the lane any more. */
  async whenEmpty(): Promise<void> {
    await this.#outbox?.whenEmpty()
  }

  /** Ends it: what is still under way is dropped, and so is what comes. */
  close(): void {
    this.#isClosed = true
    this.#isDirect = false
    this.#outbox?.close()
  }

  /** A step failed: no other try can help. */
  #failed(message: Message, error: unknown, settlement: Settlement | undefined): void {
    if (!this.#hasDeadLetters) this.#drop(message, 'invalid', error, settlement)
    else this.#openOutbox().addDead({ message, settlement }, keyOf(message, message), error ?? 'no reason given')
  }

  #openOutbox(): Delivery {
    if (this.#outbox !== undefined) return this.#outbox
    const { source, target, delivery, deadLetters, clock = {}, onDeadLetterRefused } = this.#init
    this.#outbox = new Delivery({
      source: source.name,
      holdable: delivery.overflow === 'block' ? source : undefined,
      replays: source.capabilities.source?.replay === true,
      target,
      config: delivery,
      deadLetters,
      clock,
      onEnd: this.#onEnd,
      onRetry: () => this.retries++,
      onDeadLetterRefused: (error) => onDeadLetterRefused?.(this, error),
    })
    if (this.#isClosed) this.#outbox.close()
    return this.#outbox
  }

  readonly #onEnd = ({ message, settlement }: Parcel, end: Outcome, error: unknown): void => {
    if (end === 'delivered') this.#delivered(message, settlement)
    else if (end === 'dead-lettered') {
      this.ledger.deadLettered++
      this.trace?.(this, message, 'dead-lettered')
      settlement?.settle(null)
    } else this.#drop(message, end as DropReason, error, settlement)
  }

  #delivered(message: Message, settlement: Settlement | undefined): void {
    this.ledger.delivered++
    this.ledger.bytes += message.byteLength
    this.trace?.(this, message, 'delivered')
    settlement?.settle(null)
  }

  #drop(message: Message, reason: DropReason, error: unknown, settlement: Settlement | undefined): void {
    this.ledger.dropped[reason]++
    this.#init.onDrop(this, reason, error)
    this.trace?.(this, message, reason)
    if (settlement === undefined) return
    const isError = error instanceof Error
    settlement.settle(isError ? error : new errors.SEND_FAILED(this.target.name, reasonOf(error), { cause: error }))
  }
}

/** What order is kept by: the key, else the topic that the message came from. */
function keyOf(message: Message, received: Message): string {
  return message.key ?? received.topic
}
