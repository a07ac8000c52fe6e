/**
 * Floor 2. A lane: one (route, target) pair at run time: its steps, its counters, and the hand-over to the target.
 *
 * A message that comes in is, in this order: received, changed or filtered by the steps, handed to the target, and
 * counted where it ended. Where the target does not confirm and can take it at once, all of that happens within one call
 * and costs no promise, closure or queue entry; otherwise the message waits in the lane's outbox.
 */
import type { ThrottleConfig } from '../config/steps.ts'
import { Delivery, type DeliveryInit, overflowOf, type Parcel, type Settlement } from './delivery.ts'
import type { Clock } from './dispatcher.ts'
import { DurableDelivery, type DurableInit } from './durable.ts'
import type { Endpoint } from '../endpoint.ts'
import { dropReasonOf, errors, reasonOf } from '../errors.ts'
import type { DeliveryConfig } from './guarantee.ts'
import { type Holdable, Holding } from './hold.ts'
import type { HopGuard } from '../hops.ts'
import { Ledger } from '../ledger.ts'
import type { Message } from '../message.ts'
import type { OutboxView } from './outbox.ts'
import { isStaged, openStages, type Stage, type StagedStep, type Step } from './stage.ts'
import type { Expiry } from '../steps/expiry.ts'
import type { DropReason } from '../types.ts'

export type { Settlement } from './delivery.ts'
export type { Step } from './stage.ts'

/** How one message ended in one lane; for the console and for tests. */
export type Outcome = 'delivered' | 'filtered' | 'dead-lettered' | DropReason

/** Sees every message that ends in a lane. Must be quick and must not throw; the message must not be kept. */
export type Trace = (lane: Lane, message: Message, outcome: Outcome) => void

export interface LaneInit {
  readonly source: Pick<Endpoint, 'name' | 'capabilities' | 'marshaller'> & Holdable
  readonly target: Endpoint
  readonly steps: readonly (Step | StagedStep)[]
  /** When messages are too old to be delivered; undefined for never. */
  readonly expiry?: Expiry | undefined
  /** How fast they leave the outbox; undefined for as fast as they can. */
  readonly throttle?: ThrottleConfig | undefined
  /** Runs before the steps, where the target carries hops. */
  readonly hops?: HopGuard | undefined
  /** An optional lane never holds back, or spoils, the source's acknowledgement. */
  readonly optional: boolean
  /** A wiretap is optional, and is called so. */
  readonly wiretap?: boolean | undefined
  readonly delivery: DeliveryConfig
  /** Of `delivery.deadLetter`. */
  readonly deadLetters?: Endpoint | undefined
  /** Called after the ledger has counted it. Must not throw. */
  readonly onDrop: (lane: Lane, reason: DropReason, error: unknown) => void
  /** The dead-letter endpoint did not take a message, and is tried again. Must not throw. */
  readonly onDeadLetterRefused?: (lane: Lane, error: unknown) => void
  readonly clock?: Clock
  /** Of a durable buffer. */
  readonly log?: DurableInit['log']
  readonly files?: DurableInit['files']
}

export class Lane {
  readonly source: string
  readonly target: Endpoint
  readonly optional: boolean
  readonly wiretap: boolean
  readonly delivery: DeliveryConfig
  readonly ledger = new Ledger()
  trace: Trace | undefined
  /** Times that a message which had failed was to be sent again. */
  retries = 0
  readonly #init: LaneInit
  /** All of them, by name, in their order. */
  readonly steps: readonly { readonly name: string }[]
  /** Those that run as soon as a message comes in. */
  readonly #steps: readonly Step[]
  /** What the others are; undefined where there are none. */
  readonly #stages: Stage | undefined
  /** Messages may go straight to the target: it does not confirm, nothing holds them up, and the lane is not closed. */
  #isDirect: boolean
  /** Made when the first message has to wait. */
  #outbox: Delivery | undefined
  /** The outbox of a lane with a durable buffer. */
  #durable: DurableDelivery | undefined
  #isClosed = false
  /** Whom a full outbox pauses; undefined where the lane does not block. */
  #holdable: Holdable | undefined
  readonly #holding: Holding
  readonly #replays: boolean

  constructor(init: LaneInit) {
    this.#init = init
    this.source = init.source.name
    this.target = init.target
    this.optional = init.optional
    this.wiretap = init.wiretap === true
    this.delivery = init.delivery
    const steps = init.hops === undefined ? init.steps : [init.hops, ...init.steps]
    const staged = steps.findIndex((step) => isStaged(step))
    this.steps = steps
    this.#steps = (staged === -1 ? steps : steps.slice(0, staged)) as readonly Step[]
    this.#holding = new Holding(init.source)
    this.#replays = init.source.capabilities.source?.replay === true
    this.#holdable = init.delivery.overflow === 'block' ? this.#holding : undefined
    this.#stages = this.#steps.length === steps.length ? undefined : this.#openStages(steps.slice(this.#steps.length))
    if (init.delivery.durable !== undefined) this.#lastStage()
    const confirms = init.target.capabilities.target?.confirm === true
    const isStraight = this.#stages === undefined && this.#durable === undefined && init.throttle === undefined
    this.#isDirect = !confirms && isStraight
  }

