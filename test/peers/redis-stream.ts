/** Redis Streams as their other clients have them: a stream that they add to, and one that they read. */
import { Redis } from 'ioredis'
import type { Received } from '../../lib/testing/index.ts'
import type { RedisServer } from '../support/redis.ts'
import { until, within } from '../support/wait.ts'
import type { Extra, InteropPeer } from './peer.ts'

const EMIT_TIMEOUT = 3_000
/** Entries that are read at one time. */
const PAGE = 1_000
let peers = 0

export interface RedisStreamPeer extends InteropPeer {
  /** Those that the group has and has not acknowledged. */
  pending(): Promise<number>
}

/** It comes back as fast as it can. What it does not get an answer for is not sent again behind its caller's back. */
export async function createRedisStreamPeer(redis: RedisServer): Promise<RedisStreamPeer> {
  const number = `${process.pid}-${peers++}`
  const [incoming, outgoing] = [`in-${number}`, `out-${number}`]
  const { host, port, url } = redis
  const retry = { retryStrategy: () => 20, maxRetriesPerRequest: null, autoResendUnfulfilledCommands: false }
  const client = new Redis({ host, port, ...retry })
  client.on('error', () => {})
  const received: Received[] = []
  let last = '-'
  return {
    options: { url, stream: incoming, topic: '{topic}', 'ping-interval': '100ms' },
    topic: outgoing,
    emit: async (payload, { key = 'k', headers = { kind: 'test', id: 'grün' } }: Extra = {}) => {
      if (client.status !== 'ready') throw new Error('Redis is away')
      const fields = Object.entries(headers).flatMap(([name, value]) => [name === 'id' ? 'header:id' : name, value])
      const adding = client.xadd(incoming, '*', 'payload', payload, 'key', key, ...fields)
      await within(adding, { timeout: EMIT_TIMEOUT, message: 'Redis to answer' })
      return { topic: incoming, key, headers }
    },
    pending: async () => Number((await client.xpending(incoming, 'araldo'))[0]),
    received: async () => {
      for (;;) {
        const page = await client.xrangeBuffer(outgoing, last, '+', 'COUNT', PAGE)
        for (const [, fields] of page) received.push(receivedOf(fields, outgoing))
        if (page.length > 0) last = `(${String(page.at(-1)?.[0])}`
        if (page.length < PAGE) return received
      }
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

/** Every field but the payload is taken for a header. */
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
