/**
 * Floor 2. The contract between the relay and an endpoint, and the base class that keeps its states.
 *
 * A type writes {@link Endpoint.connect}, {@link Endpoint.send} and {@link Endpoint.disconnect}, calls
 * {@link Endpoint.receive} for each message that comes in and {@link Endpoint.lost} when its link breaks. The base owns
 * the rest: states, timeouts, reconnection with backoff, and closing at any moment.
 *
 *     connecting -> up -> down -> connecting -> … -> closing -> closed
 */
import type {
  FastifyBaseLogger,
  FastifyInstance,
  onRequestAsyncHookHandler,
  preHandlerAsyncHookHandler,
  preValidationAsyncHookHandler,
} from 'fastify'
import { within } from './deadline.ts'
import { errors, reasonOf } from './errors.ts'
import { type Marshaller, Message, type MessageInit } from './message.ts'
import { Backoff } from './retry.ts'
import type { Capabilities, EndpointState, JsonSchema, Settle } from './types.ts'

/** An attempt to connect that takes longer (milliseconds) has failed. */
const CONNECT_TIMEOUT = 10_000
/** No wait between two attempts is longer (milliseconds): a broker that is back is in use again within 5 s. */
const MAX_RECONNECT_DELAY = 3_000
/** How long a {@link Endpoint.connect} that was told to give up may take before it is left to itself (milliseconds). */
const GIVE_UP_TIMEOUT = 1_000
/** A {@link Endpoint.disconnect} that takes longer (milliseconds) is left to itself. */
const DISCONNECT_TIMEOUT = 5_000
/** A link that held this long (milliseconds) starts the next backoff from the beginning. */
const STABLE_AFTER = 10_000

/** Hooks of the host for one endpoint's own route: authentication, rate limits. Given in code, not in the config. */
export interface EndpointHooks {
  readonly onRequest?: onRequestAsyncHookHandler | onRequestAsyncHookHandler[]
  readonly preValidation?: preValidationAsyncHookHandler | preValidationAsyncHookHandler[]
  readonly preHandler?: preHandlerAsyncHookHandler | preHandlerAsyncHookHandler[]
}

/** What the relay hands to an endpoint type's plugin for one declared endpoint. */
export interface EndpointContext<Options extends object = object> {
  /** As declared, unique in the relay. */
  readonly name: string
  /** The type's id. */
  readonly type: string
  /** The endpoint's own parameters, validated by the type's schema: defaults filled in, sizes in bytes, durations in milliseconds. */
  readonly options: Readonly<Options>
  readonly capabilities: Capabilities
  /** The declared marshaller; JSON where none is. */
  readonly marshaller: Marshaller
  /** Bound to `{ endpoint, type }`. */
  readonly log: FastifyBaseLogger
  readonly hooks: EndpointHooks
  /** Absolute; what relative paths in the options are relative to: the config file's folder. */
  readonly directory: string
  /** One value for all endpoints of this type in this relay: a connection that they share, a channel table. */
  shared<Value>(key: string, create: () => Value): Value
  /** Must be called once, before the type's plugin resolves. */
  attach(endpoint: Endpoint): void
}

/** An endpoint type: a Fastify plugin that knows one protocol. Made with {@link defineEndpoint}. */
export interface EndpointType<Options extends object = object> {
  /** `endpoint-…`: what a config names. */
  readonly id: string
  /** One sentence for the docs and the editors. */
  readonly description?: string
  /** The type's own parameters: an object schema with `properties`; unknown keys are refused whatever it says. */
  readonly schema: JsonSchema
  /** Its plugin adds WebSocket routes: @fastify/websocket is there before it runs. */
  readonly websocket?: boolean
  /** What an endpoint with these options can do. Called with validated options, before anything runs; pure. */
  capabilities(options: Readonly<Options>): Capabilities
  /**
   * Errors of meaning that a schema cannot say: `{ path: 'channel', message: 'excludes pattern' }`. Called with
   * validated options; pure.
   */
  check?(options: Readonly<Options>): Iterable<OptionIssue>
  /**
   * Runs once per endpoint in a scope of its own: what it decorates or hooks stays its own. Calls `context.attach`.
   * Must not wait for a peer: a broker that is down never blocks boot.
   */
  plugin(scope: FastifyInstance, context: EndpointContext<Options>): Promise<void>
}

export interface OptionIssue {
  /** The option's key; `''` for the endpoint as a whole. */
  readonly path: string
  readonly message: string
}

/** Gives an endpoint type its TypeScript types; returns it as it is. */
export function defineEndpoint<Options extends object>(type: EndpointType<Options>): EndpointType<Options> {
  return type
}

/** A marshaller type. Made with {@link defineMarshaller}. */
export interface MarshallerType<Options extends object = object> {
  /** `marshal-…`: what a config names. */
  readonly id: string
  readonly description?: string
  readonly schema: JsonSchema
  /** @param directory absolute; what relative paths in the options are relative to. */
  create(options: Readonly<Options>, directory: string): Marshaller | Promise<Marshaller>
}

