/**
 * Floor 2. A lane: one (route, target) pair at run time: its steps, its counters, and the hand-over to the target.
 *
 * A message that comes in is, in this order: received, changed or filtered by the steps, handed to the target, and
 * counted where it ended. On a lane whose target does not confirm, all of that happens within one call and costs no
 * promise, closure or queue entry.
 */
import type { Endpoint } from './endpoint.ts'
import { dropReasonOf, errors, reasonOf } from './errors.ts'
import { Ledger } from './ledger.ts'
import type { Message } from './message.ts'
import type { DropReason } from './types.ts'

/** What a lane does to a message on its way: another message, or `null` to filter it out. Throws: it is dropped as invalid. */
export interface Step {
  readonly name: string
  apply(message: Message): Message | null
}

/** How one message ended in one lane; for the console and for tests. */
export type Outcome = 'delivered' | 'filtered' | DropReason

/** Sees every message that ends in a lane. Must be quick and must not throw; the message must not be kept. */
export type Trace = (lane: Lane, message: Message, outcome: Outcome) => void

/** Waits for the required lanes of one message and then settles its source, once. */
export interface Settlement {
  /** One lane has come to its end with the message. */
  settle(error: Error | null): void
}

/** A target that confirms has at most this many messages and bytes of one lane unconfirmed. */
const MAX_UNCONFIRMED = 10_000
const MAX_UNCONFIRMED_BYTES = 64 * 1024 * 1024

export interface LaneInit {
  readonly source: string
  readonly target: Endpoint
  readonly steps: readonly Step[]
  /** An optional lane never holds back, or spoils, the source's acknowledgement. */
  readonly optional: boolean
  /** Called after the ledger has counted it. Must not throw. */
  readonly onDrop: (lane: Lane, reason: DropReason, error: unknown) => void
}

export class Lane {
  readonly source: string
  readonly target: Endpoint
  readonly optional: boolean
  readonly ledger = new Ledger()
  trace: Trace | undefined
  readonly #steps: readonly Step[]
  readonly #confirms: boolean
  readonly #onDrop: LaneInit['onDrop']
  #unconfirmed = 0
  #unconfirmedBytes = 0

  constructor({ source, target, steps, optional, onDrop }: LaneInit) {
    this.source = source
    this.target = target
    this.optional = optional
    this.#steps = steps
    this.#confirms = target.capabilities.target?.confirm === true
    this.#onDrop = onDrop
  }

  get steps(): readonly Step[] {
    return this.#steps
  }

  /** Messages that the target took and has not confirmed: what the ledger's `waiting` must equal. */
  get unconfirmed(): number {
    return this.#unconfirmed
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
        this.#drop(received, 'invalid', error, settlement)
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
    if (target.state !== 'up') {
      const closing = target.state === 'closing' || target.state === 'closed'
      this.#drop(message, closing ? 'closing' : 'down', undefined, settlement)
      return
    }
    if (this.#confirms) {
      this.#sendConfirmed(message, settlement)
      return
    }
    let sending: unknown
    try {
      sending = target.send(message)
    } catch (error) {
      this.#drop(message, dropReasonOf(error), error, settlement)
      return
    }
    if (sending === undefined) this.#delivered(message, settlement)
    else this.#awaitSent(sending, message, settlement)
  }

  #sendConfirmed(message: Message, settlement: Settlement | undefined): void {
    if (this.#unconfirmed >= MAX_UNCONFIRMED || this.#unconfirmedBytes >= MAX_UNCONFIRMED_BYTES) {
      const error = new errors.OVERFLOW(this.target.name, this.#unconfirmed)
      this.#drop(message, 'overflow', error, settlement)
      return
    }
    let size: number
    try {
      // What the target is about to ask for: the message keeps it.
      size = message.encode(this.target.marshaller).length
    } catch (error) {
      this.#drop(message, dropReasonOf(error), error, settlement)
      return
    }
    const end = this.#hold(message, size, settlement)
    try {
      const sending: unknown = this.target.send(message, end)
      if (sending !== undefined) Promise.resolve(sending).catch((error: unknown) => end(error ?? 'no reason given'))
    } catch (error) {
      end(error)
    }
  }

  /** A type's `send` must not be async. One that is must still not end the process, nor be counted before its end. */
  #awaitSent(sending: unknown, message: Message, settlement: Settlement | undefined): void {
    const end = this.#hold(message, message.byteLength, settlement)
    Promise.resolve(sending).then(
      () => end(null),
      (error: unknown) => end(error ?? 'no reason given'),
    )
  }

  /** Counts a message as under way. @returns what ends that, once: later calls are ignored. */
  #hold(message: Message, size: number, settlement: Settlement | undefined): (error: unknown) => void {
    this.#unconfirmed++
    this.#unconfirmedBytes += size
    let open = true
    return (error) => {
      if (!open) return
      open = false
      this.#unconfirmed--
      this.#unconfirmedBytes -= size
      // `undefined` too: JavaScript's callbacks say success by either.
      if (error === null || error === undefined) this.#delivered(message, settlement)
      else this.#drop(message, dropReasonOf(error), error, settlement)
    }
  }

  #delivered(message: Message, settlement: Settlement | undefined): void {
    this.ledger.delivered++
    this.ledger.bytes += message.byteLength
    this.trace?.(this, message, 'delivered')
    settlement?.settle(null)
  }

  #drop(message: Message, reason: DropReason, error: unknown, settlement: Settlement | undefined): void {
    this.ledger.dropped[reason]++
    this.#onDrop(this, reason, error)
    this.trace?.(this, message, reason)
    if (settlement === undefined) return
    settlement.settle(error instanceof Error ? error : this.#errorOf(reason, error))
  }

  #errorOf(reason: DropReason, error: unknown): Error {
    const { name, reason: why } = this.target
    if (error !== undefined) return new errors.SEND_FAILED(name, reasonOf(error), { cause: error })
    return reason === 'closing' ? new errors.CLOSING() : new errors.ENDPOINT_DOWN(name, why ?? reason)
  }
}
