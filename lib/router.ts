/**
 * Floor 4. The router: routes compiled at start to flat arrays of lanes, one array per source.
 *
 * Knows the Endpoint contract only: no Fastify, no protocol. Per message it runs a loop over the lanes; it allocates
 * only when the source wants to know what became of the message.
 */
import type { LaneConfig, RouteConfig } from './config.ts'
import type { Endpoint } from './endpoint.ts'
import { errors, isRetryable, reasonOf } from './errors.ts'
import { carriesHops, HopGuard, randomInstance } from './hops.ts'
import { Lane, type Outcome, type Settlement, type Trace } from './lane.ts'
import type { Message } from './message.ts'
import { compileSteps } from './steps.ts'
import type { DropReason, Settle } from './types.ts'

/** The part of a logger that the router needs. */
export interface RouterLog {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** Messages that one message may bring about at its own source, at once: more are a loop without end. */
const MAX_NESTED = 10_000

/** A source and its lanes, in the order of the config. */
export class Route {
  readonly source: string
  readonly lanes: readonly Lane[]
  readonly #required: number
  readonly #log: RouterLog
  /** A message is on its way to the lanes: what its targets feed in meanwhile comes after it. */
  #isBusy = false
  readonly #nested: { readonly message: Message; readonly settle: Settle | undefined }[] = []

  constructor(source: string, lanes: readonly Lane[], log: RouterLog) {
    this.source = source
    this.lanes = lanes
    this.#required = lanes.filter((lane) => !lane.optional).length
    this.#log = log
  }

