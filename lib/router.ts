/**
 * Floor 4. The router: routes compiled to flat arrays of lanes, one array per source, and exchanged while they run.
 *
 * Knows the Endpoint contract only: no Fastify, no protocol. Per message it runs a loop over the lanes (route.ts); it
 * allocates only when the source wants to know what became of the message.
 */
import type { LaneConfig, RouteConfig } from './config.ts'
import { within } from './deadline.ts'
import type { Endpoint } from './endpoint.ts'
import { laneFingerprint } from './reload/fingerprint.ts'
import { carriesHops, HopGuard, randomInstance } from './hops.ts'
import { Lane, type Outcome, type Trace } from './delivery/lane.ts'
import { type LaneFigures, LaneHistory } from './delivery/lane-history.ts'
import { LaneLog, type RouterLog } from './delivery/lane-log.ts'
import type { Message } from './message.ts'
import { Route } from './route.ts'
import { compileSteps } from './steps.ts'

export type { RouterLog }

/** Routes that are made and not in use yet: see {@link Router.plan}. */
export interface RoutePlan {
  readonly routes: readonly PlannedRoute[]
  /** Lanes that were made for it. */
  readonly made: readonly Lane[]
  /** Sources that it has bound. */
  readonly bound: readonly Endpoint[]
}

interface PlannedRoute {
  readonly route: Route
  readonly source: Endpoint
  readonly lanes: readonly Lane[]
}

/** What a lane was made from: the same again is the same lane. */
interface Origin {
  readonly source: Endpoint
  readonly deadLetters: Endpoint | undefined
  readonly fingerprint: string
}

/** What waits to be tried again in an old lane does not keep a new one back for longer (milliseconds). */
const MAX_FOLLOWING = 1_000
/** How long a retired lane's journal may take to write what it has and to be let go of (milliseconds). */
const MAX_LETTING_GO = 5_000

