/**
 * Floor 2. A lane's outbox at work: what goes in when the target cannot take it at once, what happens when it is full,
 * what is tried again, and where it ends.
 */
import { DeadLetters } from './dead-letters.ts'
import { type Clock, Dispatcher, isOfTheLink } from './dispatcher.ts'
import type { Endpoint } from './endpoint.ts'
import { dropReasonOf, errors, isRetryable, reasonOf } from './errors.ts'
import type { DeliveryConfig } from './guarantee.ts'
import type { Fate } from './handover.ts'
import type { Message } from './message.ts'
import { OutboxEntry } from './outbox.ts'
import type { DropReason } from './types.ts'

/** Waits for the required lanes of one message and then settles its source, once. */
export interface Settlement {
  /** One lane has come to its end with the message. */
  settle(error: Error | null): void
}

/** A message in a lane, and who wants to know what becomes of it. */
export interface Parcel {
  readonly message: Message
  readonly settlement: Settlement | undefined
  /** Why it is not to be sent at all: a step failed. It goes to the dead letters in its turn. */
  readonly failure?: unknown
}

/** The part of a source that a full outbox needs. */
export type Holdable = Pick<Endpoint, 'hold' | 'release'>

export interface DeliveryInit {
  readonly source: string
  /** Whom to pause; undefined where the lane does not block. */
  readonly holdable: Holdable | undefined
  /** The source sends again what it is told has failed for now. */
  readonly replays: boolean
  readonly target: Endpoint
  readonly config: DeliveryConfig
  readonly deadLetters: Endpoint | undefined
  readonly clock: Clock
  /** How a parcel ended; once for each. Must not throw. */
  readonly onEnd: (parcel: Parcel, end: 'delivered' | 'dead-lettered' | DropReason, error: unknown) => void
  readonly onRetry: () => void
  /** The dead-letter endpoint did not take one: it waits. */
  readonly onDeadLetterRefused: (error: unknown) => void
}

/** How full the outbox is when the source is paused, and when it goes on. */
const PAUSE_AT = 0.75
const RESUME_AT = 0.5

type Entry = OutboxEntry<Parcel>

export class Delivery {
  readonly #init: DeliveryInit
  readonly #dispatcher: Dispatcher<Parcel>
  readonly #deadLetters: DeadLetters | undefined
  readonly #unlisten: () => void
  /** Every entry of the outbox, so that what is left at the end can be told so. */
  readonly #entries = new Set<Entry>()
  #isHolding = false
  #isClosed = false
  #onEmpty: (() => void) | undefined