  /**
   * Hands the message to every lane. Never throws, whatever an endpoint does; `settle` is called once, after every lane
   * has the message. What comes in before that, because a target or the source answers to it with another message, is
   * handed on after it, so that all lanes see one order.
   */
  accept(message: Message, settle: Settle | undefined): void {
    if (this.#isBusy) {
      if (this.#nested.length < MAX_NESTED) this.#nested.push({ message, settle })
      else this.#refuse(message, settle)
      return
    }
    this.#isBusy = true
    this.#hand(message, settle)
    if (this.#nested.length > 0) this.#handNested()
    this.#isBusy = false
  }

  #hand(message: Message, settle: Settle | undefined): void {
    const settlement = settle === undefined ? undefined : this.#settlement(message, settle)
    const lanes = this.lanes
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

/** Every drop is counted; a lane that drops is logged at most once in so many milliseconds, with how many it was. */
const DROP_LOG_INTERVAL = 1_000

export class Router {
  /** By source, in the order of the config. */
  readonly routes: ReadonlyMap<string, Route>
  readonly #log: RouterLog
  readonly #traces = new Set<Trace>()
  readonly #silenced = new Map<Lane, number>()
  #dropTimer: NodeJS.Timeout | undefined
  /** When it was logged last that dead letters of the lane cannot be written (milliseconds, monotonic). */
  readonly #refusedAt = new Map<Lane, number>()
  #closed = false

  /**
   * Compiles the routes and binds each source to its lanes.
   * @param endpoints all endpoints by name; holds every name that the routes name.
   * @param instance what the relay calls itself in hops.
   */
  constructor(
    endpoints: ReadonlyMap<string, Endpoint>,
    configs: readonly RouteConfig[],
    log: RouterLog,
    instance = randomInstance(),
  ) {
    this.#log = log
    const routes = new Map<string, Route>()
    for (const config of configs) {
      const source = endpoints.get(config.source) as Endpoint
      const lanes = config.lanes.map((lane) => {
        const { deadLetter } = lane.delivery
        return new Lane({
          source,
          target: endpoints.get(lane.to) as Endpoint,
          steps: compileSteps(lane.steps),
          hops: this.#hopGuard(config.source, lane, endpoints.get(lane.to) as Endpoint, instance),
          optional: lane.optional,
          delivery: lane.delivery,
          deadLetters: deadLetter === undefined ? undefined : endpoints.get(deadLetter),
          onDrop: this.#onDrop,
          onDeadLetterRefused: this.#onDeadLetterRefused,
        })
      })
      const route = new Route(config.source, lanes, log)
      routes.set(config.source, route)
      source.bind((message, settle) => route.accept(message, settle))
    }
    this.routes = routes
  }

  #hopGuard(source: string, lane: LaneConfig, target: Endpoint, instance: string): HopGuard | undefined {
    if (lane.mayLoop === true || !carriesHops(target.capabilities.target)) return undefined
    const text = 'a message came round: it is not delivered twice. This is logged once, and counted as looped'
    const onFirstLoop = (): void => this.#log.info({ source, target: target.name }, text)
    return new HopGuard({ instance, endpoint: target.name, onFirstLoop })
  }

  *lanes(): IterableIterator<Lane> {
    for (const route of this.routes.values()) yield* route.lanes
  }

  /** Messages that are under way in lanes. */
  get messages(): number {
    let total = 0
    for (const lane of this.lanes()) total += lane.messages
    return total
  }

  /** Resolves when nothing is under way in any lane that was so at the call. */
  async whenEmpty(): Promise<void> {
    await Promise.all([...this.lanes()].map((lane) => lane.whenEmpty()))
  }

  /**
   * Shows every message that ends in a lane to `trace`, until the returned function is called. Costs the lanes
   * nothing while nobody watches.
   */
  watch(trace: Trace): () => void {
    this.#traces.add(trace)
    this.#applyTraces()
    return () => {
      this.#traces.delete(trace)
      this.#applyTraces()
    }
  }

  /**
   * Ends the lanes: what is under way is dropped, and so is what comes. The first that each drops from now on is
   * logged, and no more.
   */
  close(): void {
    this.#closed = true
    for (const lane of this.lanes()) lane.close()
    clearTimeout(this.#dropTimer)
    this.#dropTimer = undefined
    this.#silenced.clear()
  }

  #applyTraces(): void {
    const traces = [...this.#traces]
    const showAll: Trace = (lane, message, outcome) => {
      for (const trace of traces) this.#show(trace, lane, message, outcome)
    }
    for (const lane of this.lanes()) lane.trace = traces.length === 0 ? undefined : showAll
  }

  /** Who only watches must not harm what is watched: a trace that throws is not called again. */
  #show(trace: Trace, lane: Lane, message: Message, outcome: Outcome): void {
    try {
      trace(lane, message, outcome)
    } catch (err) {
      this.#log.error({ err }, 'a trace failed and is ended')
      this.#traces.delete(trace)
      this.#applyTraces()
    }
  }

  readonly #onDrop = (lane: Lane, reason: DropReason, error: unknown): void => {
    const silenced = this.#silenced.get(lane)
    if (silenced !== undefined) {
      this.#silenced.set(lane, silenced + 1)
      return
    }
    this.#silenced.set(lane, 0)
    this.#scheduleReport()
    const why = error === undefined ? (lane.target.reason ?? reason) : reasonOf(error)
    this.#log.warn({ source: lane.source, target: lane.target.name, reason, why }, 'message dropped')
  }

  readonly #onDeadLetterRefused = (lane: Lane, error: unknown): void => {
    const now = performance.now()
    if (now - (this.#refusedAt.get(lane) ?? -Infinity) < DROP_LOG_INTERVAL) return
    this.#refusedAt.set(lane, now)
    const { source, target, delivery } = lane
    const fields = { source, target: target.name, deadLetter: delivery.deadLetter, why: reasonOf(error) }
    this.#log.warn(fields, 'a dead letter cannot be written: it waits')
  }

  readonly #reportDrops = (): void => {
    this.#dropTimer = undefined
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
    if (this.#silenced.size > 0) this.#scheduleReport()
  }

  #scheduleReport(): void {
    if (!this.#closed) this.#dropTimer ??= setTimeout(this.#reportDrops, DROP_LOG_INTERVAL).unref()
  }
}