/** Gives a marshaller type its TypeScript types; returns it as it is. */
export function defineMarshaller<Options extends object>(type: MarshallerType<Options>): MarshallerType<Options> {
  return type
}

/** How the router takes a source's messages in. */
export type Accept = (message: Message, settle?: Settle) => void

/** Counters only ever grow; gauges come and go. Both are read when metrics are, never per message. */
export type Figures = Record<string, number>

export abstract class Endpoint<Options extends object = object> {
  readonly name: string
  readonly type: string
  readonly options: Readonly<Options>
  readonly capabilities: Capabilities
  readonly marshaller: Marshaller
  protected readonly log: FastifyBaseLogger
  /** A type adds its own: `this.counters.retained = 0`. Metrics show each as `araldo_endpoint_<key>_total`. */
  readonly counters: Figures & {
    received: number
    receivedBytes: number
    connects: number
    failures: number
    decodeErrors: number
  } = { received: 0, receivedBytes: 0, connects: 0, failures: 0, decodeErrors: 0 }

  #state: EndpointState = 'connecting'
  #reason: string | undefined = 'not started'
  #accept: Accept | undefined
  #accepting = false
  #ending = false
  readonly #backoff = new Backoff({ maxDelay: MAX_RECONNECT_DELAY })
  /** Grows with each attempt, loss and stop: what an older one still reports is ignored. */
  #generation = 0
  #abort: AbortController | undefined
  #timer: NodeJS.Timeout | undefined
  #upSince = 0
  /** Settles when the last {@link connect} has. */
  #connecting: Promise<unknown> = Promise.resolve()
  /** Settles when the last {@link disconnect} has: one runs at a time, and none beside a connect. */
  #disconnecting: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined
  /** The reason that was logged last: a broker that stays away is not a line in the log every three seconds. */
  #reported: string | undefined
  readonly #listeners = new Set<(state: EndpointState, reason: string | undefined) => void>()

  constructor(context: EndpointContext<Options>) {
    this.name = context.name
    this.type = context.type
    this.options = context.options
    this.capabilities = context.capabilities
    this.marshaller = context.marshaller
    this.log = context.log
  }

  // ── What a type writes ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Opens the link and resolves when messages can go both ways. Never called again before {@link disconnect} has
   * resolved. Until it has resolved, `signal` aborts after 10 s, on {@link lost} and on {@link stop}: then give up and
   * reject.
   */
  protected abstract connect(signal: AbortSignal): void | Promise<void>

  /**
   * Closes whatever is left of the link: after a failed {@link connect}, after {@link lost}, and at the end. Called
   * when connect has settled (or 1 s after its signal, if it goes on regardless), and never twice at once. Remove the
   * link's listeners here: what an old link still says must not reach a new one. Must not throw, and must not wait for
   * a peer that does not answer.
   */
  protected abstract disconnect(): void | Promise<void>

  /**
   * Hands one message to the peer. Called only while the endpoint is up, never re-entered for one message.
   *
   * Without `confirm` in its capabilities, to return means delivered. With it, the type calls `settle` once: `null`
   * when the peer has confirmed, an error when it has not. To throw means that the message was not taken; whether it
   * may be tried again is the error's `retryable`.
   */
  send(_message: Message, _settle?: Settle): void {
    throw new errors.NOT_A_TARGET(this.name, this.type)
  }

  /** The relay is about to stop: take nothing new in, but keep the link, so that what is under way can end. */
  protected quiesce(): void | Promise<void> {}

  /** Figures that come and go, read when metrics are: `{ connections: 12 }`. */
  get gauges(): Figures {
    return {}
  }

