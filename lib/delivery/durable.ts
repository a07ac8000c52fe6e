/**
 * Floor 2. The outbox of a lane with a durable buffer: a journal on disk keeps what was taken in, and a delivery in
 * memory sends it on, a part at a time.
 *
 *     take -> journal -> (durable) the source is told that it is safe
 *                 \-> delivery, as far as it has room; the rest is read from disk later, in the same order -> target
 *
 * A record is done when its message has come to its end in the lane. What is not done when the process ends, however it
 * ends, is delivered after the next start; what was done a moment before may be delivered twice.
 *
 * What cannot be sent at all (a step failed) never was taken in: it goes to the dead letters without a record, and its
 * source waits for that.
 */
import { Backlog } from './backlog.ts'
import { Delivery, type DeliveryInit, overflowOf } from './delivery.ts'
import { Early } from './early.ts'
import { dropReasonOf, errors, isRetryable, reasonOf } from '../errors.ts'
import { FreshMap } from '../fresh-map.ts'
import type { DurableBuffer } from './guarantee.ts'
import { Hold } from './hold.ts'
import type { Files } from '../journal/files.ts'
import { Journal } from '../journal/journal.ts'
import type { JournalLog } from '../journal/options.ts'
import type { JournalRecord } from '../journal/reader.ts'
import type { Ledger } from '../ledger.ts'
import { type Marshaller, Message } from '../message.ts'
import type { Parcel, Settlement } from './parcel.ts'
import { decodeStored, encodeStored } from './stored-message.ts'
import type { DropReason } from '../types.ts'

export interface DurableInit extends Omit<DeliveryInit, 'isFed'> {
  readonly buffer: DurableBuffer
  /** Of the source: the format of what is stored. */
  readonly marshaller: Marshaller
  readonly log: JournalLog | undefined
  /** The lane's. What an earlier life has left counts as received; what the disk has lost, as dropped. */
  readonly ledger: Ledger
  /** The disk has lost messages that were taken in. Must not throw. */
  readonly onLost: (error: Error) => void
  /** Handed in by tests. */
  readonly files?: Files | undefined
}

/** When the delivery in memory is as empty as this, more is read. */
const REFILL_AT = 0.5

export class DurableDelivery {
  readonly #init: DurableInit
  readonly #delivery: Delivery
  #journal: Journal | undefined
  #backlog: Backlog | undefined
  /** What came before the journal was open. */
  readonly #early: Early
  /** Who waits for a record to be durable, by its sequence, in order. */
  readonly #unsettled = new FreshMap<number, Settlement>()
  /** Of the messages in memory: those without a record. */
  #dead = 0
  readonly #hold: Hold
  #isDraining = false
  #isClosed = false
  readonly #unlisten: () => void
  #opening: Promise<void> | undefined
  #openFailure: Error | undefined
  #closing: Promise<void> | undefined
  readonly #onRest: (() => void)[] = []

  constructor(init: DurableInit) {
    this.#init = init
    this.#early = new Early(init.config.buffer, init.marshaller)
    const config = { ...init.config, overflow: 'block' as const }
    this.#delivery = new Delivery({ ...init, config, holdable: undefined, isFed: true, onEnd: this.#onEnd })
    this.#unlisten = init.target.onState(() => this.#tellRest())
    this.#hold = new Hold(init.holdable)
  }

