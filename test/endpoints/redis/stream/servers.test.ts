import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fastifyRedis from '@fastify/redis'
import { Cluster, Redis } from 'ioredis'
import { startRedis, startRedisCluster, startRedisSentinel } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { relayConnections, startRelay } from '../relay.ts'
import { callsOf, pendingOf, startStream } from './support.ts'

const ID = { id: 'endpoint-redis-stream' }
const RIGHTS =
  '+ping +hello +xadd +xreadgroup +xack +xclaim +xautoclaim +xgroup|create +xinfo|stream resetchannels ~orders'.split(
    ' ',
  )

describe('endpoint-redis-stream, servers', { skip: need('redis-server', 'redis-cli'), concurrency: 3 }, () => {
  test('a user with the rights of the documents, and no other, is enough', async (t) => {
    const redis = await startRedis({ t })
    await redis.cli('ACL', 'SETUSER', 'relay', 'on', '>secret', ...RIGHTS)
    const url = redis.url.replace('://', '://relay:secret@')
    const { send, texts, incoming, endpoint } = await startStream(t, { url, stream: 'orders', 'claim-after': 200 })
    assert.equal(await send('x'), null)
    await texts(1)
    await until(async () => (await callsOf(redis, 'xclaim')) > 1 && (await callsOf(redis, 'xautoclaim')) > 1)
    incoming[0]?.settle(null)
    await until(async () => (await pendingOf(redis, 'orders')) === 0)
    await redis.cli('XADD', 'orders', '*', 'payload', 'y')
    await texts(2)
    await redis.cli('XGROUP', 'DESTROY', 'orders', 'araldo')
    await redis.cli('XADD', 'orders', '*', 'payload', 'z')
    assert.deepEqual(await texts(3), ['x', 'y', 'z'])
    assert.equal(endpoint.counters.failures, 0)
    await endpoint.stop()
    const denied = (await redis.cli('ACL', 'LOG')).match(/^object\n.*$/gm) ?? []
    assert.deepEqual(
      denied.filter((line) => !/\n(client|info|config)/.test(line)),
      [],
    )
  })

  test('a right that is missing is a reason that names the command; nothing is lost by it', async (t) => {
    const redis = await startRedis({ t })
    await redis.cli('ACL', 'SETUSER', 'relay', 'on', '>secret', ...RIGHTS, '-xack')
    const url = redis.url.replace('://', '://relay:secret@')
    const { texts, endpoint, incoming } = await startStream(t, { url, stream: 'orders' })
    await redis.cli('XADD', 'orders', '*', 'payload', 'x')
    await texts(1)
    incoming[0]?.settle(null)
    await until(() => endpoint.state === 'down' && /NOPERM.*xack/.test(endpoint.reason ?? ''))
    assert.equal(await pendingOf(redis, 'orders'), 1)
    await redis.cli('ACL', 'SETUSER', 'relay', '+xack')
    await until(async () => (await pendingOf(redis, 'orders')) === 0, { timeout: 10_000 })
    await until(() => endpoint.state === 'up')
    assert.equal(incoming.length, 1)
  })

  test('a cluster: streams on every node, an endpoint each', async (t) => {
    const redis = await startRedisCluster({ t })
    const cluster = { nodes: redis.nodes.map(({ host, port }) => `${host}:${port}`) }
    const streams = ['foo', 'bar', 'hello']
    const { app, texts, ledger } = await startRelay({
      t,
      redis: {
        ...Object.fromEntries(streams.map((stream) => [stream, { ...ID, cluster, stream }])),
        to: { ...ID, cluster, topic: '{key}' },
      },
      routes: { in: ['to'], ...Object.fromEntries(streams.map((stream) => [stream, ['out']])) },
    })
    for (const key of streams) await app.araldo.publish('in', key, { key })
    assert.deepEqual((await texts(3)).toSorted(), ['"bar"', '"foo"', '"hello"'])
    const client = new Cluster([...redis.addresses])
    t.after(() => client.disconnect())
    for (const stream of streams) {
      await until(async () => (await client.xpending(stream, 'araldo'))[0] === 0)
    }
    assert.equal(ledger('in', 'to').delivered, 3)
  })

  test('streams of several nodes in one endpoint are a reason, where the cluster is the application’s', async (t) => {
    const redis = await startRedisCluster({ t })
    const client = new Cluster([...redis.addresses])
    const { down } = await startRelay({
      t,
      mayBeDown: true,
      before: async (app) => {
        await app.register(fastifyRedis, { client, closeClient: true })
      },
      redis: { both: { ...ID, connection: 'default', streams: ['foo', 'bar'] } },
      routes: { both: ['out'] },
    })
    assert.match(await down('both', /CROSSSLOT|same slot/i), /./)
  })

  test("the application's connection is duplicated: its key prefix is not for the relay, and its client stays free", async (t) => {
    const redis = await startRedis({ t })
    const client = new Redis(redis.port, redis.host, { keyPrefix: 'app:' })
    const { app, texts } = await startRelay({
      t,
      before: async (server) => {
        await server.register(fastifyRedis, { client, closeClient: true })
      },
      redis: { orders: { ...ID, connection: 'default', stream: 'orders' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    await app.araldo.publish('in', 1)
    assert.deepEqual(await texts(1), ['1'])
    assert.equal(await redis.cli('XLEN', 'orders'), '1')
    assert.deepEqual(await relayConnections(redis), ['araldo-reader', 'araldo-writer'])
    assert.equal(await client.set('free', 'yes'), 'OK')
  })

  test('endpoints of one server write by one connection, and read by one each', async (t) => {
    const redis = await startRedis({ t })
    const { url } = redis
    await startRelay({
      t,
      redis: {
        one: { ...ID, url, stream: 'one' },
        two: { ...ID, url, stream: 'two' },
        to: { ...ID, url, topic: 'to' },
      },
      routes: { one: ['to'], two: ['to'] },
    })
    assert.deepEqual(await relayConnections(redis), ['araldo-reader', 'araldo-reader', 'araldo-writer'])
  })

  test('after a failover, the new master is read and written', async (t) => {
    const redis = await startRedisSentinel({ t })
    const sentinel = { name: redis.name, nodes: redis.sentinels.map(({ host, port }) => `${host}:${port}`) }
    const { app, texts, received, down, up } = await startRelay({
      t,
      redis: { orders: { ...ID, sentinel: { ...sentinel, 'failover-detector': true }, stream: 'orders' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    await app.araldo.publish('in', 'before')
    assert.deepEqual(await texts(1), ['"before"'])
    const gone = down('orders', /./, 20_000)
    await redis.failover()
    await gone
    await up('orders')
    await app.araldo.publish('in', 'after')
    await until(() => received.some((message) => message.body === 'after'), { timeout: 20_000 })
    assert.ok(Number(await redis.replica.cli('XLEN', 'orders')) >= 2)
  })
})
