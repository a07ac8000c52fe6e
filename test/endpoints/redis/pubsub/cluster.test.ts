import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fastifyRedis from '@fastify/redis'
import { Cluster } from 'ioredis'
import { type RedisCluster, type RedisServer, startRedisCluster } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { relayConnections, startRelay, subscribers } from '../relay.ts'

/** Of three slots, one on each node: 12182, 5061 and 866. */
const CHANNELS = ['foo', 'bar', 'hello']

describe('endpoint-redis, a cluster', { skip: need('redis-server', 'redis-cli') }, () => {
  let redis: RedisCluster
  let nodes: string[]
  before(async () => {
    redis = await startRedisCluster()
    nodes = redis.nodes.map(({ host, port }) => `${host}:${port}`)
  })

  /** The node that a channel's slot is on. */
  const ownerOf = async (channel: string): Promise<RedisServer> => {
    for (const node of redis.nodes) if (/^\d+$/.test(await node.cli('SPUBLISH', channel, 'probe'))) return node
    throw new Error(`no node has the slot of ${channel}`)
  }
  const connections = async (): Promise<string[]> => (await Promise.all(redis.nodes.map(relayConnections))).flat()

  test('what is published at one node comes in at every other, in order', async (t) => {
    const { app, texts, received } = await startRelay({
      t,
      redis: {
        there: { cluster: { nodes: [nodes[0]] }, topic: 'bus.{key}' },
        back: { cluster: { nodes }, pattern: 'bus.*' },
        one: { cluster: { nodes: [nodes[0]] }, channel: 'bus' },
      },
      routes: { in: ['there'], back: ['out'], one: ['out'] },
    })
    for (const node of redis.nodes) await node.cli('PUBLISH', 'bus', String(node.port))
    assert.deepEqual((await texts(3)).toSorted(), redis.nodes.map(({ port }) => String(port)).toSorted())
    received.length = 0
    const sent = Array.from({ length: 300 }, (_, number) => String(number))
    await Promise.all(
      sent.map((number) => app.araldo.publish('in', Number(number), { key: String(Number(number) % 7) })),
    )
    assert.deepEqual(await texts(300), sent)
    assert.equal((await connections()).length, 3, 'to publish and to subscribe by one node, to subscribe by any')
  })

  test('sharded channels are on the nodes that have their slots', async (t) => {
    const { app, texts, received, endpoint } = await startRelay({
      t,
      redis: {
        there: { cluster: { nodes }, topic: '{topic}', sharded: true },
        back: { cluster: { nodes }, channels: CHANNELS, sharded: true },
      },
      routes: { in: ['there'], back: ['out'] },
    })
    for (const topic of CHANNELS) await app.araldo.publish('in', `to ${topic}`, { topic })
    await texts(3)
    assert.deepEqual(received.map(({ topic }) => topic).toSorted(), CHANNELS.toSorted())
    assert.equal(endpoint('there').counters['refused'], 0)
    assert.equal(endpoint('there').gauges['inFlight'], 0)
  })

  test('a sharded channel that moves to another node is followed', async (t) => {
    const { texts, down, up } = await startRelay({
      t,
      redis: { back: { cluster: { nodes }, channels: ['foo', 'bar'], sharded: true } },
      routes: { back: ['out'] },
    })
    const owner = await ownerOf('bar')
    const other = redis.nodes.find((node) => node !== owner) as RedisServer
    const slot = await owner.cli('CLUSTER', 'KEYSLOT', 'bar')
    const id = await other.cli('CLUSTER', 'MYID')
    const gone = down('back', /moved/)
    for (const node of [other, owner, ...redis.nodes]) await node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', id)
    await gone
    await up('back')
    assert.equal(await other.cli('SPUBLISH', 'bar', 'moved'), '1')
    await until(async () => (await texts(2)).includes('moved'))
  })

  test("the application's cluster client is used", async (t) => {
    const client = new Cluster([...redis.addresses], { lazyConnect: true })
    await client.connect()
    t.after(() => client.disconnect())
    const { app, texts } = await startRelay({
      t,
      redis: {
        there: { connection: 'default', channel: 'host-cluster' },
        shards: { connection: 'default', channel: 'hello', sharded: true },
      },
      routes: { in: ['there', 'shards'], there: ['out'], shards: ['out'] },
      before: async (host) => {
        await host.register(fastifyRedis, { client })
      },
    })
    await app.araldo.publish('in', 1)
    assert.deepEqual(await texts(2), ['1', '1'])
    await app.close()
    assert.equal(client.status, 'ready')
  })

  test('a node that is taken out of the cluster, or dies, is left for another', async (t) => {
    const { endpoint, received } = await startRelay({
      t,
      redis: { back: { cluster: { nodes: nodes }, channel: 'bus', 'ping-interval': '100ms' } },
      routes: { back: ['out'] },
    })
    const current = async (): Promise<RedisServer> =>
      until(async () => {
        for (const node of redis.nodes.filter((each) => each.process.running)) {
          if ((await subscribers(node, 'bus')) === 1) return node
        }
        return undefined
      })
    const hears = async (text: string): Promise<void> => {
      await until(async () => {
        const node = redis.nodes.find((each) => each.process.running && !outside.has(each)) as RedisServer
        await node.cli('PUBLISH', 'bus', text)
        return received.some((message) => message.payload.toString() === text)
      })
    }
    const outside = new Set<RedisServer>()

    const first = await current()
    outside.add(first)
    for (const node of redis.nodes)
      if (node !== first) await node.cli('CLUSTER', 'FORGET', await first.cli('CLUSTER', 'MYID'))
    await first.cli('CLUSTER', 'RESET')
    await hears('after the first')
    assert.ok(endpoint('back').counters.failures > 0)

    const second = await current()
    outside.add(second)
    await second.kill()
    await hears('after the second')
  })

  test('a cluster that cannot be reached is a reason', async (t) => {
    const { down } = await startRelay({
      t,
      mayBeDown: true,
      redis: {
        plain: { cluster: { nodes: ['127.0.0.1:1'] }, channel: 'a' },
        sharded: { cluster: { nodes: ['127.0.0.1:1'] }, channel: 'a', sharded: true },
      },
      routes: { in: ['plain', 'sharded'] },
    })
    assert.equal(await down('plain'), 'connect ECONNREFUSED 127.0.0.1:1')
    assert.equal(await down('sharded'), 'connect ECONNREFUSED 127.0.0.1:1')
  })
})
