/** The brokers of a test file, started at once, each with a limit for the size of a message that tests can go past. */
import { type NatsServer, startNats } from '../support/nats.ts'
import { type RabbitmqServer, startRabbitmq } from '../support/rabbitmq.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'

export interface Brokers {
  /** For streams: what it confirms is on the disk. */
  readonly redis: RedisServer
  readonly pubSub: RedisServer
  readonly nats: NatsServer
  readonly rabbitmq: RabbitmqServer
}

/** For a test's `skip`. */
export const needBrokers: string | false = need('redis-server', 'redis-cli', 'nats-server', 'rabbitmq-server')

/** They end with the test file. */
export async function startBrokers(): Promise<Brokers> {
  const [redis, pubSub, nats, rabbitmq] = await Promise.all([
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--proto-max-bulk-len', '1mb'] }),
    startRedis(),
    startNats({ jetStream: true, config: 'max_payload: 128KiB' }),
    startRabbitmq(),
  ])
  return { redis, pubSub, nats, rabbitmq }
}
