/** The ends that tell of back-pressure: sources that can be paused, and targets that say when they have a message. */
import { Redis } from 'ioredis'
import type { Received } from '../../lib/testing/index.ts'
import { groupOf } from '../faults/support/redis.ts'
import { createAmqpPeer } from '../peers/amqp.ts'
import { createJetStreamPeer } from '../peers/jetstream.ts'
import { createMqttPeer } from '../peers/mqtt.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { createPostgresOutboxPeer } from '../peers/postgres.ts'
import { createRedisStreamPeer } from '../peers/redis-stream.ts'
import { type MosquittoServer, startMosquitto } from '../support/mosquitto.ts'
import { type NatsServer, startNats } from '../support/nats.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RabbitmqServer, startRabbitmq } from '../support/rabbitmq.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { createAcknowledgedClient, createHttpClient, createWebhookReceiver, type RelayClient } from './clients.ts'
import { KEYS } from './feed.ts'

/** Messages that a source has given out and that are not acknowledged, at most. */
export const WINDOW = 64

export interface PressureBrokers {
  readonly redis: RedisServer
  readonly nats: NatsServer
  readonly rabbitmq: RabbitmqServer
  /** Its queues have no bound: what is not read yet waits there. */
  readonly mosquitto: MosquittoServer
  readonly postgres: PostgresServer
}

type Declared = Readonly<Record<string, unknown>> & { readonly id: string }

/** A place at a source, with its endpoint and a client that is not araldo. */
export interface SourcePlace {
  readonly endpoint: Declared
  readonly client: Pick<InteropPeer, 'emit'> | RelayClient
  /** Messages of it that the broker has, given out or not; where it is no broker, the client has them. */
  left?(): Promise<number>
  close(): Promise<void>
}

export interface PausableSource {
  readonly name: string
  readonly broker?: keyof PressureBrokers
  /** The endpoint says of itself what it has in hand. */
  readonly gauge?: 'pending' | 'requests'
  place(brokers: PressureBrokers): Promise<SourcePlace>
}

export interface TargetPlace {
  readonly endpoint: Declared
  /** A broker that is silent is waited for; else it counts as gone soon. */
  readonly isPatient: boolean
  received(): readonly Received[] | Promise<readonly Received[]>
  freeze?(): void
  thaw?(): void
  close(): Promise<void>
}

export interface ConfirmingTarget {
  readonly name: string
  /** What has arrived stays: a stream, a table. */
  readonly keeps: boolean
  readonly broker?: keyof PressureBrokers
  /** @param isPatient as its place is to be, where it can. */
  place(brokers: PressureBrokers, isPatient: boolean): Promise<TargetPlace>
}

/** For a test's `skip`: memory is read from Linux' /proc. */
export const needPressure: string | false =
  process.platform === 'linux'
    ? need('redis-server', 'nats-server', 'initdb', 'postgres', 'rabbitmq-server', 'mosquitto')
    : 'fault tests read /proc: Linux only'

export async function startPressureBrokers(): Promise<PressureBrokers> {
  const [redis, nats, rabbitmq, mosquitto, postgres] = await Promise.all([
    startRedis(),
    startNats({ jetStream: true }),
    startRabbitmq(),
    startMosquitto({ log: true, config: 'max_queued_messages 0' }),
    startPostgres(),
  ])
  return { redis, nats, rabbitmq, mosquitto, postgres }
}

let paths = 0

/**
 * What makes an endpoint give a silent broker up soon, and what keeps it from that. Sources are to keep theirs, however
 * seldom a busy machine lets the relay speak: what was in hand when a link was lost comes again.
 */
const PATIENCE = {
  'endpoint-amqp': { soon: { heartbeat: '1s' }, late: { heartbeat: '1h' } },
  'endpoint-mqtt': { soon: { keepalive: '1s' }, late: { keepalive: '1h', 'confirm-timeout': '1h' } },
  'endpoint-postgres': {
    soon: { 'ping-interval': '100ms', 'statement-timeout': '1s' },
    late: { 'ping-interval': '1h', 'statement-timeout': '1h' },
  },
  'endpoint-jetstream': { soon: { 'ping-interval': '100ms' }, late: { 'ping-interval': '1h' } },
  'endpoint-redis-stream': { soon: { 'ping-interval': '100ms' }, late: { 'ping-interval': '1h' } },
} as const
/** Whatever their options: what they write is to be answered within 8 s. */
const IMPATIENT: ReadonlySet<string> = new Set(['endpoint-jetstream', 'endpoint-redis-stream'])

/** What the broker has left is what its peer calls pending, if not told otherwise. */
function sourceOf(
  id: keyof typeof PATIENCE,
  peer: InteropPeer,
  bounds: object,
  left?: () => Promise<number>,
): SourcePlace {
  const pending = peer.pending?.bind(peer)
  return {
    endpoint: { ...peer.options, ...PATIENCE[id].late, ...bounds, id },
    client: peer,
    left: left ?? (async () => (await pending?.()) ?? 0),
    close: async () => peer.close?.(),
  }
}

