/**
 * Floor 5. What the application sees of the relay: `fastify.araldo`. Endpoints with their states, routes with their
 * counters, publish and subscribe; and the relay's life, which the plugin ties to the server's: start, replacement of a
 * part while the rest runs, end.
 */
import type { Config } from './config.ts'
import { abortable, within } from './deadline.ts'
import type { Endpoint } from './endpoint.ts'
import { AppEndpoint, type IterateOptions, type MessageHandler, type SubscribeOptions } from './endpoints/app.ts'
import { errors } from './errors.ts'
import { instanceOf } from './hops.ts'
import type { Lane, Trace } from './delivery/lane.ts'
import type { Message } from './message.ts'
import type { ConfigDiff } from './reload/diff.ts'
import { type RoutePlan, Router, type RouterLog } from './router.ts'
import type { Headers, Settle } from './types.ts'
import type { ConfigurationView, EndpointView, LaneView, RelayView, RouteView } from './view.ts'

export interface PublishOptions {
  readonly topic?: string
  readonly key?: string
  readonly headers?: Headers
  /** A stable id, for receivers that are idempotent; made up if left out. */
  readonly id?: string
  /** Ends the wait, not the message: a target that is down gets it when it is back, if the lane keeps it that long. */
  readonly signal?: AbortSignal
}

/** What a reload has done. */
export interface Reloaded {
  /** Of the config that holds now: the one in health and metrics. */
  readonly hash: string
  readonly diff: ConfigDiff
  /** Resolves when what was replaced has delivered what it held, and has ended; never rejects. */
  readonly drained: Promise<void>
}

/** `fastify.araldo`. */
export interface Araldo extends RelayView {
  readonly endpoints: ReadonlyMap<string, EndpointView>
  /**
   * Feeds a message in at a source endpoint, as if it had come in there, and resolves to its id when every required
   * lane has come to its end with it: while a target is down, the message waits in the lane's outbox.
   * @param body any value that the endpoint's marshaller can encode; bytes (Uint8Array) are taken as the payload itself.
   * @throws ARALDO_ERR_UNDELIVERED, and what it was is in `cause`; ARALDO_ERR_UNKNOWN_ENDPOINT, ARALDO_ERR_NOT_A_SOURCE.
   */
  publish(endpoint: string, body: unknown, options?: PublishOptions): Promise<string>
  /**
   * Makes the application a target: `handler` is called with each message that is routed to the endpoint-app.
   * @returns a function that ends the subscription.
   */
  subscribe(endpoint: string, handler: MessageHandler, options?: SubscribeOptions): () => void
  /** The same as an async iterator: `for await (const message of fastify.araldo.subscribe('audit'))`. */
  subscribe(endpoint: string, options?: IterateOptions): AsyncIterableIterator<Message>
  /**
   * Puts another config to work while everything runs. Endpoints and lanes that it leaves as they are go on as they
   * are, with their connections and what waits in them; the others are replaced, the new before the old has ended.
   * Either all of it happens, or nothing: then it rejects, and the config that held before still does.
   * @param config a path, YAML text, or an object of the same shape. Left out: the file that was loaded at first.
   * @throws ARALDO_ERR_CONFIG, ARALDO_ERR_RELOAD_REFUSED, ARALDO_ERR_RELOADING, ARALDO_ERR_CLOSING and what types throw
   */
  reload(config?: string | object): Promise<Reloaded>
}

/** What a reload does to the relay, within one turn. */
export interface Replacement {
  readonly config: Config
  readonly hash: string
  /** All of them, by name; those that stay are the same objects. */
  readonly endpoints: ReadonlyMap<string, Endpoint>
  readonly plan: RoutePlan
}

/** What a replacement left over: it takes nothing in any more, and ends with what it holds. */
export interface Leftover {
  readonly endpoints: readonly Endpoint[]
  readonly lanes: readonly Lane[]
}

/** Does what {@link Araldo.reload} is asked for. */
export type Reload = (config: string | object | undefined) => Promise<Reloaded>

/** How long the start waits for endpoints' first attempts (milliseconds), so that a relay of live brokers starts up. */
const FIRST_ATTEMPTS = 250

/** Of the time that the end may take, endpoints have so much (milliseconds) to close their links in order. */
const STOP_RESERVE = 3_000

/** How long what targets have in hand at the end is waited for (milliseconds). */
const ANSWER_TIMEOUT = 1_000

