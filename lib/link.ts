/**
 * Floor 1. The life of an endpoint's link to its peer: states, time limits, reconnection with backoff, and an end at any
 * moment.
 *
 *     connecting -> up -> down -> connecting -> … -> closing -> closed
 */
import type { FastifyBaseLogger } from 'fastify'
import { within } from './deadline.ts'
import { errors, reasonOf } from './errors.ts'
import { Backoff } from './retry.ts'
import type { EndpointState } from './types.ts'

/** An attempt to connect that takes longer (milliseconds) has failed. */
const CONNECT_TIMEOUT = 10_000
/** No wait between two attempts is longer (milliseconds): a broker that is back is in use again within 5 s. */
const MAX_RECONNECT_DELAY = 3_000
/** How long a connect that was told to give up may take before it is left to itself (milliseconds). */
const GIVE_UP_TIMEOUT = 1_000
/** A disconnect that takes longer (milliseconds) is left to itself. */
const DISCONNECT_TIMEOUT = 5_000
/** A link that held this long (milliseconds) starts the next backoff from the beginning. */
const STABLE_AFTER = 10_000

/** What opens and closes the link, and where its life is written down. */
export interface LinkInit {
  /** The endpoint's. */
  readonly name: string
  readonly log: FastifyBaseLogger
  readonly counters: { connects: number; failures: number }
  connect(signal: AbortSignal): void | Promise<void>
  disconnect(): void | Promise<void>
}

/** Must not throw. */
export type StateListener = (state: EndpointState, reason: string | undefined) => void

export class Link {
  readonly #init: LinkInit
  #state: EndpointState = 'connecting'
  #reason: string | undefined = 'not started'
  readonly #backoff = new Backoff({ maxDelay: MAX_RECONNECT_DELAY })
  /** Grows with each attempt, loss and stop: what an older one still reports is ignored. */
  #generation = 0
  #abort: AbortController | undefined
  #timer: NodeJS.Timeout | undefined
  #upSince = 0
  /** Settles when the last connect has. */
  #connecting: Promise<unknown> = Promise.resolve()
  /** Settles when the last disconnect has: one runs at a time, and none beside a connect. */
  #disconnecting: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined
  /** The reason that was logged last: a broker that stays away is not a line in the log every three seconds. */
  #reported: string | undefined
  readonly #listeners = new Set<StateListener>()

  constructor(init: LinkInit) {
    this.#init = init
  }

  get state(): EndpointState {
    return this.#state
  }

  /** Why it is not up; undefined while it is. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** @returns a function that ends the listening. */
  onState(listener: StateListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Begins to connect; returns at once. Ignored when it was started or stopped before. */
  start(): void {
    if (this.#stopped === undefined && this.#generation === 0) this.#attempt()
  }

  /** The link broke. Ignored when it is not open or opening. */
  lost(error: unknown): void {
    if (this.#state === 'up' || this.#abort !== undefined) this.#fail(this.#generation, error)
  }

  /**
   * Resolves when the endpoint is up.
   * @throws ARALDO_ERR_ENDPOINT_REQUIRED when it is not within `timeout` milliseconds, or is closed meanwhile.
   */
  async whenUp(timeout: number): Promise<void> {
    if (this.#state === 'up') return
    if (this.#stopped !== undefined) throw new errors.ENDPOINT_REQUIRED(this.#init.name, this.#reason ?? 'closing')
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(timer)
        unlisten()
        if (error === undefined) resolve()
        else reject(error)
      }
      const give = (): void => settle(new errors.ENDPOINT_REQUIRED(this.#init.name, this.#reason ?? 'closed'))
      const timer = setTimeout(give, timeout)
      const unlisten = this.onState((state) => {
        if (state === 'up') settle()
        else if (state === 'closing' || state === 'closed') give()
      })
    })
  }

  /** Ends it, from any state; the second call waits for the first. Never rejects. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    // Not before `#stopped` is there: a listener may call stop() again.
    await Promise.resolve()
    this.#generation++
    clearTimeout(this.#timer)
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
      this.#fail(generation, new errors.CONNECT_TIMEOUT(this.#init.name, CONNECT_TIMEOUT))
    }, CONNECT_TIMEOUT)
    let connecting: void | Promise<void>
    try {
      connecting = this.#init.connect(abort.signal)
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
    this.#init.counters.connects++
    this.#set('up', undefined)
  }

  #fail(generation: number, error: unknown): void {
    if (generation !== this.#generation) return
    const failed = ++this.#generation
    const abort = this.#abort
    this.#abort = undefined
    clearTimeout(this.#timer)
    if (this.#state === 'up' && performance.now() - this.#upSince >= STABLE_AFTER) this.#backoff.reset()
    this.#init.counters.failures++
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
        const ended = await within(DISCONNECT_TIMEOUT, this.#init.disconnect())
        if (!ended) this.#init.log.warn('closing the connection takes too long: it is left to itself')
      } catch (err) {
        this.#init.log.warn({ err }, 'could not close the connection in order')
      }
    }))
  }

  #set(state: EndpointState, reason: string | undefined): void {
    if (state === this.#state && reason === this.#reason) return
    this.#state = state
    this.#reason = reason
    if (state === 'up') {
      this.#reported = undefined
      this.#init.log.info('up')
    } else if (state === 'down' && reason !== this.#reported) {
      this.#reported = reason
      this.#init.log.warn({ reason }, 'down')
    }
    for (const listener of this.#listeners) {
      listener(state, reason)
      // What it did has changed the state, and all have been told so: to the others this one is past.
      if (this.#state !== state || this.#reason !== reason) return
    }
  }
}
