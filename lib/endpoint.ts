/**
 * Floor 2. The contract between the relay and an endpoint, and the base class that keeps its states.
 *
 * A type writes {@link Endpoint.connect}, {@link Endpoint.send} and {@link Endpoint.disconnect}, calls
 * {@link Endpoint.receive} for each message that comes in and {@link Endpoint.lost} when its link breaks. The base owns
 * the rest: states, timeouts, reconnection with backoff, and closing at any moment (link.ts).
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { EndpointHooks } from './endpoint-hooks.ts'
import { errors } from './errors.ts'
import { Link, type StateListener } from './link.ts'
import { arriving, departing } from './marshaller-type.ts'
import { type Marshaller, type Message, type MessageInit, messageOf } from './message.ts'
import type { Capabilities, EndpointState, JsonSchema, Settle } from './types.ts'

export type { EndpointHooks } from './endpoint-hooks.ts'
export { defineMarshaller, type MarshallerType } from './marshaller-type.ts'

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
  /**
   * Libraries that the type imports once it is used, and that users install themselves, with the versions that will do:
   * `{ mqtt: '5' }`. A config that needs one that is missing, or there in another major version, is refused with the
   * command that installs it. They are imported by files that are themselves imported when the type is used, not before.
   */
  readonly packages?: Readonly<Record<string, string>>
  /** Its plugin adds WebSocket routes: @fastify/websocket is there before it runs. */
  readonly websocket?: boolean
  /**
   * It looks at {@link Endpoint.hasRoute} whenever a message comes in, or not at all: a reload may give it a route, or
   * take its route away, while it runs. An endpoint of another type is made anew then.
   */
  readonly adoptsRoutes?: boolean
  /** What an endpoint with these options can do. Called with validated options, before anything runs; pure. */
  capabilities(options: Readonly<Options>): Capabilities
  /**
   * Errors of meaning that a schema cannot say: `{ path: 'channel', message: 'excludes pattern' }`. Called with
   * validated options; pure.
   */
  check?(options: Readonly<Options>): Iterable<OptionIssue>
  /** Whether what another endpoint of this type sends, with the options `sender`, may come in at this one; pure. */
  hears?(options: Readonly<Options>, sender: Readonly<Options>): boolean
  /**
   * Runs once per endpoint in a scope of its own: what it decorates or hooks stays its own. Calls `context.attach`.
   * Must not wait for a peer: a broker that is down never blocks boot. For an endpoint that comes with a reload it runs
   * while the relay does, in a scope of a server that never listens: reload/late-routes.ts.
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

  readonly #link: Link
  #accept: Accept | undefined
  #accepting = false
  #ending = false
  /** Up, and not saturated: every lane asks with every message. */
  #isReady = false
  readonly #readyListeners = new Set<() => void>()
  /** Lanes that have asked for a pause and not given it up. */
  #holders = 0

  constructor(context: EndpointContext<Options>) {
    this.name = context.name
    this.type = context.type
    this.options = context.options
    this.capabilities = context.capabilities
    this.marshaller = context.marshaller
    this.log = context.log
    const hasHeaders = this.capabilities.target?.headers === true
    if (this.marshaller.outgoing !== undefined) this.send = departing(this.marshaller, this.send.bind(this), hasHeaders)
    this.#link = new Link({
      name: this.name,
      log: this.log,
      counters: this.counters,
      connect: (signal) => this.connect(signal),
      disconnect: () => this.disconnect(),
    })
    this.#link.onState((state) => {
      // How much the peer could take is of the link that it was said on.
      this.#isReady = state === 'up'
      if (this.#isReady) this.#announceReady()
    })
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

  /**
   * Take nothing in for a while, without losing anything: a lane is nearly full. Called only where the capabilities say
   * `pause`, at any moment of the endpoint's life; new links are held, too. What was read before may still come in.
   */
  protected suspend(): void {}

  /** The opposite of {@link suspend}: called after it, never twice in a row. */
  protected resume(): void {}

  /** The relay is at work with this endpoint in it, and the others have had their chance to come up. Called once. */
  protected begin(): void {}

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

  /**
   * The peer cannot take more for now, or can again: the lanes keep their messages until then. Forgotten when the link
   * is lost.
   */
  protected saturated(isSaturated: boolean): void {
    if (isSaturated !== this.#isReady || this.#link.state !== 'up') return
    this.#isReady = !isSaturated
    if (!isSaturated) this.#announceReady()
  }

  /** Whether the relay asks for a pause: see {@link suspend}. */
  get suspended(): boolean {
    return this.#holders > 0
  }

  /** Whether a route begins here. Where none does, what comes in goes nowhere: a type need not fetch anything. */
  get hasRoute(): boolean {
    return this.#accept !== undefined
  }

  /** A message of this endpoint: `source` and `marshaller` are its own. */
  protected message(init: Omit<MessageInit, 'source' | 'marshaller'>): Message {
    return messageOf(this.name, this.marshaller, init)
  }

  /** The link broke. The endpoint goes down and connects anew after a while. Ignored when it is not open or opening. */
  protected lost(error: unknown): void {
    this.#link.lost(error)
  }

  // ── What the relay calls ──────────────────────────────────────────────────────────────────────────────────────────

  get state(): EndpointState {
    return this.#link.state
  }

  /** Why it is not up, in words for people; undefined while it is. Never holds a secret of the config. */
  get reason(): string | undefined {
    return this.#link.reason
  }

  /** Whether it can be sent to at this moment: up, and not saturated. */
  get ready(): boolean {
    return this.#isReady
  }

  /**
   * @param listener called each time that it has become {@link ready}. Must not throw.
   * @returns a function that ends the listening.
   */
  onReady(listener: () => void): () => void {
    this.#readyListeners.add(listener)
    return () => this.#readyListeners.delete(listener)
  }

  #announceReady(): void {
    for (const listener of this.#readyListeners) if (this.ready) listener()
  }

  /** Asks the source to pause. Each call is taken back by one {@link release}; it goes on after the last. */
  hold(): void {
    this.#holders++
    if (this.#holders === 1) this.#guard(() => this.suspend())
  }

  /** Takes one {@link hold} back. */
  release(): void {
    this.#holders--
    if (this.#holders === 0) this.#guard(() => this.resume())
  }

  /** Who is in the middle of something calls: it must not break there. */
  #guard(work: () => void): void {
    try {
      work()
    } catch (err) {
      this.log.error({ err }, 'could not begin, pause or go on')
    }
  }

  /**
   * Where this source's messages go; undefined: nowhere. Set before {@link start}, and again by a reload where the type
   * {@link EndpointType.adoptsRoutes | adopts routes}.
   */
  bind(accept: Accept | undefined): void {
    this.#accept = accept && arriving(this.marshaller, accept)
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
  onState(listener: StateListener): () => void {
    return this.#link.onState(listener)
  }

  /** Begins to connect; returns at once. */
  start(): void {
    if (this.#ending) return
    this.#accepting = true
    this.#link.start()
  }

  /** The relay is at work: see {@link begin}. */
  announceBegin(): void {
    this.#guard(() => this.begin())
  }

  /**
   * Resolves when the endpoint is up.
   * @throws ARALDO_ERR_ENDPOINT_REQUIRED when it is not within `timeout` milliseconds, or is stopped meanwhile.
   */
  whenUp(timeout: number): Promise<void> {
    return this.#link.whenUp(timeout)
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
    this.#accepting = false
    return this.#link.stop()
  }
}
