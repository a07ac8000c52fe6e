import { before, describe } from 'node:test'
import { Redis } from 'ioredis'
import { endpointRedisStream } from '../../lib/endpoints/redis/stream/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import type { Peer, Received } from '../../lib/testing/index.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

let redis: RedisServer
let streams = 0

/** The world on the other side is another client of the server. It comes back as fast as it can. */
async function createPeer(): Promise<Peer> {
  const number = streams++
  const [incoming, outgoing] = [`in-${number}`, `out-${number}`]
  const { host, port, url } = redis
  const client = new Redis({ host, port, retryStrategy: () => 20, maxRetriesPerRequest: null })
  client.on('error', () => {})
  return {
    options: { url, stream: incoming, topic: '{topic}', 'ping-interval': '100ms' },
    topic: outgoing,
    emit: async (payload) => {
      await client.xadd(incoming, '*', 'payload', payload, 'key', 'k', 'kind', 'test', 'header:id', 'grün')
      return { topic: incoming, key: 'k', headers: { kind: 'test', id: 'grün' } }
    },
    pending: async () => Number((await client.xpending(incoming, 'araldo'))[0]),
    received: async () => {
      const entries = await client.xrangeBuffer(outgoing, '-', '+')
      return entries.map(([, fields]) => receivedOf(fields, outgoing))
    },
    outage: {
      stop: async () => void (await redis.kill()),
      start: async () => {
        await redis.start()
        await until(() => client.status === 'ready')
      },
      freeze: () => redis.pause(),
      thaw: () => redis.resume(),
    },
    close: async () => {
      client.disconnect()
      if (!redis.process.running) await redis.start()
    },
  }
}

function receivedOf(fields: readonly Buffer[], topic: string): Received {
  const headers: Record<string, string> = {}
  let payload: Buffer = Buffer.alloc(0)
  for (let index = 0; index < fields.length; index += 2) {
    const [name, value] = [String(fields[index]), fields[index + 1] as Buffer]
    if (name === 'payload') payload = value
    else headers[name] = value.toString()
  }
  return { payload, topic, headers }
}

describe('Redis Streams', { skip: need('redis-server') }, () => {
  before(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  })
  testEndpoint({ type: endpointRedisStream, createPeer })
})
