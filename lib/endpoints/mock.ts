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

export class MockEndpoint extends Endpoint<MockOptions> {
  /** The last `keep` messages, once round from {@link MockEndpoint.#oldest}. */
  readonly #kept: KeptMessage[] = []
  #oldest = 0
  readonly #channel: Set<MockEndpoint> | undefined
  #timer: NodeJS.Timeout | undefined
  /** The message to emit next. */
  #next = 0

  constructor(context: EndpointContext<MockOptions>) {
    super(context)
    const { channel } = context.options
    if (channel !== undefined) this.#channel = context.shared(channel, () => new Set())
  }

  protected override connect(): void {
    this.#channel?.add(this)
  }

  protected override disconnect(): void {
    clearInterval(this.#timer)
    this.#channel?.delete(this)
  }

  protected override quiesce(): void {
    clearInterval(this.#timer)
  }

  protected override begin(): void {
    this.emit()
  }

  /** What it was sent, oldest first; at most `keep`. */
  get kept(): readonly KeptMessage[] {
    return [...this.#kept.slice(this.#oldest), ...this.#kept.slice(0, this.#oldest)]
  }

  /** Begins to emit. Not on connecting: the first messages are for targets that had their chance to come up. */
  emit(): void {
    const { messages, interval } = this.options
    if (this.state !== 'up' || messages.length === 0) return
    if (interval !== undefined) this.#timer = setInterval(this.#emitNext, interval)
    else messages.forEach(this.#emitNext)
  }

  override send(message: Message): void {
    const payload = message.encode(this.marshaller)
    const { source, topic, key, headers, time } = message
    if (this.options.keep > 0) this.#keep({ id: message.id, source, topic, key, headers, payload, time })
    this.log.debug({ source, topic, bytes: payload.length }, 'sent to the mock')
    if (this.#channel === undefined) return
    for (const mock of this.#channel) if (mock !== this) mock.#hear(payload, message)
  }

  #keep(message: KeptMessage): void {
    const kept = this.#kept
    if (kept.length < this.options.keep) {
      kept.push(message)
      return
    }
    kept[this.#oldest] = message
    this.#oldest = (this.#oldest + 1) % kept.length
  }

  #hear(payload: Buffer, { id, topic, key, headers, time }: Message): void {
    this.receive(this.message({ payload, id, topic, key, headers, time }))
  }

  readonly #emitNext = (): void => {
    const { messages, channel = '' } = this.options
    const body = messages[this.#next]
    this.#next = (this.#next + 1) % messages.length
    this.receive(this.message({ body, topic: channel }))
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
    target: { confirm: false, headers: true, topics: true, echo: false, shared: channel !== undefined },
  }),
  hears: ({ channel }, sender) => channel !== undefined && channel === sender.channel,
  adoptsRoutes: true,
  plugin: async (_scope, context) => context.attach(new MockEndpoint(context)),
})