  // ── What a type calls ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A message came in. The relay settles it when `settle` is given; what comes in while closing is rejected. */
  protected receive(message: Message, settle?: Settle): void {
    if (!this.#accepting) {
      settle?.(this.#ending ? new errors.CLOSING() : new errors.ENDPOINT_DOWN(this.name, 'not started'))
      return
    }
    this.counters.received++
    this.counters.receivedBytes += message.byteLength
    if (this.#accept !== undefined) this.#accept(message, settle)
    else settle?.(new errors.NOT_A_SOURCE(this.name))
  }

  /** Whether a route begins here. Where none does, what comes in goes nowhere: a type need not fetch anything. */
  protected get hasRoute(): boolean {
    return this.#accept !== undefined
  }

  /** A message of this endpoint: `source` and `marshaller` are its own. */
  protected message(init: Omit<MessageInit, 'source' | 'marshaller'>): Message {
    return new Message({ source: this.name, marshaller: this.marshaller, ...init })
  }

  /** The link broke. The endpoint goes down and connects anew after a while. Ignored when it is not open or opening. */
  protected lost(error: unknown): void {
    if (this.#state === 'up' || this.#abort !== undefined) this.#fail(this.#generation, error)
  }

  // ── What the relay calls ──────────────────────────────────────────────────────────────────────────────────────────

  get state(): EndpointState {
    return this.#state
  }

  /** Why it is not up, in words for people; undefined while it is. Never holds a secret of the config. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** Where this source's messages go. Set once, before {@link start}. */
  bind(accept: Accept): void {
    this.#accept = accept
  }

  /** The application feeds a message in, as if it had come in by this endpoint. */
  inject(init: Omit<MessageInit, 'source' | 'marshaller'>, settle?: Settle): Message {
    const message = this.message(init)
    this.receive(message, settle)
    return message
  }

  /**
   * @param listener must not throw.
   * @returns a function that ends the listening.
   */
  onState(listener: (state: EndpointState, reason: string | undefined) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Begins to connect; returns at once. */
  start(): void {
    if (this.#ending || this.#generation > 0) return
    this.#accepting = true
    this.#attempt()
  }

  /**
   * Resolves when the endpoint is up.
   * @throws ARALDO_ERR_ENDPOINT_REQUIRED when it is not within `timeout` milliseconds, or is closed meanwhile.
   */
  async whenUp(timeout: number): Promise<void> {
    if (this.#state === 'up') return
    if (this.#ending) throw new errors.ENDPOINT_REQUIRED(this.name, this.#reason ?? 'closing')
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(timer)
        unlisten()
        if (error === undefined) resolve()
        else reject(error)
      }
      const give = (): void => settle(new errors.ENDPOINT_REQUIRED(this.name, this.#reason ?? 'closed'))
      const timer = setTimeout(give, timeout)
      const unlisten = this.onState((state) => {
        if (state === 'up') settle()
        else if (state === 'closing' || state === 'closed') give()
      })
    })
  }

  /** First half of an orderly end: nothing new comes in, the link stays. */
  async pause(): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    try {
      await this.quiesce()
    } catch (err) {
      this.log.warn({ err }, 'could not stop taking messages in')
    }
    this.#accepting = false
  }

  /** Ends it, from any state; the second call waits for the first. Never rejects. */
  stop(): Promise<void> {
    this.#ending = true
    return (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    // Not before `#stopped` is there: a listener may call stop() again.
    await Promise.resolve()
    this.#generation++
    clearTimeout(this.#timer)
    this.#accepting = false
    this.#set('closing', 'closing')
    this.#abort?.abort(new errors.CLOSING())
    this.#abort = undefined
    await this.#cleanUp()
    this.#set('closed', 'closed')
    this.#listeners.clear()
  }

  #attempt(): void {
    const generation = ++this.#generation
    const abort = new AbortController()
    this.#abort = abort
    this.#set('connecting', generation === 1 ? 'connecting for the first time' : this.#reason)
    if (generation !== this.#generation) return
    this.#timer = setTimeout(() => {
      this.#fail(generation, new errors.CONNECT_TIMEOUT(this.name, CONNECT_TIMEOUT))
    }, CONNECT_TIMEOUT)
    let connecting: void | Promise<void>
    try {
      connecting = this.connect(abort.signal)
    } catch (error) {
      this.#fail(generation, error)
      return
    }
    if (connecting === undefined) {
      this.#up(generation)
      return
    }
    this.#connecting = connecting.then(
      () => this.#up(generation),
      (error: unknown) => this.#fail(generation, error),
    )
  }

  #up(generation: number): void {
    if (generation !== this.#generation) return
    clearTimeout(this.#timer)
    this.#abort = undefined
    this.#upSince = performance.now()
    this.counters.connects++
    this.#set('up', undefined)
  }

  #fail(generation: number, error: unknown): void {
    if (generation !== this.#generation) return
    const failed = ++this.#generation
    const abort = this.#abort
    this.#abort = undefined
    clearTimeout(this.#timer)
    if (this.#state === 'up' && performance.now() - this.#upSince >= STABLE_AFTER) this.#backoff.reset()
    this.counters.failures++
    this.#set('down', reasonOf(error))
    abort?.abort(error)
    // A listener may have called stop().
    if (failed !== this.#generation) return
    void this.#cleanUp().then(() => {
      if (failed !== this.#generation) return
      this.#timer = setTimeout(() => this.#attempt(), this.#backoff.next())
    })
  }

  #cleanUp(): Promise<void> {
    return (this.#disconnecting = this.#disconnecting.then(async () => {
      try {
        await within(GIVE_UP_TIMEOUT, this.#connecting)
        const ended = await within(DISCONNECT_TIMEOUT, this.disconnect())
        if (!ended) this.log.warn('closing the connection takes too long: it is left to itself')
      } catch (err) {
        this.log.warn({ err }, 'could not close the connection in order')
      }
    }))
  }

  #set(state: EndpointState, reason: string | undefined): void {
    if (state === this.#state && reason === this.#reason) return
    this.#state = state
    this.#reason = reason
    if (state === 'up') {
      this.#reported = undefined
      this.log.info('up')
    } else if (state === 'down' && reason !== this.#reported) {
      this.#reported = reason
      this.log.warn({ reason }, 'down')
    }
    for (const listener of this.#listeners) listener(state, reason)
  }
}
