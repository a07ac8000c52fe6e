/**
 * Floor 3. `endpoint-app`: the application itself as an endpoint. What it publishes comes in here; what is routed here
 * goes to its subscribers.
 */
import { defineEndpoint, Endpoint, type EndpointContext } from '../endpoint.ts'
import { errors } from '../errors.ts'
import type { Message } from '../message.ts'

/** Called with each message; what it throws, or rejects with, is logged and counted and harms nobody else. */
export type MessageHandler = (message: Message) => void | Promise<void>

export interface SubscribeOptions {
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal
}

export interface IterateOptions extends SubscribeOptions {
  /** How many messages wait for a slow reader; past that the oldest goes, counted as `iteratorDropped`. */
  readonly limit?: number
}

const DEFAULT_LIMIT = 1_000

export class AppEndpoint extends Endpoint {
  declare readonly counters: Endpoint['counters'] & { handlerErrors: number; iteratorDropped: number }
  /** Replaced, never changed: a handler may subscribe and unsubscribe while it is called. */
  #handlers: readonly MessageHandler[] = []
  readonly #iterators = new Set<MessageIterator>()

  constructor(context: EndpointContext) {
    super(context)
    Object.assign(this.counters, { handlerErrors: 0, iteratorDropped: 0 })
  }

  protected override connect(): void {}

  protected override disconnect(): void {
    for (const iterator of this.#iterators) iterator.end()
    this.#handlers = []
  }

  override get gauges(): Record<string, number> {
    return { subscribers: this.#handlers.length + this.#iterators.size }
  }

  override send(message: Message): void {
    for (const handler of this.#handlers) {
      try {
        const pending: unknown = handler(message)
        if (isThenable(pending)) pending.then(undefined, this.#onHandlerError)
      } catch (error) {
        this.#onHandlerError(error)
      }
    }
    for (const iterator of this.#iterators) iterator.push(message)
  }

  /** @returns a function that ends the subscription. */
  subscribe(handler: MessageHandler, { signal }: SubscribeOptions = {}): () => void {
    if (signal?.aborted === true || this.#isEnded) return () => {}
    // A function of its own, so that one handler given twice is two subscriptions.
    const own: MessageHandler = (message) => handler(message)
    const unsubscribe = (): void => {
      this.#handlers = this.#handlers.filter((each) => each !== own)
      signal?.removeEventListener('abort', unsubscribe)
    }
    this.#handlers = [...this.#handlers, own]
    signal?.addEventListener('abort', unsubscribe, { once: true })
    return unsubscribe
  }

  /**
   * Messages from now on, until the loop is left, the signal aborts, or the relay closes.
   * @throws ARALDO_ERR_LIMIT_INVALID
   */
  iterate({ limit = DEFAULT_LIMIT, signal }: IterateOptions = {}): AsyncIterableIterator<Message> {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new errors.LIMIT_INVALID(String(limit))
    const iterator = new MessageIterator(limit, {
      onDrop: () => this.counters.iteratorDropped++,
      onEnd: () => {
        this.#iterators.delete(iterator)
        signal?.removeEventListener('abort', end)
      },
    })
    const end = (): void => iterator.end()
    if (signal?.aborted === true || this.#isEnded) {
      iterator.end()
      return iterator
    }
    this.#iterators.add(iterator)
    signal?.addEventListener('abort', end, { once: true })
    return iterator
  }

  get #isEnded(): boolean {
    return this.state === 'closing' || this.state === 'closed'
  }

  readonly #onHandlerError = (err: unknown): void => {
    this.counters.handlerErrors++
    this.log.error({ err }, 'a subscriber of the application failed')
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

interface IteratorEvents {
  readonly onDrop: () => void
  readonly onEnd: () => void
}

/** A bounded queue that is read with `for await`. */
class MessageIterator implements AsyncIterableIterator<Message> {
  readonly #limit: number
  readonly #events: IteratorEvents
  readonly #queue: Message[] = []
  readonly #readers: ((result: IteratorResult<Message, undefined>) => void)[] = []
  #ended = false

  constructor(limit: number, events: IteratorEvents) {
    this.#limit = limit
    this.#events = events
  }

  push(message: Message): void {
    const reader = this.#readers.shift()
    if (reader !== undefined) {
      reader({ value: message, done: false })
      return
    }
    if (this.#queue.length >= this.#limit) {
      this.#queue.shift()
      this.#events.onDrop()
    }
    this.#queue.push(message)
  }

  /** No more messages come in; what waits is still read. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#events.onEnd()
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true })
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    const message = this.#queue.shift()
    if (message !== undefined) return Promise.resolve({ value: message, done: false })
    if (this.#ended) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve) => this.#readers.push(resolve))
  }

  return(): Promise<IteratorResult<Message, undefined>> {
    this.#queue.length = 0
    this.end()
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

export const endpointApp = defineEndpoint<object>({
  id: 'endpoint-app',
  description: 'The application itself: fastify.araldo.publish() is its source, .subscribe() its target.',
  schema: { type: 'object', properties: {} },
  capabilities: () => ({
    source: { ack: true, pause: false, replay: false, headers: true, topics: true },
    target: { confirm: false, headers: true, topics: true, echo: false },
  }),
  adoptsRoutes: true,
  plugin: async (_scope, context) => context.attach(new AppEndpoint(context)),
})
