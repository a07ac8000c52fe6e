/** The ends that keep what they have confirmed, each with as little in hand at a time as tells duplicates from a flood. */
import { createAmqpPeer } from '../peers/amqp.ts'
import { createJetStreamPeer } from '../peers/jetstream.ts'
import { createMqttPeer } from '../peers/mqtt.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { createPostgresOutboxPeer } from '../peers/postgres.ts'
import { createRedisStreamPeer } from '../peers/redis-stream.ts'
import { type NatsServer, startNats } from '../support/nats.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RabbitmqServer, startRabbitmq } from '../support/rabbitmq.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import type { Server } from '../support/server.ts'

/** Messages that a source has given out and that are not acknowledged, at most; and those with a target. */
export const WINDOW = 64

export const BROKERS = ['redis', 'nats', 'postgres', 'rabbitmq'] as const
export type Broker = (typeof BROKERS)[number]

export interface DurableBrokers {
  /** Syncs before it answers. */
  readonly redis: RedisServer
  readonly nats: NatsServer
  /** Writes before it answers: what a crash of the machine would lose is not its process's. */
  readonly postgres: PostgresServer
  /** With its MQTT plugin: Mosquitto confirms what it has in memory only. */
  readonly rabbitmq: RabbitmqServer
}

export interface DurableEnd {
  readonly name: string
  readonly type: string
  readonly broker: Broker
  peer(brokers: DurableBrokers): Promise<InteropPeer>
  /** Of the endpoint as a source. */
  readonly bounds: object
  /** As a target, it knows a message by its id, and has none twice. */
  readonly deduplicates?: boolean
}

/** For a test's `skip`: memory is read from Linux' /proc. */
export const needDurable: string | false =
  process.platform === 'linux'
    ? need('redis-server', 'nats-server', 'initdb', 'postgres', 'rabbitmq-server')
    : 'fault tests read /proc: Linux only'

export async function startDurableBrokers(): Promise<DurableBrokers> {
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0']
  const [redis, nats, postgres, rabbitmq] = await Promise.all([
    startRedis({ args: durable }),
    startNats({ jetStream: true }),
    startPostgres({ settings: { synchronous_commit: 'on' } }),
    startRabbitmq({ mqtt: true }),
  ])
  return { redis, nats, postgres, rabbitmq }
}

export const DURABLE: readonly DurableEnd[] = [
  {
    name: 'Redis Streams',
    type: 'endpoint-redis-stream',
    broker: 'redis',
    peer: ({ redis }) => createRedisStreamPeer(redis),
    bounds: { batch: WINDOW / 2, 'max-pending': { messages: WINDOW / 2 } },
  },
  {
    name: 'JetStream',
    type: 'endpoint-jetstream',
    broker: 'nats',
    peer: ({ nats }) => createJetStreamPeer(nats),
    bounds: { 'max-ack-pending': WINDOW },
    deduplicates: true,
  },
  {
    name: 'PostgreSQL, tables',
    type: 'endpoint-postgres',
    broker: 'postgres',
    peer: ({ postgres }) => createPostgresOutboxPeer(postgres),
    bounds: { batch: WINDOW / 2, 'max-pending': { messages: WINDOW / 2 } },
    deduplicates: true,
  },
  {
    name: 'AMQP',
    type: 'endpoint-amqp',
    broker: 'rabbitmq',
    peer: ({ rabbitmq }) => createAmqpPeer(rabbitmq),
    bounds: { prefetch: WINDOW },
  },
  {
    name: 'MQTT',
    type: 'endpoint-mqtt',
    broker: 'rabbitmq',
    peer: ({ rabbitmq }) => createMqttPeer(rabbitmq.mqtt as Server, { options: { version: '3.1.1', qos: 1 } }),
    bounds: {}, // the broker's own: mqtt.prefetch, 10
  },
]

/** Every two of them; those with an end at one broker, if it is named. */
export function pairsOf(broker?: Broker): [DurableEnd, DurableEnd][] {
  const pairs = DURABLE.flatMap((source) => DURABLE.map((target): [DurableEnd, DurableEnd] => [source, target]))
  return broker === undefined ? pairs : pairs.filter((ends) => ends.some((end) => end.broker === broker))
}
