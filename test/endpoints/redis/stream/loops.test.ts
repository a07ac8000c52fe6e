/** Loops through streams: of one relay, of relays that share its work, and before and after a restart. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { HOPS_HEADER } from '../../../../lib/hops.ts'
import type { Owner } from '../../../support/process.ts'
import { type RedisServer, startRedis } from '../../../support/redis.ts'
import { configOf, relayServer } from '../../../support/relay.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient } from '../relay.ts'
import { pendingOf } from './support.ts'

const COUNT = 200
const GENEROUS = { timeout: 20_000 }

describe('a loop of two streams', { skip: need('redis-server', 'redis-cli') }, () => {
  let redis: RedisServer
  before(async () => {
    redis = await startRedis()
  })

  /** `a → b → a`, in the stream of that name with this ending. */
  async function start(t: Owner, ending: string, consumer: string): Promise<FastifyInstance> {
    const stream = (name: string) => ({
      id: 'endpoint-redis-stream',
      url: redis.url,
      stream: name + ending,
      consumer,
      marshalling: 'raw',
    })
    const config = configOf({ a: stream('a'), b: stream('b') }, { a: ['b'], b: ['a'] }, { instance: 'one' })
    const plugins = { 'araldo.marshalling': [{ name: 'raw', id: 'marshal-raw' }], ...config.plugins }
    const server = await relayServer(t, { ...config, plugins })
    await server.ready()
    return server
  }

  const looped = (servers: readonly FastifyInstance[]): number => {
    const lanes = servers.flatMap(({ araldo }) => araldo.routes.flatMap((route) => route.lanes))
    return lanes.reduce((sum, lane) => sum + lane.looped, 0)
  }

  for (const relays of [1, 2]) {
    test(`delivers each message to each once, with ${relays} ${relays === 1 ? 'relay' : 'relays'} of one config`, async (t) => {
      const ending = `-${relays}`
      const client = await connectClient(t, redis)
      const servers = await Promise.all(
        Array.from({ length: relays }, (_, index) => start(t, ending, `consumer-${index}`)),
      )
      const payloads = Array.from({ length: COUNT }, (_, index) => `message ${index}`)
      await Promise.all(payloads.map((payload) => client.xadd(`a${ending}`, '*', 'payload', payload)))
      // From a to b, from b to a, and then it is known to have been at b.
      await until(() => looped(servers) === COUNT, { ...GENEROUS, message: 'every message to come round' })
      const settled = async (): Promise<boolean> =>
        (await pendingOf(redis, `a${ending}`)) + (await pendingOf(redis, `b${ending}`)) === 0
      await until(settled, { ...GENEROUS, message: 'every entry to be acknowledged' })
      assert.equal(await client.xlen(`b${ending}`), COUNT)
      assert.equal(await client.xlen(`a${ending}`), 2 * COUNT)
      const entries = await client.xrange(`a${ending}`, '-', '+')
      const back = entries.map(([, fields]) => fields).filter((fields) => fields.includes(HOPS_HEADER))
      assert.equal(new Set(back.map((fields) => fields[1])).size, COUNT)
      for (const fields of back) assert.equal(fields[fields.indexOf(HOPS_HEADER) + 1], 'one/b, one/a')
    })
  }

  test('knows its messages after a restart', async (t) => {
    const client = await connectClient(t, redis)
    await client.xadd('a-restart', '*', 'payload', 'x')
    const first = await start(t, '-restart', 'consumer')
    await until(() => looped([first]) === 1, GENEROUS)
    await first.close()
    // One that was under way: b has it, and a had not heard of it.
    await client.xadd('a-restart', '*', 'payload', 'y', HOPS_HEADER, 'one/b')
    const second = await start(t, '-restart', 'consumer')
    await until(() => looped([second]) === 1, GENEROUS)
    assert.equal(await client.xlen('b-restart'), 1)
  })
})
