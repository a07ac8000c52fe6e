/** Floor 4. A route: one source, and the lanes that each of its messages goes into. */
import { errors, isRetryable, reasonOf } from './errors.ts'
import type { RouterLog } from './delivery/lane-log.ts'
import type { Lane, Settlement } from './delivery/lane.ts'
import type { Message } from './message.ts'
import type { Settle } from './types.ts'

/** Messages that one message may bring about at its own source, at once: more are a loop without end. */
const MAX_NESTED = 10_000

/** A source and its lanes, in the order of the config. What comes in before {@link Route.open} is refused for now. */
export class Route {
  readonly source: string
  readonly #log: RouterLog
  #lanes: readonly Lane[] = []
  #isOpen = false
  #required = 0
  /** Not open, or a message is on its way to the lanes: what its targets feed in meanwhile comes after it. */
  #isBusy = true
  readonly #nested: { readonly message: Message; readonly settle: Settle | undefined }[] = []

  constructor(source: string, log: RouterLog) {
    this.source = source
    this.#log = log
  }

  get lanes(): readonly Lane[] {
    return this.#lanes
  }

  /** What comes in from now on goes to these. */
  open(lanes: readonly Lane[]): void {
    this.#lanes = lanes
    this.#required = lanes.filter((lane) => !lane.optional).length
    if (!this.#isOpen) this.#isBusy = false
    this.#isOpen = true
  }

  /**
   * Hands the message to every lane. Never throws, whatever an endpoint does; `settle` is called once, after every lane
   * has the message. What comes in before that, because a target or the source answers to it with another message, is
   * handed on after it, so that all lanes see one order.
   */
  accept(message: Message, settle: Settle | undefined): void {
    if (this.#isBusy) {
      this.#nest(message, settle)
      return
    }
    this.#isBusy = true
    this.#hand(message, settle)
    if (this.#nested.length > 0) this.#handNested()
    this.#isBusy = false
  }

  #nest(message: Message, settle: Settle | undefined): void {
    if (!this.#isOpen) settle?.(new errors.ENDPOINT_DOWN(this.source, 'a reload is under way'))
    else if (this.#nested.length < MAX_NESTED) this.#nested.push({ message, settle })
    else this.#refuse(message, settle)
  }

  #hand(message: Message, settle: Settle | undefined): void {
    const settlement = settle === undefined ? undefined : this.#settlement(message, settle)
    const lanes = this.#lanes
    for (let index = 0; index < lanes.length; index++) {
      const lane = lanes[index] as Lane
      lane.accept(message, lane.optional ? undefined : settlement)
    }
    settlement?.settle(null)
  }

  #handNested(): void {
    // Those that come in meanwhile, too.
    for (const { message, settle } of this.#nested) this.#hand(message, settle)
    this.#nested.length = 0
  }

  #refuse(message: Message, settle: Settle | undefined): void {
    const settlement = settle === undefined ? undefined : this.#settlement(message, settle)
    const error = new errors.FEEDBACK(this.source, MAX_NESTED)
    for (const lane of this.lanes) lane.refuse(message, error, lane.optional ? undefined : settlement)
    settlement?.settle(null)
  }

  /** One share more than there are required lanes: the route's own, which it gives when every lane has the message. */
  #settlement(message: Message, settle: Settle): RequiredLanes {
    return new RequiredLanes(message, this.#required + 1, settle, this.#log)
  }
}

/** Counts the shares of one message down; the last one settles the source. */
class RequiredLanes implements Settlement {
  readonly #message: Message
  readonly #settle: Settle
  readonly #log: RouterLog
  #remaining: number
  #failures: Error[] | undefined

  constructor(message: Message, remaining: number, settle: Settle, log: RouterLog) {
    this.#message = message
    this.#remaining = remaining
    this.#settle = settle
    this.#log = log
  }

  settle(error: Error | null): void {
    if (error !== null) (this.#failures ??= []).push(error)
    this.#remaining--
    if (this.#remaining !== 0) return
    try {
      this.#settle(this.#failures === undefined ? null : this.#errorOf(this.#failures))
    } catch (err) {
      this.#log.error({ err, route: this.#message.source }, 'a source failed to settle a message')
    }
  }

  #errorOf(failures: readonly Error[]): Error {
    const { id, source } = this.#message
    const cause = failures.length === 1 ? failures[0] : new AggregateError(failures)
    const Undelivered = failures.some(isRetryable) ? errors.UNDELIVERED : errors.UNDELIVERABLE
    return new Undelivered(id, source, failures.map(reasonOf).join('; '), { cause })
  }
}