export class Router {
  readonly #routes = new Map<string, Route>()
  readonly #sources = new Map<string, Endpoint>()
  readonly #origins = new WeakMap<Lane, Origin>()
  /** Lanes of routes that there were: they take nothing in any more, and end with what they hold. */
  readonly #retired = new Set<Lane>()
  readonly #history = new LaneHistory()
  readonly #log: RouterLog
  readonly #instance: string
  readonly #traces = new Set<Trace>()
  readonly #laneLog: LaneLog

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
    this.#laneLog = new LaneLog(log)
    this.#instance = instance
    this.apply(this.plan(endpoints, configs), new Set())
  }

  /** By source, in the order of the config. Live. */
  get routes(): ReadonlyMap<string, Route> {
    return this.#routes
  }

  /**
   * Makes what other routes need and is not there; what is there stays as it is and in use. A lane lives on where its
   * ends are the same endpoints and it does the same. Sources that had no route are bound to one that refuses what
   * comes in, so that they can be started: {@link apply} opens it, {@link discard} takes it back.
   */
  plan(endpoints: ReadonlyMap<string, Endpoint>, configs: readonly RouteConfig[]): RoutePlan {
    const made: Lane[] = []
    const bound: Endpoint[] = []
    const routes = configs.map(({ source: name, lanes }): PlannedRoute => {
      const source = endpoints.get(name) as Endpoint
      const isKnown = this.#sources.get(name) === source
      const route = isKnown ? (this.#routes.get(name) as Route) : new Route(name, this.#log)
      if (!isKnown) {
        source.bind((message, settle) => route.accept(message, settle))
        bound.push(source)
      }
      const known = isKnown ? route.lanes : []
      return { route, source, lanes: lanes.map((lane) => this.#lane(lane, source, endpoints, known, made)) }
    })
    return { routes, made, bound }
  }

  /**
   * Puts a plan to work, within the turn: each message goes by the old routes or by the new ones.
   * @param leaving endpoints that are about to end: what they still bring goes on by the routes that they had.
   * @returns lanes that there are not any more: see {@link retire}.
   */
  apply({ routes, made }: RoutePlan, leaving: ReadonlySet<Endpoint>): readonly Lane[] {
    const staying = new Set(routes.flatMap(({ lanes }) => lanes))
    const retired = [...this.lanes()].filter((lane) => !staying.has(lane))
    for (const lane of made) {
      this.#handOver(lane, retired)
      this.#follow(lane, retired)
    }
    const sources = new Set(routes.map(({ source }) => source))
    for (const source of this.#sources.values()) {
      if (!sources.has(source) && !leaving.has(source)) source.bind(undefined)
    }
    this.#routes.clear()
    this.#sources.clear()
    for (const { route, source, lanes } of routes) {
      route.open(lanes)
      this.#routes.set(route.source, route)
      this.#sources.set(route.source, source)
    }
    for (const lane of retired) {
      this.#retired.add(lane)
      this.#history.add(lane)
    }
    this.#history.keep(staying)
    this.#applyTraces()
    return retired
  }

  /** What the old lane between the same two holds goes before what the new one gets: a key keeps its order. */
  #follow(lane: Lane, retired: readonly Lane[]): void {
    const earlier = retired.find(({ source, target }) => source === lane.source && target === lane.target)
    if (earlier === undefined || earlier.messages === 0) return
    lane.follow(within(MAX_FOLLOWING, earlier.whenEmpty()))
  }

  /** Takes a plan back that was not applied. Resolves when its journals have been let go of. */
  async discard({ made, bound }: RoutePlan): Promise<void> {
    for (const lane of made) lane.close()
    for (const source of bound) source.bind(undefined)
    await Promise.all(made.map((lane) => lane.whenClosed()))
  }

  /**
   * Opens the journals of a plan's lanes that no other lane has open: what fails does so before {@link apply}, which
   * opens the others.
   * @throws ARALDO_ERR_JOURNAL_LOCKED, ARALDO_ERR_JOURNAL_UNUSABLE
   */
  async open({ made }: RoutePlan): Promise<void> {
    const lanes = this.#all()
    await Promise.all(made.map(async (lane) => !lanes.some((other) => haveOneJournal(lane, other)) && lane.open()))
  }

  /** The same for all lanes at start. */
  async start(): Promise<void> {
    await Promise.all([...this.lanes()].map((lane) => lane.open()))
  }

  /** A lane's journal goes from the old to the new with all that is in it, and with what steps still have for it. */
  #handOver(lane: Lane, retired: readonly Lane[]): void {
    const earlier = retired.find((other) => haveOneJournal(lane, other))
    if (earlier === undefined) return
    const isStaged = earlier.staged > 0
    if (!isStaged) earlier.close()
    const whenClosed = async (): Promise<void> => {
      if (isStaged) await within(MAX_FOLLOWING, earlier.whenEmpty())
      earlier.close()
      await earlier.whenClosed()
    }
    lane.open({ whenClosed }).catch((err: unknown) => {
      this.#log.error({ err, source: lane.source, target: lane.target.name }, 'the lane takes nothing in')
    })
  }

  /**
   * Resolves when the lanes that {@link apply} returned have delivered what they held, or `timeout` milliseconds have
   * passed; then they are closed: what is left is told to its sources as `closing`.
   */
  async retire(lanes: readonly Lane[], timeout: number): Promise<void> {
    await within(timeout, Promise.all(lanes.map((lane) => lane.whenEmpty())))
    for (const lane of lanes) lane.close()
    // A disk that hangs must not keep the next reload, or the end, waiting for ever: its lock says that it is in use.
    await within(MAX_LETTING_GO, Promise.all(lanes.map((lane) => lane.whenClosed())))
    for (const lane of lanes) {
      this.#retired.delete(lane)
      this.#history.end(lane)
      this.#laneLog.forget(lane)
    }
  }

  #lane(
    config: LaneConfig,
    source: Endpoint,
    endpoints: ReadonlyMap<string, Endpoint>,
    known: readonly Lane[],
    made: Lane[],
  ): Lane {
    const { delivery, optional, wiretap } = config
    const target = endpoints.get(config.to) as Endpoint
    const deadLetters = delivery.deadLetter === undefined ? undefined : endpoints.get(delivery.deadLetter)
    const fingerprint = laneFingerprint(config)
    const same = known.find((lane) => {
      const origin = this.#origins.get(lane)
      return lane.target === target && origin?.deadLetters === deadLetters && origin?.fingerprint === fingerprint
    })
    if (same !== undefined) return same
    const lane = new Lane({
      source,
      target,
      ...compileSteps(config.steps),
      hops: this.#hopGuard(source.name, config, target),
      optional,
      wiretap,
      delivery,
      deadLetters,
      log: this.#log,
      onDrop: this.#laneLog.onDrop,
      onDeadLetterRefused: this.#laneLog.onDeadLetterRefused,
    })
    this.#origins.set(lane, { source, deadLetters, fingerprint })
    made.push(lane)
    return lane
  }

  #hopGuard(source: string, lane: LaneConfig, target: Endpoint): HopGuard | undefined {
    if (lane.mayLoop === true || !carriesHops(target.capabilities.target)) return undefined
    const text = 'a message came round: it is not delivered twice. This is logged once, and counted as looped'
    const onFirstLoop = (): void => this.#log.info({ source, target: target.name }, text)
    return new HopGuard({ instance: this.#instance, endpoint: target.name, onFirstLoop })
  }

  /** Those that messages go into. */
  *lanes(): IterableIterator<Lane> {
    for (const route of this.#routes.values()) yield* route.lanes
  }

  /** A lane's figures, with those of lanes that it has replaced. */
  figuresOf(lane: Lane): LaneFigures {
    return this.#history.of(lane)
  }

  /** Messages that are under way in lanes, retired ones too. */
  get messages(): number {
    let total = 0
    for (const lane of this.#all()) total += lane.messages
    return total
  }

  /** Resolves when nothing is under way in any lane that was so at the call. */
  async whenEmpty(): Promise<void> {
    await Promise.all(this.#all().map((lane) => lane.whenEmpty()))
  }

  /** Sends nothing more. Resolves when the targets have answered for all that they have. */
  async rest(): Promise<void> {
    await Promise.all(this.#all().map((lane) => lane.rest()))
  }

  #all(): Lane[] {
    return [...this.lanes(), ...this.#retired]
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
    for (const lane of this.#all()) lane.close()
    this.#laneLog.close()
  }

  /** After {@link close}: resolves when all journals have been let go of. */
  async whenClosed(): Promise<void> {
    await Promise.all(this.#all().map((lane) => lane.whenClosed()))
  }

  #applyTraces(): void {
    const traces = [...this.#traces]
    const showAll: Trace = (lane, message, outcome) => {
      for (const trace of traces) this.#show(trace, lane, message, outcome)
    }
    for (const lane of this.#all()) lane.trace = traces.length === 0 ? undefined : showAll
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
}

function haveOneJournal(one: Lane, other: Lane): boolean {
  const { durable } = one.delivery
  return durable !== undefined && durable.path === other.delivery.durable?.path
}