  /** Of the messages that were filtered: those that the target had been given before. */
  get looped(): number {
    return this.#init.hops?.looped ?? 0
  }

  /** Messages that the lane holds: what the ledger's `waiting` must equal. */
  get messages(): number {
    return this.#stages?.messages ?? (this.#durable ?? this.#outbox)?.messages ?? 0
  }

  /** Those of these that are in stages, or behind them in memory alone. */
  get staged(): number {
    return this.#stages === undefined ? 0 : this.#stages.messages - (this.#durable?.messages ?? 0)
  }

  /** Bytes of these, in the target's format. */
  get bytes(): number {
    return this.#stages?.bytes ?? (this.#durable ?? this.#outbox)?.bytes ?? 0
  }

  /** Of what the lane holds, for who looks at it. */
  get outbox(): OutboxView {
    const { messages, bytes } = this
    const { isHolding } = this.#holding
    const { limit = this.delivery.buffer, disk } = this.#durable ?? {}
    return { messages, bytes, limit, oldest: (this.#durable ?? this.#outbox)?.oldest, isHolding, disk }
  }

  /** Takes a message in. Never throws. `settlement` is there when the source waits for this lane. */
  accept(received: Message, settlement: Settlement | undefined): void {
    this.ledger.received++
    const message = this.#steps.length === 0 ? received : this.#applySteps(received, settlement)
    if (message === undefined) return
    const outbox = this.#outbox
    if (!this.#isDirect || (outbox !== undefined && !outbox.idle) || !this.target.ready) {
      this.#hold({ message, settlement, from: received.topic })
      return
    }
    let sending: unknown
    try {
      sending = this.target.send(message)
    } catch (error) {
      this.#openOutbox().addFailed({ message, settlement, from: received.topic }, error)
      return
    }
    if (sending === undefined) this.#delivered(message, settlement)
    else this.#openOutbox().addSending({ message, settlement, from: received.topic }, sending)
  }

  /** @returns undefined where the message has ended. */
  #applySteps(received: Message, settlement: Settlement | undefined): Message | undefined {
    let message: Message | null = received
    try {
      for (const step of this.#steps) if (message !== null) message = step.apply(message)
    } catch (error) {
      this.#failedAtOnce({ message: received, settlement, from: received.topic }, error)
      return undefined
    }
    if (message !== null) return message
    this.#filtered(received, settlement)
    return undefined
  }

  /** Counts a message that cannot be taken in at all as dropped for `overflow`. Never throws. */
  refuse(message: Message, error: Error, settlement: Settlement | undefined): void {
    this.ledger.received++
    this.#drop(message, 'overflow', error, settlement)
  }

  /**
   * Opens its journal, where it has one. What comes in before waits in memory.
   * @param earlier the lane that has that journal: it is opened when that one has let go of it.
   * @throws ARALDO_ERR_JOURNAL_LOCKED, ARALDO_ERR_JOURNAL_UNUSABLE
   */
  async open(earlier?: Pick<Lane, 'whenClosed'>): Promise<void> {
    await this.#durable?.open(earlier?.whenClosed())
  }

  /** Resolves when nothing is under way in the lane any more; what a journal keeps is not. */
  async whenEmpty(): Promise<void> {
    while (this.staged > 0) {
      await this.#stages?.whenEmpty()
      // What one of them lets go may be taken in by another. Others have work to do, too.
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await (this.#durable ?? this.#outbox)?.whenEmpty()
  }

  /** Sends nothing more. Resolves when the target has answered for all that it has. */
  async rest(): Promise<void> {
    await (this.#durable ?? this.#outbox)?.rest()
  }

  /** After {@link close}: resolves when its journal has been let go of. Never rejects. */
  async whenClosed(): Promise<void> {
    await this.#durable?.whenClosed()
  }

  /** Sends nothing before `earlier` has resolved: what comes waits. To be called before the first message does. */
  follow(earlier: Promise<unknown>): void {
    const isDirect = this.#isDirect
    this.#isDirect = false
    const outbox = this.#durable ?? this.#openOutbox()
    outbox.wait()
    void earlier.then(() => {
      this.#isDirect = isDirect && !this.#isClosed
      outbox.go()
    })
  }

  /** Ends it: what is still under way is dropped, and so is what comes. */
  close(): void {
    this.#isClosed = true
    this.#isDirect = false
    this.#stages?.close()
    this.#outbox?.close()
    this.#durable?.close()
  }

  /** It cannot go to the target at once. */
  #hold(parcel: Parcel): void {
    const stages = this.#stages
    if (stages === undefined) this.#lastStage().take(parcel)
    else if (this.#isClosed) this.#drop(parcel.message, 'closing', new errors.CLOSING(), parcel.settlement)
    else if (this.delivery.overflow === 'block' && !stages.hasRoom) this.#overflowed(parcel)
    else stages.take(parcel)
  }

  /** What comes in while there is no room is refused, whatever is wrong with it. */
  #failedAtOnce(parcel: Parcel, error: unknown): void {
    const isFull = this.#stages !== undefined && (this.#durable ?? this.#outbox)?.hasRoom === false
    if (isFull && this.delivery.overflow === 'block') this.#overflowed(parcel)
    else this.#failed(parcel, 'invalid', error)
  }

  /** A step failed: no other try can help. */
  #failed(parcel: Parcel, reason: DropReason, error: unknown): void {
    const isExpired = dropReasonOf(error) === 'expired'
    if (this.#init.deadLetters !== undefined && (!isExpired || this.#init.expiry?.deadLetter === true)) {
      this.#lastStage().addDead(parcel, error ?? 'no reason given')
    } else this.#drop(parcel.message, isExpired ? 'expired' : reason, error, parcel.settlement)
  }

  #overflowed(parcel: Parcel): void {
    const isFinal = this.#replays && this.delivery.overflow !== 'block'
    this.#drop(parcel.message, 'overflow', overflowOf(this.target.name, this.messages, isFinal), parcel.settlement)
  }

  #openStages(steps: readonly (Step | StagedStep)[]): Stage {
    const { source, target, delivery, clock = {} } = this.#init
    const lane = {
      ledger: this.ledger,
      source: source.name,
      target,
      delivery,
      clock,
      replays: this.#replays,
      filtered: ({ message, settlement }: Parcel) => this.#filtered(message, settlement),
      failed: (parcel: Parcel, reason: DropReason, error: unknown) => this.#failed(parcel, reason, error),
      dropped: ({ message, settlement }: Parcel, reason: DropReason, error: unknown) =>
        this.#drop(message, reason, error, settlement),
      overflowed: (parcel: Parcel) => this.#overflowed(parcel),
      retried: () => this.retries++,
    }
    const before = this.#init.steps.length - steps.length
    return openStages(steps, before, lane, this.#holdable, (holdable) => {
      this.#holdable = holdable
      return this.#lastStage()
    })
  }

