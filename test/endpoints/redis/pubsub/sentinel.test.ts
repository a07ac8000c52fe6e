import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type RedisSentinel, startRedisSentinel } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { relayConnections, startRelay } from '../relay.ts'

function sentinelOf({ name, sentinels }: RedisSentinel): { name: string; nodes: string[] } {
  return { name, nodes: sentinels.map(({ host, port }) => `${host}:${port}`) }
}

describe('endpoint-redis, Sentinel', { skip: need('redis-server', 'redis-cli'), concurrency: 3 }, () => {
  test('a failover is noticed from the sentinels', async (t) => {
    const redis = await startRedisSentinel({ t })
    const { app, texts, down, up, received } = await startRelay({
      t,
      redis: { orders: { sentinel: { ...sentinelOf(redis), 'failover-detector': true }, channel: 'orders' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    assert.equal((await relayConnections(redis.master)).length, 2)
    await app.araldo.publish('in', 'before')
    assert.deepEqual(await texts(1), ['"before"'])
    received.length = 0
    const gone = down('orders')
    await redis.failover()
    await gone
    await up('orders')
    assert.equal((await relayConnections(redis.replica)).length, 2)
    await app.araldo.publish('in', 'after')
    assert.deepEqual(await texts(1), ['"after"'])
  })

  test('when the master dies, the one that the sentinels put in its place is used', async (t) => {
    const redis = await startRedisSentinel({ t })
    const { app, texts, endpoint } = await startRelay({
      t,
      redis: { orders: { sentinel: sentinelOf(redis), channel: 'orders' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    await redis.master.kill()
    await until(async () => (await relayConnections(redis.replica)).length === 2, { timeout: 15_000 })
    await endpoint('orders').whenUp(5_000)
    await app.araldo.publish('in', 'after')
    assert.deepEqual(await texts(1), ['"after"'])
  })

  test('sentinels that cannot be reached, or do not know the master, are a reason', async (t) => {
    const redis = await startRedisSentinel({ t })
    const { down } = await startRelay({
      t,
      mayBeDown: true,
      redis: {
        unreachable: { sentinel: { name: 'mymaster', nodes: ['127.0.0.1:1'] }, channel: 'orders' },
        unknown: { sentinel: { ...sentinelOf(redis), name: 'another' }, channel: 'orders' },
      },
      routes: { in: ['unreachable', 'unknown'] },
    })
    assert.equal(
      await down('unreachable'),
      "no sentinel tells where the master 'mymaster' is: asked 127.0.0.1:1 (Connection is closed.)",
    )
    assert.match(
      await down('unknown'),
      /^no sentinel tells where the master 'another' is: asked 127\.0\.0\.1:\d+ \(ERR No such master/,
    )
  })
})