  /**
   * Opens the journal. To be called once; what comes before it has resolved waits in memory, and its source is paused.
   * @param earlier who has the journal: it is opened when they have let go of it.
   * @throws ARALDO_ERR_JOURNAL_LOCKED, ARALDO_ERR_JOURNAL_UNUSABLE
   */
  open(earlier?: Promise<void>): Promise<void> {
    this.#adjustHold()
    this.#opening ??= this.#open(earlier).catch((error: Error) => {
      this.#openFailure = error
      // Whoever sends again may have more luck with the next life.
      for (const parcel of this.#early.takeAll()) this.#refuse(parcel, error)
      this.#tellRest()
      throw error
    })
    return this.#opening
  }

  /** Why it cannot take anything in; undefined while it can. */
  get failure(): Error | undefined {
    return this.#journal?.failure ?? this.#openFailure
  }

  /** Bytes of its files, and why it takes nothing in, where that is so. */
  get disk(): { readonly bytes: number; readonly failure: string | undefined } {
    const { failure } = this
    return { bytes: this.#journal?.diskBytes ?? 0, failure: failure && reasonOf(failure) }
  }

  /** The disk bounds it, not the number of messages. */
  get limit(): { readonly messages: number; readonly bytes: number } {
    return { messages: Number.MAX_SAFE_INTEGER, bytes: this.#init.buffer.bytes }
  }

  /** When the message was made that it has held longest: memory has the oldest. */
  get oldest(): number | undefined {
    return this.#delivery.oldest
  }

  /** Messages that it has, in memory and on disk. */
  get messages(): number {
    return this.#early.length + (this.#journal?.pending ?? 0) + this.#dead
  }

  get bytes(): number {
    return this.#journal?.bytes ?? 0
  }

  get hasRoom(): boolean {
    if (this.#journal === undefined) return this.#openFailure === undefined && this.#early.hasRoom
    return this.#journal.level < 1
  }

  /** Takes a parcel in. Its settlement is told when it is on disk; `onEnd` when it has come to its end in the lane. */
  take(parcel: Parcel): void {
    if (this.#isClosed) this.#init.onEnd(parcel, 'closing', new errors.CLOSING())
    else if (this.#journal !== undefined) this.#store(this.#journal, parcel)
    else if (this.hasRoom) this.#early.push(parcel)
    else this.#refuse(parcel, this.#openFailure ?? overflowOf(this.#init.target.name, this.messages, false))
  }

  /** Takes in a parcel that cannot be sent at all: it goes to the dead letters at once, and has no record. */
  addDead(parcel: Parcel, error: unknown): void {
    if (!this.#delivery.hasRoom) {
      this.#refuse(parcel, overflowOf(this.#init.target.name, this.messages, false))
      return
    }
    this.#dead++
    this.#delivery.addDead(parcel, error)
  }

  wait(): void {
    this.#delivery.wait()
  }

  go(): void {
    this.#delivery.go()
  }

  /**
   * Resolves when everything that it has taken in is safe, and what is in memory has been delivered, if its target can
   * take it. Nothing more is read from disk from now on: that is for the next start.
   */
  async whenEmpty(): Promise<void> {
    this.#isDraining = true
    while (!this.#isAtRest) await new Promise<void>((resolve) => this.#onRest.push(resolve))
  }

  /** Sends nothing more. Resolves when the target has answered for all that it has. */
  rest(): Promise<void> {
    this.#isDraining = true
    return this.#delivery.rest()
  }

  /** Ends it: what has no record is dropped; what has one stays on disk. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#backlog?.close()
    this.#unlisten()
    this.#delivery.close()
    for (const parcel of this.#early.takeAll()) this.#init.onEnd(parcel, 'closing', new errors.CLOSING())
    this.#hold.end()
    this.#closing = this.#close()
    this.#tellRest()
  }

  /** Resolves when the journal has been let go of. Never rejects. */
  async whenClosed(): Promise<void> {
    await this.#closing
  }

  async #open(earlier: Promise<void> | undefined): Promise<void> {
    await earlier
    if (this.#isClosed) return
    const { buffer, log, ledger, files } = this.#init
    const journal = await Journal.open({
      path: buffer.path,
      maxBytes: buffer.bytes,
      log,
      ...(files === undefined ? {} : { files }),
      onDurable: (through) => this.#onDurable(through),
      onState: () => this.#adjust(),
      onSpace: () => this.#adjust(),
      onLost: (records) => this.#onLost(records),
    })
    if (this.#isClosed) return journal.close()
    this.#journal = journal
    const { messages, bytes } = this.#init.config.buffer
    this.#backlog = new Backlog({
      journal,
      bounds: { maxMessages: Math.ceil(messages / 2), maxBytes: Math.ceil(bytes / 2) },
      log,
      wants: () => !this.#isDraining && this.#delivery.level <= REFILL_AT,
      onRecord: (record) => this.#give(record),
    })
    const { pending, lost } = journal.recovery
    ledger.received += pending + lost
    if (lost > 0) this.#onLost(lost)
    for (const parcel of this.#early.takeAll()) this.#store(journal, parcel)
    this.#adjust()
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {})
    const journal = this.#journal
    await journal?.close()
    // What could not be written is not safe.
    for (const settlement of this.#unsettled.values()) settlement.settle(new errors.CLOSING())
    this.#unsettled.clear()
    this.#journal = undefined
    if (journal === undefined || journal.pending === 0) return
    const { pending, path } = journal
    // They are received by the life that finds them.
    this.#init.ledger.received -= pending
    this.#init.log?.info({ path, messages: pending }, 'messages stay on disk until the lane is there again')
  }

  #store(journal: Journal, parcel: Parcel): void {
    const { message, settlement, from } = parcel
    let record: Buffer
    try {
      record = encodeStored({ message, from })
    } catch (error) {
      this.addDead(parcel, error)
      return
    }
    let sequence: number
    try {
      sequence = journal.append(record)
    } catch (error) {
      if (isRetryable(error)) this.#refuse(parcel, error)
      else this.addDead(parcel, error)
      this.#adjustHold()
      return
    }
    if (settlement !== undefined) this.#unsettled.set(sequence, settlement)
    if (
      journal.cursor === sequence &&
      this.#backlog?.isReading === false &&
      !this.#isDraining &&
      this.#delivery.hasRoom
    ) {
      journal.skip()
      this.#delivery.take({ message, settlement: undefined, from, sequence })
    }
    this.#adjustHold()
  }

  /** There is no room, or no writing: it was not taken in. */
  #refuse(parcel: Parcel, error: unknown): void {
    const { config, replays, target, onEnd } = this.#init
    // What is to be dropped must not come back. A disk that fails drops nothing.
    const isFinal = replays && config.overflow !== 'block' && this.failure === undefined
    const last = isFinal ? new errors.GIVEN_UP(target.name, reasonOf(error), { cause: error }) : error
    onEnd(parcel, dropReasonOf(error), last)
  }

  readonly #onEnd = (parcel: Parcel, end: 'delivered' | 'dead-lettered' | DropReason, error: unknown): void => {
    const { sequence } = parcel
    if (sequence === undefined) {
      this.#dead--
      this.#init.onEnd(parcel, end, error)
    } else if (end !== 'closing') {
      // It is safe by that, too.
      const settlement = this.#unsettled.get(sequence)
      this.#unsettled.delete(sequence)
      this.#journal?.done(sequence)
      this.#init.onEnd(parcel, end, error)
      settlement?.settle(null, 'stored')
    }
    this.#adjust()
  }

  #onDurable(through: number): void {
    for (const [sequence, settlement] of this.#unsettled) {
      if (sequence > through) break
      // One that was settled may have brought others to their end.
      if (this.#unsettled.delete(sequence)) settlement.settle(null, 'stored')
    }
    this.#adjust()
  }

  #onLost(records: number): void {
    this.#init.ledger.dropped.lost += records
    this.#init.onLost(new errors.JOURNAL_UNREADABLE(this.#init.buffer.path, 'records are damaged'))
  }

  #adjust(): void {
    this.#adjustHold()
    this.#backlog?.refill()
    this.#tellRest()
  }

  #give({ sequence, record }: JournalRecord): void {
    const { marshaller, source } = this.#init
    try {
      const { message, from } = decodeStored(record, marshaller)
      this.#delivery.take({ message, settlement: undefined, from, sequence })
    } catch (error) {
      // Its checksum is right: another version has written it, or another program. Its source has forgotten it.
      const message = new Message({ source, marshaller, payload: record })
      this.#delivery.addDead({ message, settlement: undefined, from: '', sequence }, error)
    }
  }

  /** While it cannot write, the source is better off waiting. */
  #adjustHold(): void {
    const journal = this.#journal
    this.#hold.adjust(journal?.state === 'open' ? journal.level : 1)
  }

  get #isAtRest(): boolean {
    if (this.#isClosed) return true
    // What has no record is safe when its dead letter is written, which its target has no part in.
    if (this.#early.length > 0 || this.#unsettled.size > 0 || this.#dead > 0) return false
    return this.#delivery.messages === 0 || !this.#init.target.ready
  }

  #tellRest(): void {
    if (!this.#isAtRest) return
    for (const resolve of this.#onRest.splice(0)) resolve()
  }
}