  #lastStage(): Delivery | DurableDelivery {
    const { source, delivery, log, files } = this.#init
    if (delivery.durable === undefined) return this.#openOutbox()
    return (this.#durable ??= new DurableDelivery({
      ...this.#deliveryInit(),
      buffer: delivery.durable,
      marshaller: source.marshaller,
      log,
      files,
      ledger: this.ledger,
      onLost: (error) => this.#init.onDrop(this, 'lost', error),
    }))
  }

  #openOutbox(): Delivery {
    if (this.#outbox !== undefined) return this.#outbox
    this.#outbox = new Delivery({ ...this.#deliveryInit(), isFed: this.#steps.length < this.steps.length })
    if (this.#isClosed) this.#outbox.close()
    return this.#outbox
  }

  #deliveryInit(): DeliveryInit {
    const { source, target, delivery, expiry, throttle, deadLetters, clock = {}, onDeadLetterRefused } = this.#init
    return {
      source: source.name,
      holdable: this.#holdable,
      replays: this.#replays,
      expiry,
      throttle,
      target,
      config: delivery,
      deadLetters,
      clock,
      onEnd: this.#onEnd,
      onRetry: () => this.retries++,
      onDeadLetterRefused: (error) => onDeadLetterRefused?.(this, error),
    }
  }

  readonly #onEnd = ({ message, settlement }: Parcel, end: Outcome, error: unknown): void => {
    if (end === 'delivered') this.#delivered(message, settlement)
    else if (end === 'dead-lettered') {
      this.ledger.deadLettered++
      this.trace?.(this, message, 'dead-lettered')
      settlement?.settle(null, 'dead-lettered')
    } else this.#drop(message, end as DropReason, error, settlement)
  }

  #filtered(message: Message, settlement: Settlement | undefined): void {
    this.ledger.filtered++
    this.trace?.(this, message, 'filtered')
    settlement?.settle(null, 'filtered')
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
    if (reason === 'expired') settlement?.settle(null, 'expired')
    else if (error instanceof Error) settlement?.settle(error)
    else settlement?.settle(new errors.SEND_FAILED(this.target.name, reasonOf(error), { cause: error }))
  }
}
