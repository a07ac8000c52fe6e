/**
 * Floor 2. An outbox and what empties it: sends what waits while the target can take it, in order, with a bounded
 * number in flight, and tries again what failed.
 */
import type { ThrottleConfig } from '../config/steps.ts'
import { Deadlines } from '../deadlines.ts'
import { dropReasonOf } from '../errors.ts'
import type { RetryConfig } from './guarantee.ts'
import { type Fate, Handover, isPipelined, type Target } from './handover.ts'
import type { Message } from '../message.ts'
import { Outbox, type OutboxBounds, type OutboxEntry } from './outbox.ts'
import { Backoff, delayAfter } from '../retry.ts'
import { Throttle } from '../steps/throttle.ts'

/** Time and chance, handed in by tests. */
export interface Clock {
  /** Milliseconds; never goes back. */
  readonly now?: () => number
  /** A number in [0, 1). */
  readonly random?: () => number
}

export interface DispatcherInit<Item> {
  readonly target: Target
  readonly bounds: OutboxBounds
  readonly concurrency: number
  readonly retry: Pick<RetryConfig, 'minDelay' | 'maxDelay'>
  readonly clock: Clock
  /** How fast messages go; undefined for as fast as they can. */
  readonly throttle?: ThrottleConfig | undefined
  readonly messageOf: (item: Item) => Message
  /** Why an entry is not to be sent any more, if there is a reason. */
  readonly refusalOf?: ((item: Item) => unknown) | undefined
  /** The target has it. The dispatcher has forgotten the entry. */
  readonly onDelivered: (entry: OutboxEntry<Item>) => void
  /** Whether a message that was sent and failed is sent again. */
  readonly mayRetry: (entry: OutboxEntry<Item>, fate: Fate, error: unknown) => boolean
  /** One more try will follow. */
  readonly onRetry?: () => void
  /** It is not sent again. The entry keeps its key and its place until the outbox is told that it is done. */
  readonly onOver: (entry: OutboxEntry<Item>, error: unknown) => void
}

/** Messages that are sent within one turn of the event loop: others have work to do, too. */
const MAX_A_TURN = 256
/** A target that has refused nothing for so long (milliseconds) is as one that never did. */
const STABLE_AFTER = 10_000

export class Dispatcher<Item> {
  readonly outbox: Outbox<Item>
  readonly #init: DispatcherInit<Item>
  readonly #handover: Handover<OutboxEntry<Item>>
  readonly #held: Deadlines<OutboxEntry<Item>>
  readonly #throttle: Throttle<OutboxEntry<Item>> | undefined
  readonly #unlisten: () => void
  /** For a target that says that it is ready and takes nothing. */
  readonly #backoff: Backoff
  readonly #now: () => number
  /** When it was to be asked again after it had taken nothing. */
  #askedAt = -Infinity
  readonly #isPipelined: boolean
  #isFull = false
  /** Nothing is sent while it is set. */
  isWaiting = false
  #pause: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined
  readonly #isGuarded: boolean
  /** Who waits for answers of the target. */
  readonly #onAnswer: (() => void)[] = []
  #isPumping = false
  #isClosed = false

