/** The brokers of a test file, started at once, each with a limit for the size of a message that tests can go past. */
import { type MosquittoServer, startMosquitto } from '../support/mosquitto.ts'
import { type NatsServer, startNats } from '../support/nats.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RabbitmqServer, startRabbitmq } from '../support/rabbitmq.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'

export interface Brokers {
  /** For streams: what it confirms is on the disk. */
  readonly redis: RedisServer
  readonly pubSub: RedisServer
  /** With its listeners for MQTT and WebSocket. */
  readonly nats: NatsServer
  readonly mosquitto: MosquittoServer
  readonly postgres: PostgresServer
  /** With its plugin for MQTT. */
  readonly rabbitmq: RabbitmqServer
}

/** For a test's `skip`. */
export const needBrokers: string | false = need(
  'redis-server',
  'redis-cli',
  'nats-server',
  'mosquitto',
  'rabbitmq-server',
)

/** They end with the test file. */
export async function startBrokers(): Promise<Brokers> {
  const [redis, pubSub, nats, mosquitto, postgres, rabbitmq] = await Promise.all([
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--proto-max-bulk-len', '1mb'] }),
    startRedis(),
    startNats({ jetStream: true, mqtt: true, webSocket: true, config: 'max_payload: 128KiB' }),
    startMosquitto({ config: 'max_packet_size 131072' }),
    startPostgres(),
    startRabbitmq({ mqtt: true }),
  ])
  return { redis, pubSub, nats, mosquitto, postgres, rabbitmq }
}