export class Relay implements Araldo {
  readonly router: Router
  readonly #endpoints: Map<string, Endpoint>
  /** Endpoints that a reload has taken out, until they have ended. */
  readonly #leaving = new Set<Endpoint>()
  readonly #log: RouterLog
  #config: Config
  #hash: string
  #loadedAt = Date.now()
  readonly #reloads = { applied: 0, refused: 0 }
  #isStarted = false
  /** The one that is under way. */
  #reloading: Promise<Reloaded> | undefined
  #closing: Promise<void> | undefined
  readonly #ending = new AbortController()
  /** Set by the plugin; without it the config stays as it is. */
  onReload: Reload | undefined

  /**
   * @param endpoints by name, one for each that the config declares.
   * @param hash the config's.
   */
  constructor(config: Config, endpoints: ReadonlyMap<string, Endpoint>, log: RouterLog, hash = '') {
    this.#config = config
    this.#hash = hash
    this.#endpoints = new Map(endpoints)
    this.#log = log
    this.router = new Router(this.#endpoints, config.routes, log, instanceOf(config))
  }

  get endpoints(): ReadonlyMap<string, Endpoint> {
    return this.#endpoints
  }

  get config(): Config {
    return this.#config
  }

  get configuration(): ConfigurationView {
    return { hash: this.#hash, loadedAt: this.#loadedAt, reloads: { ...this.#reloads } }
  }

  get routes(): readonly RouteView[] {
    return [...this.router.routes.values()].map(({ source, lanes }) => ({
      source,
      lanes: lanes.map((lane) => this.#viewOf(lane)),
    }))
  }

  #viewOf(lane: Lane): LaneView {
    const { target, optional, wiretap, delivery, steps } = lane
    const { ledger, outbox, retries, looped } = this.router.figuresOf(lane)
    return {
      target: target.name,
      optional,
      wiretap,
      guarantee: delivery.guarantee,
      overflow: delivery.overflow,
      steps: steps.map((step) => step.name),
      ledger,
      outbox,
      retries,
      looped,
    }
  }

  get closing(): boolean {
    return this.#closing !== undefined
  }

  /** Aborts when it begins to close. */
  get ending(): AbortSignal {
    return this.#ending.signal
  }

  async publish(name: string, body: unknown, options: PublishOptions = {}): Promise<string> {
    const { topic, key, headers, id, signal } = options
    signal?.throwIfAborted()
    const endpoint = this.#endpoint(name)
    if (!this.router.routes.has(name)) throw new errors.NOT_A_SOURCE(name)
    const content = body instanceof Uint8Array ? { payload: asBuffer(body) } : { body }
    let settle: Settle = () => {}
    const settled = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === null ? resolve() : reject(error))
    })
    const message = endpoint.inject({ ...content, topic, key, headers, id }, settle)
    await (signal === undefined ? settled : abortable(settled, signal))
    return message.id
  }

  subscribe(name: string, handler: MessageHandler, options?: SubscribeOptions): () => void
  subscribe(name: string, options?: IterateOptions): AsyncIterableIterator<Message>
  subscribe(
    name: string,
    handler?: MessageHandler | IterateOptions,
    options?: SubscribeOptions,
  ): (() => void) | AsyncIterableIterator<Message> {
    const endpoint = this.#endpoint(name)
    if (!(endpoint instanceof AppEndpoint)) throw new errors.NOT_AN_APP(name, endpoint.type)
    return typeof handler === 'function' ? endpoint.subscribe(handler, options) : endpoint.iterate(handler)
  }

  watch(trace: Trace): () => void {
    return this.router.watch(trace)
  }

  async reload(config?: string | object): Promise<Reloaded> {
    if (this.closing) throw new errors.CLOSING()
    if (!this.#isStarted || this.onReload === undefined)
      throw new errors.RELOAD_REFUSED('the relay has not started yet')
    if (this.#reloading !== undefined) throw new errors.RELOADING()
    this.#reloading = this.onReload(config)
    try {
      const reloaded = await this.#reloading
      this.#reloads.applied++
      this.#loadedAt = Date.now()
      return reloaded
    } catch (error) {
      this.#reloads.refused++
      throw error
    } finally {
      this.#reloading = undefined
    }
  }

  /**
   * Starts every endpoint, targets first. Resolves when the first attempts have ended or 250 ms have passed: a broker
   * that is down never blocks boot. Waits for those that the config calls required.
   * @param timeout milliseconds for required endpoints.
   * @throws ARALDO_ERR_ENDPOINT_REQUIRED, ARALDO_ERR_JOURNAL_LOCKED, ARALDO_ERR_JOURNAL_UNUSABLE
   */
  async start(timeout: number): Promise<void> {
    if (this.closing) return
    const endpoints = [...this.#endpoints.values()]
    const required = this.#config.endpoints.filter((endpoint) => endpoint.required)
    // What an earlier life has left goes first, and a disk that cannot be used must not be found out later.
    await this.router.start()
    await this.startThese(endpoints, FIRST_ATTEMPTS)
    await Promise.all(required.map(({ name }) => (this.#endpoints.get(name) as Endpoint).whenUp(timeout)))
    this.#isStarted = true
    for (const endpoint of endpoints) endpoint.announceBegin()
  }

  /** Starts endpoints, those that are no sources first, and waits for their first attempts, but not for long. */
  async startThese(endpoints: readonly Endpoint[], patience: number): Promise<void> {
    const firsts = endpoints.map((endpoint) => firstAttempt(endpoint))
    for (const endpoint of endpoints) if (!endpoint.hasRoute) endpoint.start()
    for (const endpoint of endpoints) endpoint.start()
    await within(patience, Promise.all(firsts))
  }

  /** Puts another config to work, within the turn. What is left over is to be {@link retire | retired} in the same turn. */
  replace({ config, hash, endpoints, plan }: Replacement): Leftover {
    const leaving = new Set([...this.#endpoints.values()].filter((each) => endpoints.get(each.name) !== each))
    const lanes = this.router.apply(plan, leaving)
    this.#endpoints.clear()
    for (const [name, endpoint] of endpoints) this.#endpoints.set(name, endpoint)
    for (const endpoint of leaving) this.#leaving.add(endpoint)
    this.#config = config
    this.#hash = hash
    return { endpoints: [...leaving], lanes }
  }

  /**
   * Lets what was replaced end in order: its endpoints take nothing in from this turn on, its lanes deliver what they
   * hold, by the endpoints that they had; what is left after `timeout` milliseconds is told to its sources as
   * `closing`. Never rejects.
   */
  async retire({ endpoints, lanes }: Leftover, timeout: number): Promise<void> {
    const deadline = performance.now() + timeout
    await within(timeout, Promise.all(endpoints.map((endpoint) => endpoint.pause())))
    await this.router.retire(lanes, Math.max(0, deadline - performance.now()))
    await within(STOP_RESERVE, Promise.all(endpoints.map((endpoint) => endpoint.stop())))
    for (const endpoint of endpoints) this.#leaving.delete(endpoint)
  }

  /**
   * Ends the relay in order: nothing new comes in, what is under way is delivered as far as there is time, the rest is
   * told to its sources as `closing`, the links are closed. The second call waits for the first. Never rejects.
   * @param timeout milliseconds for all of it.
   */
  close(timeout: number): Promise<void> {
    this.#ending.abort(new errors.CLOSING())
    return (this.#closing ??= this.#close(timeout))
  }

  async #close(timeout: number): Promise<void> {
    const deadline = performance.now() + timeout
    const left = (reserve = 0): number => Math.max(0, deadline - performance.now() - reserve)
    const endpoints = [...this.#endpoints.values(), ...this.#leaving]
    const forEndpoints = Math.min(STOP_RESERVE, timeout / 2)
    await within(left(forEndpoints), Promise.all(endpoints.map((endpoint) => endpoint.pause())))
    await within(left(forEndpoints), this.router.whenEmpty())
    // What a target has is not to be sent again only because the time was up before it could say so.
    await within(Math.min(ANSWER_TIMEOUT, left() / 2), this.router.rest())
    const { messages } = this.router
    if (messages > 0) this.#log.warn({ messages }, 'not everything could be delivered before the end')
    // Before the endpoints: what is left is settled by sources that still have their link.
    this.router.close()
    await within(left(forEndpoints), this.router.whenClosed())
    await within(left(), Promise.all(endpoints.map((endpoint) => endpoint.stop())))
    // It has seen that the relay closes, and takes back what it had begun.
    await within(
      left(),
      this.#reloading?.catch(() => {}),
    )
  }

  #endpoint(name: string): Endpoint {
    const endpoint = this.#endpoints.get(name)
    if (endpoint === undefined) throw new errors.UNKNOWN_ENDPOINT(name, [...this.#endpoints.keys()].join(', '))
    return endpoint
  }
}

/** Resolves when the endpoint has come up, gone down or been closed for the first time. */
function firstAttempt(endpoint: Endpoint): Promise<void> {
  return new Promise((resolve) => {
    const unlisten = endpoint.onState((state) => {
      if (state === 'connecting') return
      unlisten()
      resolve()
    })
  })
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
