/** Redis Pub/Sub. */
import { Redis } from 'ioredis'
import { startRedis } from '../../../test/support/redis.ts'
import { itemsOf } from '../message.ts'
import type { Broker, Kind } from './place.ts'

/** No subscriber is too slow for Redis: what waits, waits there. */
const ARGUMENTS = ['--client-output-buffer-limit', 'pubsub 0 0 0']

async function open(): Promise<Broker> {
  const { port, url, process: server } = await startRedis({ args: ARGUMENTS })
  const publisher = new Redis(port)
  const subscriber = new Redis(port)
  let arrived = 0
  subscriber.on('messageBuffer', () => void arrived++)
  return {
    async source(channel) {
      return {
        endpoint: { id: 'endpoint-redis', url, channel },
        byHand: { port, channel },
        async send(first, count) {
          const pipeline = publisher.pipeline()
          for (const { payload } of itemsOf(first, count, 0)) pipeline.publish(channel, payload)
          await pipeline.exec()
        },
        left: async () => undefined,
      }
    },
    async target(channel) {
      await subscriber.unsubscribe()
      await subscriber.subscribe(channel)
      arrived = 0
      return {
        endpoint: { id: 'endpoint-redis', url, topic: channel },
        byHand: { port, channel },
        arrived: async () => arrived,
      }
    },
    async close() {
      publisher.disconnect()
      subscriber.disconnect()
      await server.kill()
    },
  }
}

export const redis: Kind = { name: 'redis', title: 'Redis Pub/Sub', isSafe: false, program: 'redis-server', open }
