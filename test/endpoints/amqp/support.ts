/** An endpoint of AMQP without a relay around it: the test is the lanes. And a client that looks at the broker. */
import { type ChannelModel, connect, type ConfirmChannel, type GetMessage, type Options } from 'amqplib'
import { loadConfig } from '../../../lib/config.ts'
import type { Endpoint } from '../../../lib/endpoint.ts'
import { type AmqpOptions, endpointAmqp } from '../../../lib/endpoints/amqp/index.ts'
import { createRegistries } from '../../../lib/plugin.ts'
import { type AloneOptions, startAlone, type Started } from '../../support/alone.ts'
import type { Owner } from '../../support/process.ts'
import type { RabbitmqServer } from '../../support/rabbitmq.ts'
import { until } from '../../support/wait.ts'

/** As they stand in a config: sizes and durations as text. */
export type Declared = Readonly<Record<string, unknown>>

/** RabbitMQ takes its time. */
const PATIENCE = 20_000

/** The type's options of what is declared, with defaults filled in. @throws as the config loader does. */
export async function optionsOf(declared: Declared): Promise<AmqpOptions> {
  const entry = { name: 'subject', id: 'endpoint-amqp', ...declared }
  const config = { plugins: { 'araldo.endpoints.endpoint': [entry] } }
  const { endpoints } = await loadConfig(config, createRegistries())
  return endpoints.find(({ name }) => name === 'subject')?.options as unknown as AmqpOptions
}

/** Resolves when the endpoint is up. */
export async function startAmqp(t: Owner, declared: Declared, more: AloneOptions = {}): Promise<Started> {
  return startAlone(t, endpointAmqp, await optionsOf(declared), { patience: PATIENCE, ...more })
}

/** Resolves when it is down, with why. */
export async function reasonOf(endpoint: Endpoint): Promise<string> {
  await until(() => endpoint.state === 'down' && endpoint.reason !== undefined, {
    timeout: PATIENCE,
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
        { timeout: PATIENCE, message: `${count} messages in ${queue}` },
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
