/** An endpoint of AMQP without a relay around it: the test is the lanes. And a client that looks at the broker. */
import { type ChannelModel, connect, type ConfirmChannel, type GetMessage, type Options } from 'amqplib'
import fastify, { type FastifyBaseLogger } from 'fastify'
import { loadConfig } from '../../../lib/config.ts'
import type { Endpoint } from '../../../lib/endpoint.ts'
import { type AmqpOptions, endpointAmqp } from '../../../lib/endpoints/amqp/index.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message, type MessageInit } from '../../../lib/message.ts'
import { createRegistries } from '../../../lib/plugin.ts'
import type { Settle } from '../../../lib/types.ts'
import { registerEndpoint } from '../../support/endpoint.ts'
import type { Owner } from '../../support/process.ts'
import type { RabbitmqServer } from '../../support/rabbitmq.ts'
import { until } from '../../support/wait.ts'

/** As they stand in a config: sizes and durations as text. */
export type Declared = Readonly<Record<string, unknown>>

export interface Incoming {
  readonly message: Message
  readonly text: string
  readonly settle: Settle
}

export interface StartedAmqp {
  readonly endpoint: Endpoint
  /** What came in, in order; settled by the test. */
  readonly incoming: Incoming[]
  /** Resolves when so many have come in, with their payloads. */
  readonly texts: (count: number) => Promise<string[]>
  /** Resolves with what became of it. */
  readonly send: (payload: string | Buffer, init?: Partial<MessageInit>) => Promise<Error | null>
  /** In order, as a relay does it. */
  readonly close: () => Promise<void>
}

export interface StartOptions {
  readonly name?: string
  readonly onIncoming?: (incoming: Incoming, endpoint: Endpoint) => void
  /** Whether it counts as started while it is not up. */
  readonly mayBeDown?: boolean
  readonly log?: FastifyBaseLogger
}

/** The type's options of what is declared, with defaults filled in. @throws as the config loader does. */
export async function optionsOf(declared: Declared): Promise<AmqpOptions> {
  const entry = { name: 'subject', id: 'endpoint-amqp', ...declared }
  const config = { plugins: { 'araldo.endpoints.endpoint': [entry] } }
  const { endpoints } = await loadConfig(config, createRegistries())
  return endpoints.find(({ name }) => name === 'subject')?.options as unknown as AmqpOptions
}

/** Resolves when the endpoint is up. */
export async function startAmqp(
  t: Owner,
  declared: Declared,
  { name = 'orders', onIncoming, mayBeDown = false, log }: StartOptions = {},
): Promise<StartedAmqp> {
  const app = fastify({ logger: false })
  const options = await optionsOf(declared)
  const endpoint = await registerEndpoint(app, endpointAmqp, options, {
    name,
    marshaller: raw,
    ...(log === undefined ? {} : { log }),
  })
  const incoming: Incoming[] = []
  endpoint.bind((message, settle) => {
    const each = { message, text: message.payload.toString(), settle: settle as Settle }
    incoming.push(each)
    onIncoming?.(each, endpoint)
  })
  const close = async (): Promise<void> => {
    await endpoint.pause()
    await endpoint.stop()
    await app.close()
  }
  t.after(close)
  endpoint.start()
  if (!mayBeDown) await endpoint.whenUp(20_000)
  return {
    endpoint,
    incoming,
    texts: async (count) => {
      await until(() => incoming.length >= count, { timeout: 20_000, message: `${count} messages` })
      return incoming.map(({ text }) => text)
    },
    send: (payload, init = {}) =>
      new Promise((resolve) => {
        const message = new Message({
          source: 'test',
          marshaller: raw,
          payload: Buffer.from(payload as string),
          ...init,
        })
        try {
          endpoint.send(message, resolve)
        } catch (error) {
          resolve(error as Error)
        }
      }),
    close,
  }
}

/** Resolves when it is down, with why. */
export async function reasonOf(endpoint: Endpoint): Promise<string> {
  await until(() => endpoint.state === 'down' && endpoint.reason !== undefined, {
    timeout: 20_000,
    message: 'a reason',
  })
  return endpoint.reason as string
}

/** Another client of the broker, with confirms. */
export interface Onlooker {
  readonly model: ChannelModel
  readonly channel: ConfirmChannel
  /** Resolves when the broker has them. */
  publish(queue: string, payloads: readonly (string | Buffer)[], properties?: Options.Publish): Promise<void>
  /** Waits for so many, and takes them out of the queue. */
  take(queue: string, count: number): Promise<GetMessage[]>
  /** Messages that nobody has in hand. */
  ready(queue: string): Promise<number>
}

export async function connectOnlooker(t: Owner, { url }: RabbitmqServer): Promise<Onlooker> {
  const model = await connect(url)
  model.on('error', () => {})
  t.after(() => model.close().catch(() => {}))
  const channel = await model.createConfirmChannel()
  return {
    model,
    channel,
    publish: async (queue, payloads, properties = {}) => {
      for (const payload of payloads) {
        channel.publish('', queue, Buffer.from(payload as string), { persistent: true, ...properties })
      }
      await channel.waitForConfirms()
    },
    take: async (queue, count) => {
      const taken: GetMessage[] = []
      await until(
        async () => {
          for (let message = await channel.get(queue, { noAck: true }); message !== false;) {
            taken.push(message)
            message = await channel.get(queue, { noAck: true })
          }
          return taken.length >= count
        },
        { timeout: 20_000, message: `${count} messages in ${queue}` },
      )
      return taken
    },
    ready: async (queue) => (await channel.checkQueue(queue)).messageCount,
  }
}

/** Figures of a queue that only the broker's command tells. */
export async function unacknowledgedOf(server: RabbitmqServer, queue: string): Promise<number> {
  const columns = ['name', 'messages_unacknowledged']
  const listed = await server.control('list_queues', '--quiet', '--no-table-headers', ...columns)
  return Number(new RegExp(`^${queue}\\t(\\d+)$`, 'm').exec(listed)?.[1])
}
