/**
 * Floor 5. What the application sees of the relay: `fastify.araldo`. Endpoints with their states, routes with their
 * counters, publish and subscribe; and the relay's life, which the plugin ties to the server's.
 */
import type { Config } from './config.ts'
import { abortable, within } from './deadline.ts'
import type { Endpoint } from './endpoint.ts'
import { AppEndpoint, type IterateOptions, type MessageHandler, type SubscribeOptions } from './endpoints/app.ts'
import { errors } from './errors.ts'
import { instanceOf } from './hops.ts'
import type { Trace } from './lane.ts'
import type { Message } from './message.ts'
import { Router, type RouterLog } from './router.ts'
import type { Headers, Settle } from './types.ts'
import type { EndpointView, RelayView, RouteView } from './view.ts'

export interface PublishOptions {
  readonly topic?: string
  readonly key?: string
  readonly headers?: Headers
  /** A stable id, for receivers that are idempotent; made up if left out. */
  readonly id?: string
  /** Ends the wait, not the message: a target that is down gets it when it is back, if the lane keeps it that long. */
  readonly signal?: AbortSignal
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
}

/** How long the start waits for endpoints' first attempts (milliseconds), so that a relay of live brokers starts up. */
const FIRST_ATTEMPTS = 250

/** Of the time that the end may take, endpoints have so much (milliseconds) to close their links in order. */
const STOP_RESERVE = 3_000

export class Relay implements Araldo {
  readonly endpoints: ReadonlyMap<string, Endpoint>
  readonly router: Router
  readonly config: Config
  #closing: Promise<void> | undefined

  /** @param endpoints by name, one for each that the config declares. */
  constructor(config: Config, endpoints: ReadonlyMap<string, Endpoint>, log: RouterLog) {
    this.config = config
    this.endpoints = endpoints
    this.router = new Router(endpoints, config.routes, log, instanceOf(config))
  }

  get routes(): readonly RouteView[] {
    return [...this.router.routes.values()].map(({ source, lanes }) => ({
      source,
      lanes: lanes.map(({ target, optional, delivery, steps, ledger, messages, bytes, retries, looped }) => ({
        target: target.name,
        optional,
        guarantee: delivery.guarantee,
        overflow: delivery.overflow,
        steps: steps.map((step) => step.name),
        ledger: ledger.snapshot(),
        outbox: { messages, bytes },
        retries,
        looped,
      })),
    }))
  }

  get closing(): boolean {
    return this.#closing !== undefined
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

  /**
   * Starts every endpoint, targets first. Resolves when the first attempts have ended or 250 ms have passed: a broker
   * that is down never blocks boot. Waits for those that the config calls required.
   * @param timeout milliseconds for required endpoints.
   * @throws ARALDO_ERR_ENDPOINT_REQUIRED
   */
  async start(timeout: number): Promise<void> {
    if (this.closing) return
    const endpoints = [...this.endpoints.values()]
    const firsts = endpoints.map((endpoint) => firstAttempt(endpoint))
    const isSource = (endpoint: Endpoint): boolean => this.router.routes.has(endpoint.name)
    for (const endpoint of endpoints) if (!isSource(endpoint)) endpoint.start()
    for (const endpoint of endpoints) endpoint.start()
    await within(FIRST_ATTEMPTS, Promise.all(firsts))
    const required = this.config.endpoints.filter((endpoint) => endpoint.required)
    await Promise.all(required.map(({ name }) => (this.endpoints.get(name) as Endpoint).whenUp(timeout)))
  }

  /**
   * Ends the relay in order: nothing new comes in, what is under way is delivered as far as there is time, the rest is
   * told to its sources as `closing`, the links are closed. The second call waits for the first. Never rejects.
   * @param timeout milliseconds for all of it.
   */
  close(timeout: number): Promise<void> {
    return (this.#closing ??= this.#close(timeout))
  }

  async #close(timeout: number): Promise<void> {
    const deadline = performance.now() + timeout
    const left = (reserve = 0): number => Math.max(0, deadline - performance.now() - reserve)
    const endpoints = [...this.endpoints.values()]
    const forEndpoints = Math.min(STOP_RESERVE, timeout / 2)
    await within(left(forEndpoints), Promise.all(endpoints.map((endpoint) => endpoint.pause())))
    await within(left(forEndpoints), this.router.whenEmpty())
    // Before the endpoints: what is left is settled by sources that still have their link.
    this.router.close()
    await within(left(), Promise.all(endpoints.map((endpoint) => endpoint.stop())))
  }

  #endpoint(name: string): Endpoint {
    const endpoint = this.endpoints.get(name)
    if (endpoint === undefined) throw new errors.UNKNOWN_ENDPOINT(name, [...this.endpoints.keys()].join(', '))
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
