import { before, describe } from 'node:test'
import { Redis } from 'ioredis'
import { endpointRedis } from '../../lib/endpoints/redis/pubsub/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import type { Peer, Received } from '../../lib/testing/index.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

let redis: RedisServer
let channels = 0

/** The world on the other side is another client of the server. It comes back as fast as it can. */
async function createPeer(): Promise<Peer> {
  const channel = `channel-${channels++}`
  const { host, port, url } = redis
  const options = { host, port, retryStrategy: () => 20, maxRetriesPerRequest: null }
  const [publisher, subscriber] = [new Redis(options), new Redis(options)]
  for (const client of [publisher, subscriber]) client.on('error', () => {})
  const received: Received[] = []
  subscriber.on('messageBuffer', (topic: Buffer, payload: Buffer) => {
    received.push({ payload, topic: topic.toString() })
  })
  await subscriber.subscribe(channel)
  return {
    options: { url, channel, topic: '{topic}', 'ping-interval': '100ms' },
    topic: channel,
    emit: async (payload) => {
      await publisher.publish(channel, payload)
      return { topic: channel }
    },
    received: () => received,
    outage: {
      stop: async () => void (await redis.kill()),
      start: async () => {
        await redis.start()
        await until(() => [publisher, subscriber].every(({ status }) => status === 'ready'))
        await subscriber.subscribe(channel)
      },
      freeze: () => redis.pause(),
      thaw: () => redis.resume(),
    },
    close: async () => {
      publisher.disconnect()
      subscriber.disconnect()
      if (!redis.process.running) await redis.start()
    },
  }
}

describe('Redis', { skip: need('redis-server') }, () => {
  before(async () => {
    redis = await startRedis()
  })
  testEndpoint({ type: endpointRedis, createPeer })
})
