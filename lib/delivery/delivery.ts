/**
 * Floor 2. A lane's outbox at work: what goes in when the target cannot take it at once, what happens when it is full,
 * what is tried again, and where it ends.
 */
import type { ThrottleConfig } from '../config/steps.ts'
import { DeadLetters } from './dead-letters.ts'
import { type Clock, Dispatcher, isOfTheLink } from './dispatcher.ts'
import type { Endpoint } from '../endpoint.ts'
import { dropReasonOf, errors, isRetryable, reasonOf } from '../errors.ts'
import type { DeliveryConfig } from './guarantee.ts'
import { type Fate, isPipelined, type Target } from './handover.ts'
import { Hold, type Holdable } from './hold.ts'
import { List } from '../list.ts'
import type { Marshaller } from '../message.ts'
import { OutboxEntry } from './outbox.ts'
import { type Parcel, sizeOf } from './parcel.ts'
import type { Expiry } from '../steps/expiry.ts'
import { Sweep } from '../steps/sweep.ts'
import type { DropReason, EndpointState } from '../types.ts'

export type { Holdable } from './hold.ts'
export type { Parcel, SettledAs, Settlement } from './parcel.ts'

/** Where a delivery ends; without a marshaller where messages need not be encoded for it. */
export type DeliveryTarget = Target & Pick<Endpoint, 'state'> & { readonly marshaller: Marshaller | undefined }

export interface DeliveryInit {
  readonly source: string
  /** Whom to pause; undefined where the lane does not block. */
  readonly holdable: Holdable | undefined
  /** The source sends again what it is told has failed for now. */
  readonly replays: boolean
  readonly target: DeliveryTarget
  readonly config: DeliveryConfig
  /** When messages are too old to be sent; undefined for never. */
  readonly expiry?: Expiry | undefined
  readonly throttle?: ThrottleConfig | undefined
  /** Messages come from a stage of the lane that let them in: where it blocks, what it let in is not refused here. */
  readonly isFed?: boolean
  readonly deadLetters: Endpoint | undefined
  readonly clock: Clock
  /** How a parcel ended; once for each. Must not throw. */
  readonly onEnd: (parcel: Parcel, end: 'delivered' | 'dead-lettered' | DropReason, error: unknown) => void
  readonly onRetry: () => void
  /** The dead-letter endpoint did not take one: it waits. */
  readonly onDeadLetterRefused: (error: unknown) => void
}

type Entry = OutboxEntry<Parcel>
const NONE: readonly Entry[] = []

export class Delivery {
  readonly #init: DeliveryInit
  readonly #dispatcher: Dispatcher<Parcel>
  readonly #deadLetters: DeadLetters | undefined
  readonly #unlisten: () => void
  /** Every entry of the outbox, so that what is left at the end can be told so. */
  readonly #entries = new List<Entry>()
  /** Those on their way to the dead letters which the target may have, though they must not be sent twice. */
  readonly #inDoubt = new Set<Entry>()
  #isClosed = false
  readonly #onEmpty: (() => void)[] = []
  readonly #sweep: Sweep<Parcel> | undefined
  readonly #isPipelined: boolean
  readonly #hold: Hold

