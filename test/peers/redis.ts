/** Redis Pub/Sub as its other clients have it: a channel that they publish to, and one that they subscribe to. */
import { Redis } from 'ioredis'
import type { Received } from '../../lib/testing/index.ts'
import type { RedisServer } from '../support/redis.ts'
import { until, within } from '../support/wait.ts'
import type { InteropPeer } from './peer.ts'

const EMIT_TIMEOUT = 3_000
let peers = 0

/** It comes back as fast as it can. */
export async function createRedisPeer(redis: RedisServer): Promise<InteropPeer> {
  const number = `${process.pid}-${peers++}`
  const [incoming, outgoing] = [`in-${number}`, `out-${number}`]
  const { host, port, url } = redis
  const options = { host, port, retryStrategy: () => 20, maxRetriesPerRequest: null }
  const [publisher, subscriber] = [new Redis(options), new Redis(options)]
  for (const client of [publisher, subscriber]) client.on('error', () => {})
  const received: Received[] = []
  subscriber.on('messageBuffer', (topic: Buffer, payload: Buffer) => {
    received.push({ payload, topic: topic.toString() })
  })
  await subscriber.subscribe(outgoing)
  return {
    options: { url, channel: incoming, topic: '{topic}', 'ping-interval': '100ms' },
    topic: outgoing,
    emit: async (payload) => {
      await within(publisher.publish(incoming, payload), { timeout: EMIT_TIMEOUT, message: 'Redis to answer' })
      return { topic: incoming }
    },
    received: () => received,
    outage: {
      stop: async () => void (await redis.kill()),
      start: async () => {
        await redis.start()
        await until(() => [publisher, subscriber].every(({ status }) => status === 'ready'))
        await subscriber.subscribe(outgoing)
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
