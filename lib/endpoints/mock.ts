/**
 * Floor 3. `endpoint-mock`: an endpoint in the process, for trying configurations and for tests. It emits messages
 * that the config gives, keeps what it was sent, and, with a `channel`, stands in for a broker: mocks of one channel
 * hear one another.
 */
import { defineEndpoint, Endpoint, type EndpointContext } from '../endpoint.ts'
import type { Message } from '../message.ts'
import { duration } from '../schema.ts'
import type { Headers } from '../types.ts'

export interface MockOptions {
  /** Mocks of one channel hear one another. */
  readonly channel?: string
  /** Bodies to emit. */
  readonly messages: readonly unknown[]
  /** Milliseconds between two messages, round and round; without it, each message is emitted once at start. */
  readonly interval?: number
  /** How many of the messages sent to it are kept; the oldest go first. */
  readonly keep: number
}

/** What a mock remembers of a message that it was sent. */
export interface KeptMessage {
  readonly id: string
  readonly source: string
  readonly topic: string
  readonly key: string | undefined
  readonly headers: Headers
  readonly payload: Buffer
  readonly time: number
}

/** The mocks that a message has been through: none hears it twice, so that a ring of routes comes to an end. */
class Trail {
  readonly mocks: ReadonlySet<MockEndpoint>
  constructor(mocks: Iterable<MockEndpoint>) {
    this.mocks = new Set(mocks)
  }
}

export class MockEndpoint extends Endpoint<MockOptions> {
  /** What it was sent, oldest first; at most `keep`. */
  readonly kept: KeptMessage[] = []
  readonly #channel: Set<MockEndpoint> | undefined
  #timer: NodeJS.Timeout | undefined
  #emitted = false

  constructor(context: EndpointContext<MockOptions>) {
    super(context)
    const { channel } = context.options
    if (channel !== undefined) this.#channel = context.shared(channel, () => new Set())
  }

  protected override connect(): void {
    this.#channel?.add(this)
    const { messages, interval } = this.options
    if (messages.length === 0) return
    if (interval === undefined) setImmediate(() => this.#emitAll())
    else this.#timer = setInterval(this.#emitNext, interval, { next: 0 })
  }

  protected override disconnect(): void {
    clearInterval(this.#timer)
    this.#channel?.delete(this)
  }

  protected override quiesce(): void {
    clearInterval(this.#timer)
  }

  override send(message: Message): void {
    const payload = message.encode(this.marshaller)
    const { id, source, topic, key, headers, time } = message
    if (this.options.keep > 0) {
      this.kept.push({ id, source, topic, key, headers, payload, time })
      if (this.kept.length > this.options.keep) this.kept.shift()
    }
    this.log.debug({ id, source, topic, bytes: payload.length }, 'sent to the mock')
    if (this.#channel === undefined || this.#channel.size < 2) return
    const seen = message.origin instanceof Trail ? message.origin.mocks : []
    const origin = new Trail([...seen, this])
    for (const mock of this.#channel) {
      if (!origin.mocks.has(mock)) mock.#hear(payload, message, origin)
    }
  }

  #hear(payload: Buffer, { id, topic, key, headers, time }: Message, origin: Trail): void {
    this.receive(this.message({ payload, id, topic, key, headers, time, origin }))
  }

  #emitAll(): void {
    if (this.#emitted) return
    this.#emitted = true
    for (const body of this.options.messages) this.#emit(body)
  }

  readonly #emitNext = (position: { next: number }): void => {
    const { messages } = this.options
    this.#emit(messages[position.next])
    position.next = (position.next + 1) % messages.length
  }

  #emit(body: unknown): void {
    this.receive(this.message({ body, topic: this.options.channel ?? '' }))
  }
}

export const endpointMock = defineEndpoint<MockOptions>({
  id: 'endpoint-mock',
  description: 'An endpoint in the process, for trying configurations without a broker and for tests.',
  schema: {
    type: 'object',
    properties: {
      channel: { type: 'string', minLength: 1, description: 'Mocks of one channel hear one another.' },
      messages: { type: 'array', default: [], description: 'Bodies to emit: any YAML value each.' },
      interval: duration({
        minimum: 1,
        description: 'Time between two messages, round and round. Without it, each is emitted once at start.',
      }),
      keep: {
        type: 'integer',
        minimum: 0,
        maximum: 100_000,
        default: 100,
        description: 'How many of the messages sent to it are kept.',
      },
    },
  },
  capabilities: ({ channel }) => ({
    source: { ack: false, pause: false, replay: false, headers: true, topics: true },
    target: { confirm: false, headers: true, topics: true, echo: channel !== undefined },
  }),
  plugin: async (_scope, context) => context.attach(new MockEndpoint(context)),
})