export const SOURCES: readonly PausableSource[] = [
  {
    name: 'Redis Streams',
    broker: 'redis',
    gauge: 'pending',
    place: async ({ redis }) => {
      const peer = await createRedisStreamPeer(redis)
      const client = new Redis(redis.url)
      client.on('error', () => {})
      const left = async (): Promise<number> => {
        const { pending, lag } = await groupOf(client, String(peer.options.stream))
        return pending + lag
      }
      const bounds = { batch: WINDOW / 2, 'max-pending': { messages: WINDOW } }
      const source = sourceOf('endpoint-redis-stream', peer, bounds, left)
      const close = async (): Promise<void> => {
        client.disconnect()
        await source.close()
      }
      return { ...source, close }
    },
  },
  {
    name: 'JetStream',
    broker: 'nats',
    gauge: 'pending',
    place: async ({ nats }) =>
      sourceOf('endpoint-jetstream', await createJetStreamPeer(nats), { 'max-ack-pending': WINDOW }),
  },
  {
    name: 'AMQP',
    broker: 'rabbitmq',
    gauge: 'pending',
    place: async ({ rabbitmq }) => sourceOf('endpoint-amqp', await createAmqpPeer(rabbitmq), { prefetch: WINDOW }),
  },
  {
    name: 'MQTT, QoS 1',
    broker: 'mosquitto',
    gauge: 'pending',
    place: async ({ mosquitto }) =>
      sourceOf('endpoint-mqtt', await createMqttPeer(mosquitto), { 'receive-maximum': WINDOW }),
  },
  {
    name: 'PostgreSQL, tables',
    broker: 'postgres',
    gauge: 'pending',
    place: async ({ postgres }) => {
      const bounds = { batch: WINDOW / 2, 'max-pending': { messages: WINDOW } }
      return sourceOf('endpoint-postgres', await createPostgresOutboxPeer(postgres), bounds)
    },
  },
  {
    name: 'HTTP',
    gauge: 'requests',
    place: async () => {
      const path = `/in-${paths++}`
      const client = createHttpClient(path, KEYS)
      const endpoint = { id: 'endpoint-http', path, 'settle-timeout': '1h', 'max-requests': WINDOW }
      return { endpoint, client, close: () => client.close() }
    },
  },
  {
    name: 'WebSocket, `araldo.v1`',
    place: async () => {
      const path = `/ws-${paths++}`
      const client = createAcknowledgedClient(path)
      const bounds = { acknowledge: 'required', 'max-in-flight': WINDOW, limit: '4MiB' }
      return { endpoint: { id: 'endpoint-websocket', path, ...bounds }, client, close: () => client.close() }
    },
  },
]

function targetOf(id: keyof typeof PATIENCE, peer: InteropPeer, isPatient: boolean): TargetPlace {
  const topic = 'topic' in peer.options && { topic: peer.topic }
  const { soon, late } = PATIENCE[id]
  const waits = isPatient && !IMPATIENT.has(id)
  return {
    endpoint: { ...peer.options, ...topic, ...(waits ? late : soon), id },
    isPatient: waits,
    received: () => peer.received(),
    close: async () => peer.close?.(),
  }
}

export const TARGETS: readonly ConfirmingTarget[] = [
  {
    name: 'Redis Streams',
    keeps: true,
    broker: 'redis',
    place: async ({ redis }, isPatient) =>
      targetOf('endpoint-redis-stream', await createRedisStreamPeer(redis), isPatient),
  },
  {
    name: 'JetStream',
    keeps: true,
    broker: 'nats',
    place: async ({ nats }, isPatient) => targetOf('endpoint-jetstream', await createJetStreamPeer(nats), isPatient),
  },
  {
    name: 'AMQP',
    keeps: false,
    broker: 'rabbitmq',
    place: async ({ rabbitmq }, isPatient) => targetOf('endpoint-amqp', await createAmqpPeer(rabbitmq), isPatient),
  },
  {
    name: 'MQTT, QoS 1',
    keeps: false,
    broker: 'mosquitto',
    place: async ({ mosquitto }, isPatient) => targetOf('endpoint-mqtt', await createMqttPeer(mosquitto), isPatient),
  },
  {
    name: 'PostgreSQL, tables',
    keeps: true,
    broker: 'postgres',
    place: async ({ postgres }, isPatient) =>
      targetOf('endpoint-postgres', await createPostgresOutboxPeer(postgres), isPatient),
  },
  {
    name: 'HTTP',
    keeps: false,
    place: async () => {
      const { url, ...receiver } = await createWebhookReceiver()
      const endpoint = { id: 'endpoint-http', url, 'allow-private': ['127.0.0.0/8'], timeout: '1h' }
      return { endpoint, isPatient: true, ...receiver }
    },
  },
]