  constructor(init: DeliveryInit) {
    this.#init = init
    const { target, config, clock, deadLetters: endpoint, onDeadLetterRefused: onRefused } = init
    this.#dispatcher = new Dispatcher<Parcel>({
      target,
      bounds: config.buffer,
      concurrency: config.concurrency,
      retry: config.retry,
      clock,
      messageOf: ({ message, failure }) => (failure === undefined ? message : undefined),
      onDelivered: (entry) => this.#end(entry, 'delivered', undefined),
      mayRetry: (entry, fate, error) => this.#mayRetry(entry, fate, error),
      onRetry: init.onRetry,
      onOver: (entry, error) => this.#giveUp(entry, error),
    })
    if (endpoint !== undefined) {
      const onWritten = (entry: OutboxEntry<unknown>): void => {
        this.#dispatcher.outbox.done(entry as Entry)
        this.#end(entry as Entry, 'dead-lettered', undefined)
        this.#dispatcher.pump()
      }
      this.#deadLetters = new DeadLetters({ endpoint, clock, onWritten, onRefused })
    }
    this.#unlisten = target.onState((state) => {
      if (state === 'closing' || state === 'closed') this.close()
    })
  }

  /** Messages that it holds: waiting, in flight, waiting to be tried again, on their way to the dead letters. */
  get messages(): number {
    return this.#entries.size
  }

  /** Bytes that these are in the target's format. */
  get bytes(): number {
    return this.#isClosed ? 0 : this.#dispatcher.outbox.bytes
  }

  get empty(): boolean {
    return this.#entries.size === 0
  }

  /** Takes a parcel in; it ends by `onEnd`, perhaps before this returns. */
  add(parcel: Parcel, key: string): void {
    const entry = this.#entry(parcel, key)
    if (entry === undefined || !this.#makeRoom(entry)) return
    this.#entries.add(entry)
    this.#dispatcher.outbox.push(entry)
    this.#hold()
    this.#dispatcher.pump()
  }

  /** Takes in a parcel that the target threw at. The outbox is empty. */
  addFailed(parcel: Parcel, key: string, error: unknown): void {
    const entry = this.#entry(parcel, key)
    if (entry === undefined) return
    this.#entries.add(entry)
    this.#dispatcher.adopt(entry, error ?? new errors.SEND_FAILED(this.#init.target.name, 'no reason given'))
    this.#hold()
  }

  /** Takes in a parcel that the target is sending asynchronously. The outbox is empty. */
  addSending(parcel: Parcel, key: string, sending: unknown): void {
    const entry = new OutboxEntry(parcel, key, parcel.message.byteLength)
    this.#entries.add(entry)
    this.#dispatcher.adoptSending(entry, sending)
    this.#hold()
  }

  /** Resolves when it holds nothing any more. */
  async whenEmpty(): Promise<void> {
    if (!this.empty) await new Promise<void>((resolve) => (this.#onEmpty = resolve))
  }

  /** Ends it: what it still holds is dropped, and its source is told that it may send it again. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unlisten()
    const inFlight = new Set(this.#dispatcher.close())
    this.#deadLetters?.close()
    const { target, config } = this.#init
    const entries = [...this.#entries]
    this.#entries.clear()
    for (const entry of entries) {
      const isDoubtful = inFlight.has(entry) && config.guarantee === 'at-most-once'
      const error = isDoubtful
        ? new errors.GIVEN_UP(target.name, 'no answer came before the end')
        : new errors.CLOSING()
      this.#init.onEnd(entry.item, 'closing', error)
    }
    this.#letGo()
    this.#onEmpty?.()
  }

  /** @returns undefined where the target's format cannot carry it: then it has ended. */
  #entry(parcel: Parcel, key: string): Entry | undefined {
    const { target, onEnd } = this.#init
    try {
      // What the target is about to ask for: the message keeps it.
      const size = parcel.failure === undefined ? parcel.message.encode(target.marshaller).length : 0
      return new OutboxEntry(parcel, key, Math.max(size, parcel.message.byteLength))
    } catch (error) {
      if (this.#deadLetters !== undefined) {
        return new OutboxEntry({ ...parcel, failure: error }, key, parcel.message.byteLength)
      }
      onEnd(parcel, dropReasonOf(error), error)
      return undefined
    }
  }

  /** @returns whether there is room for it; it has ended where there is none. */
  #makeRoom(entry: Entry): boolean {
    const { outbox } = this.#dispatcher
    const { overflow } = this.#init.config
    if (overflow === 'drop-oldest' || overflow === 'disconnect') {
      while (!outbox.fits(entry.size) && outbox.couldFit(entry.size)) {
        const oldest = outbox.dropOldest()
        if (oldest === undefined) break
        this.#end(oldest, 'overflow', this.#overflow())
      }
    }
    if (outbox.fits(entry.size)) return true
    this.#init.onEnd(entry.item, 'overflow', this.#overflow())
    return false
  }

  #overflow(): Error {
    const { target, config, replays } = this.#init
    const error = new errors.OVERFLOW(target.name, this.messages)
    // What is to be dropped must not come back.
    const isFinal = replays && config.overflow !== 'block'
    return isFinal ? new errors.GIVEN_UP(target.name, error.message, { cause: error }) : error
  }

  #mayRetry(entry: Entry, fate: Fate, error: unknown): boolean {
    const { guarantee, retry } = this.#init.config
    if (fate === 'unknown' && guarantee === 'at-most-once') return false
    return isRetryable(error) && (isOfTheLink(error) || entry.attempts < retry.attempts)
  }

  #giveUp(entry: Entry, sent: unknown): void {
    if (!this.#entries.has(entry)) return
    const { source, target } = this.#init
    const error = entry.item.failure ?? sent
    if (this.#deadLetters !== undefined) {
      const attempts = entry.item.failure === undefined ? entry.attempts : 0
      this.#deadLetters.write(entry, entry.item.message, { source, target: target.name, error, attempts })
      return
    }
    const last = isRetryable(error) ? new errors.GIVEN_UP(target.name, reasonOf(error), { cause: error }) : error
    this.#dispatcher.outbox.done(entry)
    this.#end(entry, dropReasonOf(error), last)
  }

  #end(entry: Entry, end: 'delivered' | 'dead-lettered' | DropReason, error: unknown): void {
    // Whoever was sent it may have ended the relay.
    if (!this.#entries.delete(entry)) return
    this.#init.onEnd(entry.item, end, error)
    if (this.#isHolding && this.#dispatcher.outbox.level <= RESUME_AT) this.#letGo()
    if (this.empty) this.#onEmpty?.()
  }

  #hold(): void {
    if (this.#isHolding || this.#isClosed || this.#init.holdable === undefined) return
    if (this.#dispatcher.outbox.level < PAUSE_AT) return
    this.#isHolding = true
    this.#init.holdable.hold()
  }

  #letGo(): void {
    if (!this.#isHolding) return
    this.#isHolding = false
    this.#init.holdable?.release()
  }
}
