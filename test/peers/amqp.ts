/** RabbitMQ as its other clients see it: a queue that they publish to, and one that they read. */
import { type ChannelModel, connect, type ConfirmChannel, type ConsumeMessage } from 'amqplib'
import type { Emitted, Peer, Received } from '../../lib/testing/index.ts'
import type { RabbitmqServer } from '../support/rabbitmq.ts'
import { until, within } from '../support/wait.ts'

export interface EmitExtra {
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface AmqpPeer extends Peer {
  readonly topic: string
  /** The queue that {@link emit} publishes to. */
  readonly queue: string
  /** Resolves when the broker has confirmed; rejects when it does not within 3 s. */
  emit(payload: Buffer, extra?: EmitExtra): Promise<Emitted>
  received(): Promise<readonly AmqpReceived[]>
  /** Messages in {@link queue} that nobody has in hand. */
  left(): Promise<number>
  close(): Promise<void>
}

export interface AmqpReceived extends Received {
  readonly id: string | undefined
}

const CONFIRM_TIMEOUT = 3_000
const RECONNECT_DELAY = 50
/** How long the broker may take to open a channel and both queues. */
const OPEN_TIMEOUT = 5_000
/** A broker that was killed takes long to be back. */
const BACK_TIMEOUT = 60_000

let peers = 0

/**
 * Two durable queues, classic ones if not told otherwise: of these the broker's command tells at once what is pending.
 */
export async function createAmqpPeer(
  server: RabbitmqServer,
  { type = 'classic' }: { readonly type?: string } = {},
): Promise<AmqpPeer> {
  const number = `${process.pid}-${peers++}`
  const [incoming, outgoing] = [`in-${number}`, `out-${number}`]
  const client = new Client(server, [incoming, outgoing], type)
  await client.up()
  if (type === 'quorum') {
    // Where its queues are RabbitMQ writes to disk some seconds later, or when it ends: one that is killed before has
    // queues afterwards that never have a leader.
    await server.stop()
    await server.start()
    await client.up()
  }
  let emitted = 0
  return {
    options: { url: server.url, queue: incoming, topic: '{topic}', heartbeat: '1s' },
    topic: outgoing,
    queue: incoming,
    emit: async (payload, { key = 'k', headers = { kind: 'test', word: 'grün' } } = {}) => {
      const table = { ...headers, 'araldo-key': key }
      await client.publish(incoming, payload, { headers: table, messageId: `${number}-${emitted++}` })
      return { topic: incoming, key, headers }
    },
    received: async () => client.received,
    left: () => client.left(incoming),
    pending: async () => {
      const listed = await server.control('list_queues', '--quiet', '--no-table-headers', 'name', 'messages')
      return Number(new RegExp(`^${incoming}\\t(\\d+)$`, 'm').exec(listed)?.[1])
    },
    outage: {
      stop: async () => void (await server.kill()),
      start: async () => {
        await server.start()
        await client.up()
      },
      freeze: () => server.pause(),
      thaw: () => server.resume(),
    },
    close: async () => {
      client.close()
      if (server.process.running) server.resume()
      else await server.start()
    },
  }
}

/** A client that connects anew by itself, and knows what it has had. */
class Client {
  readonly #server: RabbitmqServer
  readonly #queues: readonly string[]
  readonly #type: string
  readonly received: AmqpReceived[] = []
  readonly #ids = new Set<unknown>()
  #model: ChannelModel | undefined
  #channel: ConfirmChannel | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** @param queues it reads the last of them. */
  constructor(server: RabbitmqServer, queues: readonly string[], type: string) {
    this.#server = server
    this.#queues = queues
    this.#type = type
    void this.#connect()
  }

  async up(): Promise<void> {
    await until(() => this.#channel, { timeout: BACK_TIMEOUT, message: 'the peer to be connected' })
  }

  async publish(queue: string, payload: Buffer, properties: object): Promise<void> {
    const channel = this.#channel
    if (channel === undefined) throw new Error('the broker is away')
    const confirmed = new Promise<void>((resolve, reject) => {
      channel.publish('', queue, payload, { persistent: true, mandatory: true, ...properties }, (error: Error | null) =>
        error === null ? resolve() : reject(error),
      )
    })
    await within(confirmed, { timeout: CONFIRM_TIMEOUT, message: 'the confirm' })
  }

  async left(queue: string): Promise<number> {
    const { messageCount } = await (this.#channel as ConfirmChannel).checkQueue(queue)
    return messageCount
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#model?.close().catch(() => {})
  }

  async #connect(): Promise<void> {
    let model: ChannelModel | undefined
    try {
      model = await connect(`${this.#server.url}?heartbeat=1`, { timeout: 2_000, noDelay: true })
      model.on('error', () => {})
      const channel = await within(this.#open(model), { timeout: OPEN_TIMEOUT, message: 'the queues' })
      model.on('close', () => this.#again())
      this.#model = model
      this.#channel = channel
      if (this.#isClosed) await model.close()
    } catch {
      // A quorum queue that has no leader yet answers nothing: the next connection asks again.
      model?.close().catch(() => {})
      this.#again()
    }
  }

  async #open(model: ChannelModel): Promise<ConfirmChannel> {
    const channel = await model.createConfirmChannel()
    channel.on('error', () => {})
    const reads = this.#queues.at(-1) as string
    for (const queue of this.#queues) await channel.assertQueue(queue, { arguments: { 'x-queue-type': this.#type } })
    await channel.consume(reads, (message) => message !== null && this.#take(channel, message))
    return channel
  }

  #again(): void {
    this.#channel = undefined
    clearTimeout(this.#timer)
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#connect(), RECONNECT_DELAY)
  }

  /** What it has had and could not acknowledge in time comes again. */
  #take(channel: ConfirmChannel, message: ConsumeMessage): void {
    const { content, fields, properties } = message
    channel.ack(message)
    const id: unknown = properties.messageId
    if (fields.redelivered && this.#ids.has(id)) return
    this.#ids.add(id)
    const headers = Object.fromEntries(
      Object.entries(properties.headers ?? {}).map(([name, value]) => [name, String(value)]),
    )
    this.received.push({
      payload: content,
      topic: fields.routingKey,
      headers,
      id: typeof id === 'string' ? id : undefined,
    })
  }
}