  constructor(init: DeliveryInit) {
    this.#init = init
    this.#hold = new Hold(init.holdable)
    this.#isPipelined = isPipelined(init.target)
    const { target, config, clock, expiry, deadLetters: endpoint, onDeadLetterRefused: onRefused } = init
    this.#dispatcher = new Dispatcher<Parcel>({
      target,
      bounds: config.buffer,
      concurrency: config.concurrency,
      retry: config.retry,
      clock,
      throttle: init.throttle,
      messageOf: ({ message }) => message,
      refusalOf: expiry && (({ message }) => expiry.refusalOf(message)),
      onDelivered: (entry) => this.#end(entry, 'delivered', undefined),
      mayRetry: (entry, fate, error) => this.#mayRetry(entry, fate, error),
      onRetry: init.onRetry,
      onOver: (entry, error) => this.#giveUp(entry, error),
    })
    if (expiry?.deadLetter === false) {
      this.#sweep = new Sweep(expiry, this.#dispatcher.outbox, (entry, error) => this.#end(entry, 'expired', error))
    }
    if (endpoint !== undefined) {
      const onWritten = (entry: OutboxEntry<unknown>): void => {
        this.#dispatcher.outbox.done(entry as Entry)
        this.#end(entry as Entry, 'dead-lettered', undefined)
        this.#dispatcher.pump()
      }
      this.#deadLetters = new DeadLetters({ endpoint, clock, onWritten, onRefused })
    }
    this.#unlisten = target.onState((state) => {
      if (isEnding(state)) this.close()
    })
    if (isEnding(target.state)) this.close()
  }

  /** Messages that it holds: waiting, in flight, waiting to be tried again, on their way to the dead letters. */
  get messages(): number {
    return this.#entries.size
  }

  /** Bytes that these are in the target's format, with headers, topic and key. */
  get bytes(): number {
    return this.#isClosed ? 0 : this.#dispatcher.outbox.bytes
  }

  /** Nothing waits, and the target is not being left alone: what comes may go straight to it. */
  get idle(): boolean {
    return this.#entries.size === 0 && !this.#dispatcher.paused
  }

  /** How full it is by the bound that is nearer: 0 empty, 1 full. */
  get level(): number {
    return this.#dispatcher.outbox.level
  }

  /** Whether it is below its bounds. */
  get hasRoom(): boolean {
    return this.#isClosed || this.level < 1
  }

  /** When the message was made that it has held longest (milliseconds since the epoch); undefined where it is empty. */
  get oldest(): number | undefined {
    return this.#entries.first?.item.message.time
  }

  /** Takes a parcel in; it ends by `onEnd`, perhaps before this returns. */
  take(parcel: Parcel): void {
    let size: number
    try {
      size = sizeOf(parcel.message, this.#init.target.marshaller)
    } catch (error) {
      this.addDead(parcel, error)
      return
    }
    const entry = this.#entryOf(parcel, size)
    this.#enqueue(entry, undefined)
    this.#dispatcher.pump()
    this.#sweep?.schedule()
    if (entry.attempts === 0) parcel.message.forgetBody()
  }

  /** Takes in a parcel that cannot be sent at all: it goes to the dead letters at once, whatever its target does. */
  addDead(parcel: Parcel, error: unknown): void {
    if (this.#deadLetters === undefined) this.#init.onEnd(parcel, dropReasonOf(error), error)
    else this.#enqueue(this.#entryOf(parcel, sizeOf(parcel.message)), { error })
  }

  /** Takes in a parcel that the target threw at. The outbox is empty. */
  addFailed(parcel: Parcel, error: unknown): void {
    if (this.#isClosed) this.#init.onEnd(parcel, 'closing', this.#closing(false))
    else {
      const { name } = this.#init.target
      this.#dispatcher.adopt(this.#enter(parcel), error ?? new errors.SEND_FAILED(name, 'no reason given'))
      this.#hold.adjust(this.level)
    }
  }

  /** Takes in a parcel that the target is sending asynchronously. The outbox is empty. */
  addSending(parcel: Parcel, sending: unknown): void {
    if (this.#isClosed) {
      void Promise.resolve(sending).catch(() => {})
      this.#init.onEnd(parcel, 'closing', this.#closing(true))
    } else {
      this.#dispatcher.adoptSending(this.#enter(parcel), sending)
      this.#hold.adjust(this.level)
    }
  }

  /** Sends nothing until {@link go}. */
  wait(): void {
    this.#dispatcher.isWaiting = true
  }

  go(): void {
    this.#dispatcher.isWaiting = false
    this.#dispatcher.pump()
  }

  /** Sends nothing more. Resolves when the target has answered for all that it has. */
  rest(): Promise<void> {
    return this.#dispatcher.whenAnswered()
  }

  /** Resolves when it holds nothing any more. */
  async whenEmpty(): Promise<void> {
    if (this.messages > 0) await new Promise<void>((resolve) => this.#onEmpty.push(resolve))
  }

  /** Ends it: what it still holds is dropped, and its source is told that it may send it again. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unlisten()
    this.#sweep?.close()
    const inFlight = new Set(this.#dispatcher.close())
    this.#deadLetters?.close()
    const { guarantee } = this.#init.config
    for (const entry of this.#entries.items()) {
      if (!this.#entries.delete(entry)) continue
      const mayHaveIt = this.#inDoubt.has(entry) || (inFlight.has(entry) && guarantee === 'at-most-once')
      this.#init.onEnd(entry.item, 'closing', this.#closing(mayHaveIt))
    }
    this.#inDoubt.clear()
    this.#hold.end()
    this.#tellEmpty()
  }

  /** @param dead why it goes to the dead letters; undefined for one that is to be sent. */
  #enqueue(entry: Entry, dead: { readonly error: unknown } | undefined): void {
    if (this.#isClosed) {
      this.#init.onEnd(entry.item, 'closing', this.#closing(false))
      return
    }
    const { outbox } = this.#dispatcher
    const dropped = this.#makeRoom(entry.size)
    const { isFed = false, config } = this.#init
    if (outbox.fits(entry.size) || (isFed && config.overflow === 'block')) {
      this.#entries.add(entry)
      if (dead === undefined) outbox.push(entry)
      else outbox.admit(entry)
      this.#hold.adjust(this.level)
    } else this.#init.onEnd(entry.item, 'overflow', this.#overflow())
    // Not before it has its place: a source that hears of these may send the next at once.
    for (const each of dropped) this.#entries.delete(each)
    for (const each of dropped) this.#init.onEnd(each.item, 'overflow', this.#overflow())
    if (dead !== undefined) this.#bury(entry, dead.error, 0)
  }

  #enter(parcel: Parcel): Entry {
    const entry = this.#entryOf(parcel, sizeOf(parcel.message))
    this.#entries.add(entry)
    return entry
  }

  /** Order is kept by the key, strictly; without one by the topic that it came from, as well as the target keeps it. */
  #entryOf(parcel: Parcel, size: number): Entry {
    const { key } = parcel.message
    return new OutboxEntry(parcel, key ?? parcel.from, size, key === undefined && this.#isPipelined)
  }

  /** Takes out what has to go for an entry of this size to fit, as far as it may go. */
  #makeRoom(size: number): readonly Entry[] {
    const { outbox } = this.#dispatcher
    const { overflow } = this.#init.config
    if (outbox.fits(size) || overflow === 'block' || overflow === 'drop-newest' || !outbox.couldFit(size)) return NONE
    const dropped: Entry[] = []
    while (!outbox.fits(size)) dropped.push(outbox.dropOldest() as Entry)
    return dropped
  }

  #closing(mayHaveIt: boolean): Error {
    return mayHaveIt
      ? new errors.GIVEN_UP(this.#init.target.name, 'no answer came before the end')
      : new errors.CLOSING()
  }

  #overflow(): Error {
    const { target, config, replays } = this.#init
    return overflowOf(target.name, this.messages, replays && config.overflow !== 'block')
  }

  #mayRetry(entry: Entry, fate: Fate, error: unknown): boolean {
    const { guarantee, retry } = this.#init.config
    if (fate === 'unknown' && guarantee === 'at-most-once') {
      if (this.#deadLetters !== undefined) this.#inDoubt.add(entry)
      return false
    }
    return isRetryable(error) && (isOfTheLink(error) || entry.attempts < retry.attempts)
  }

  #giveUp(entry: Entry, error: unknown): void {
    const isForgotten = dropReasonOf(error) === 'expired' && this.#init.expiry?.deadLetter !== true
    if (this.#deadLetters !== undefined && !isForgotten) {
      this.#bury(entry, error, entry.attempts)
      return
    }
    const { name } = this.#init.target
    const last = isRetryable(error) ? new errors.GIVEN_UP(name, reasonOf(error), { cause: error }) : error
    this.#dispatcher.outbox.done(entry)
    this.#end(entry, dropReasonOf(error), last)
  }

  #bury(entry: Entry, error: unknown, attempts: number): void {
    // What was told to the source meanwhile may have ended the relay.
    if (!this.#entries.has(entry)) return
    const { source, target } = this.#init
    const { message, failedIn: step } = entry.item
    this.#deadLetters?.write(entry, message, { source, target: target.name, error, attempts, step })
  }

  #end(entry: Entry, end: 'delivered' | 'dead-lettered' | DropReason, error: unknown): void {
    // Whoever was sent it may have ended the relay.
    if (!this.#entries.delete(entry)) return
    this.#inDoubt.delete(entry)
    this.#init.onEnd(entry.item, end, error)
    this.#hold.adjust(this.level)
    if (this.messages === 0) this.#tellEmpty()
  }

  #tellEmpty(): void {
    for (const resolve of this.#onEmpty.splice(0)) resolve()
  }
}

function isEnding(state: EndpointState): boolean {
  return state === 'closing' || state === 'closed'
}

/** @param isFinal whether the source would send it again: what is to be dropped must not come back. */
export function overflowOf(target: string, messages: number, isFinal: boolean): Error {
  const error = new errors.OVERFLOW(target, messages)
  return isFinal ? new errors.GIVEN_UP(target, error.message, { cause: error }) : error
}
