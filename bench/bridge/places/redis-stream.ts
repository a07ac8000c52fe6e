/** Redis Streams: a consumer group as the source, XADD as the target. */
import { Redis } from 'ioredis'
import { startRedis } from '../../../test/support/redis.ts'
import { itemsOf } from '../message.ts'
import type { Broker, Kind } from './place.ts'

const GROUP = 'bench'
/** Commands that are sent in one go. */
const PIPELINE = 10_000

async function open(): Promise<Broker> {
  const { port, url, process: server } = await startRedis()
  const client = new Redis(port)
  return {
    async source(stream, keys) {
      await client.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM')
      return {
        endpoint: { id: 'endpoint-redis-stream', url, stream, group: GROUP },
        byHand: { port, stream, group: GROUP },
        async send(first, count) {
          for (let sent = 0; sent < count; sent += PIPELINE) {
            const pipeline = client.pipeline()
            for (const { payload, id, key } of itemsOf(first + sent, Math.min(PIPELINE, count - sent), keys)) {
              pipeline.xadd(stream, '*', 'payload', payload, 'id', id, ...(key === undefined ? [] : ['key', key]))
            }
            await pipeline.exec()
          }
        },
        async left() {
          const [info] = (await client.xinfo('GROUPS', stream)) as [string[]]
          const value = (name: string): number => Number(info[info.indexOf(name) + 1])
          return value('pending') + value('lag')
        },
      }
    },
    async target(stream) {
      return {
        endpoint: { id: 'endpoint-redis-stream', url, topic: stream },
        byHand: { port, stream },
        arrived: () => client.xlen(stream),
      }
    },
    async close() {
      client.disconnect()
      await server.kill()
    },
  }
}

export const redisStream: Kind = {
  name: 'redis-stream',
  title: 'Redis Streams',
  isSafe: true,
  program: 'redis-server',
  open,
}