  constructor(init: DispatcherInit<Item>) {
    const { target, bounds, retry, clock, throttle } = init
    this.#init = init
    this.outbox = new Outbox(bounds)
    this.#isGuarded = throttle !== undefined || init.refusalOf !== undefined
    this.#isPipelined = isPipelined(target)
    this.#handover = new Handover(target, this.#onEnd)
    this.#now = clock.now ?? (() => performance.now())
    this.#held = new Deadlines(this.#onDue, this.#now)
    this.#throttle = throttle && new Throttle(throttle, this.#now, () => this.pump())
    this.#backoff = new Backoff({ ...retry, ...(clock.random === undefined ? {} : { random: clock.random }) })
    this.#unlisten = target.onReady(() => {
      this.#endPause()
      this.pump()
    })
  }

  /** The target is left alone for a while: it said that it was ready, and took nothing. */
  get paused(): boolean {
    return this.#pause !== undefined
  }

  /** Sends what can be sent now. May be called at any time. */
  pump(): void {
    if (this.isWaiting || this.#isPumping || this.#isClosed) return
    if (this.#turn !== undefined || this.#pause !== undefined) return
    this.#isPumping = true
    const { target } = this.#init
    let left = MAX_A_TURN
    while (!this.#isClosed && this.#pause === undefined && this.#hasRoom() && target.ready) {
      if (left-- === 0) {
        this.#turn = setImmediate(this.#onTurn)
        break
      }
      const parked = this.#throttle?.next()
      const entry = parked ?? (this.#throttle?.isOpen() === false ? undefined : this.outbox.take())
      if (entry === undefined) break
      const message = this.#init.messageOf(entry.item)
      if (this.#isGuarded && !this.#mayGo(entry, message, parked !== undefined)) continue
      this.#handover.send(entry, message)
    }
    this.#isPumping = false
  }

  /** Sends nothing more. Resolves when nothing is with the target, or it is closed. */
  async whenAnswered(): Promise<void> {
    this.isWaiting = true
    while (this.#handover.inFlight > 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => this.#onAnswer.push(resolve))
    }
  }

  /** For a message that was sent without the dispatcher: `send` threw at it. The outbox is empty. */
  adopt(entry: OutboxEntry<Item>, error: unknown): void {
    this.outbox.push(entry)
    this.outbox.take()
    this.#onEnd(entry, 'refused', error)
  }

  /** For a message that was sent without the dispatcher: `send` returned a promise. The outbox is empty. */
  adoptSending(entry: OutboxEntry<Item>, sending: unknown): void {
    this.outbox.push(entry)
    this.outbox.take()
    this.#handover.wait(entry, sending)
  }

  /**
   * Ends it: nothing is sent any more, and no answer counts.
   * @returns entries that the target has and has not answered for.
   */
  close(): OutboxEntry<Item>[] {
    this.#isClosed = true
    this.#unlisten()
    this.#held.clear()
    this.#throttle?.close()
    clearImmediate(this.#turn)
    this.#turn = undefined
    this.#endPause()
    this.#tellAnswered()
    return this.#handover.close()
  }

  readonly #onEnd = (entry: OutboxEntry<Item>, fate: Fate, error: unknown): void => {
    // The target has ended the relay in the middle of `send`.
    if (this.#isClosed) return
    if (fate === 'delivered') {
      this.outbox.done(entry)
      this.#init.onDelivered(entry)
    } else if (!this.#init.mayRetry(entry, fate, error)) {
      this.#init.onOver(entry, error)
    } else if (isOfTheLink(error)) {
      this.#waitForTarget(entry)
    } else {
      this.#init.onRetry?.()
      const { retry, clock } = this.#init
      this.outbox.hold(entry)
      this.#held.add(entry, delayAfter(entry.attempts, retry, clock.random))
    }
    if (this.#onAnswer.length > 0) this.#tellAnswered()
    this.pump()
  }

  /**
   * Where messages follow one another without waiting, the answers come in order, too: once as many are in flight as may
   * be, half of them must be answered before more are sent. They go, and their answers come, by the dozen: what a turn of
   * the event loop costs is paid for all of them once.
   */
  #hasRoom(): boolean {
    const { inFlight } = this.#handover
    const { concurrency } = this.#init
    if (inFlight >= concurrency) this.#isFull = this.#isPipelined
    else if (inFlight <= concurrency / 2) this.#isFull = false
    return inFlight < concurrency && !this.#isFull
  }

  #tellAnswered(): void {
    for (const resolve of this.#onAnswer.splice(0)) resolve()
  }

  /** Whether it may be sent now; where not, it is over, or parked until its rate lets it go. */
  #mayGo(entry: OutboxEntry<Item>, message: Message, wasParked: boolean): boolean {
    const refusal = this.#init.refusalOf?.(entry.item)
    if (refusal !== undefined) {
      this.#init.onOver(entry, refusal)
      return false
    }
    if (wasParked || this.#throttle === undefined) return true
    try {
      return this.#throttle.admit(entry, message)
    } catch (error) {
      this.#init.onOver(entry, error)
      return false
    }
  }

  /** No fault of the message's: it has its place back, and the try is not counted. */
  #waitForTarget(entry: OutboxEntry<Item>): void {
    entry.attempts--
    this.outbox.retry(entry)
    if (!this.#init.target.ready || this.#pause !== undefined) return
    const now = this.#now()
    if (now - this.#askedAt >= STABLE_AFTER) this.#backoff.reset()
    const delay = this.#backoff.next()
    this.#askedAt = now + delay
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.pump()
    }, delay).unref()
  }

  readonly #onDue = (entry: OutboxEntry<Item>): void => {
    this.outbox.retry(entry)
    this.pump()
  }

  readonly #onTurn = (): void => {
    this.#turn = undefined
    this.pump()
  }

  #endPause(): void {
    clearTimeout(this.#pause)
    this.#pause = undefined
  }
}

/** The target could take no message at all, whichever it was. */
export function isOfTheLink(error: unknown): boolean {
  const reason = dropReasonOf(error)
  return reason === 'down' || reason === 'overflow' || reason === 'closing'
}
