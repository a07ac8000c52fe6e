import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fastifyRedis from '@fastify/redis'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { ownClients } from '../../../../lib/endpoints/redis/clients.ts'
import { matches } from '../../../../lib/endpoints/redis/pubsub/glob.ts'
import { type Interest, Subscriber } from '../../../../lib/endpoints/redis/pubsub/subscriber.ts'
import { type RedisServer, startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient, relayConnections, startRelay, subscribers } from '../relay.ts'

const skip = need('redis-server', 'redis-cli')

describe('endpoint-redis, shared connections', { skip, concurrency: 4 }, () => {
  test('endpoints of one server share a connection to publish and one to subscribe', async (t) => {
    const redis = await startRedis({ t })
    const { url } = redis
    const { app, texts, received } = await startRelay({
      t,
      redis: {
        one: { url, channel: 'one' },
        two: { url, channel: 'two' },
        all: { url, patterns: ['t*', 'o*'], topic: 'one' },
        sharded: { url, channel: 'one', sharded: true },
        last: { url, topic: 'two' },
      },
      routes: { in: ['one', 'last', 'sharded'], one: ['out'], two: ['out'], all: ['out'], sharded: ['out'] },
    })
    assert.deepEqual(await relayConnections(redis), ['araldo-publisher', 'araldo-subscriber'])
    await app.araldo.publish('in', 1)
    await texts(5)
    const came = received.map(({ source, topic }) => `${source} ${topic}`)
    assert.deepEqual(came.toSorted(), ['all one', 'all two', 'one one', 'sharded one', 'two two'])
  })

  test('other settings are other connections', async (t) => {
    const redis = await startRedis({ t })
    await startRelay({
      t,
      redis: { one: { url: redis.url, topic: 'a' }, two: { url: `${redis.url}/1`, topic: 'a' } },
      routes: { in: ['one', 'two'] },
    })
    assert.deepEqual(await relayConnections(redis), ['araldo-publisher', 'araldo-publisher'])
  })

  test('a channel that two endpoints want is subscribed to once, and until the last has left', async (t) => {
    const redis = await startRedis({ t })
    const { url } = redis
    const { endpoint, received } = await startRelay({
      t,
      redis: {
        one: { url, channels: ['both', 'only-one'] },
        two: { url, channels: ['both', 'only-two'] },
        three: { url, pattern: 'bot[h]' },
      },
      routes: { one: ['out'], two: ['out'], three: ['out'] },
    })
    const heard = async (count: number): Promise<string[]> => {
      await redis.cli('PUBLISH', 'both', 'x')
      await until(() => received.length >= count)
      return received.splice(0).map(({ source }) => source)
    }
    assert.equal(await subscribers(redis, 'both'), 1)
    assert.deepEqual((await heard(3)).toSorted(), ['one', 'three', 'two'])
    await endpoint('one').pause()
    assert.deepEqual(
      (await heard(2)).toSorted(),
      ['three', 'two'],
      'an endpoint that is quiet leaves the others theirs',
    )
    assert.equal(await subscribers(redis, 'only-one'), 0)
    await endpoint('one').stop()
    assert.deepEqual((await heard(2)).toSorted(), ['three', 'two'])
    await endpoint('three').stop()
    assert.deepEqual(await heard(1), ['two'])
    assert.deepEqual(await relayConnections(redis), ['araldo-subscriber'])
    await endpoint('two').stop()
    assert.deepEqual(await relayConnections(redis), [])
  })

  test('whoever comes and goes in whatever order, everyone hears what it is subscribed to, once', async (t) => {
    const redis = await startRedis({ t })
    const client = await connectClient(t, redis)
    const open = ownClients({ url: redis.url, 'ping-interval': 10_000 }, '.', false)
    const subscriber = new Subscriber({ open, pingInterval: 10_000, onLost: () => {} })
    t.after(() => subscriber.close())
    await subscriber.open()
    const names = ['p-1', 'p-2', 'p-3']
    const interest = fc.record({
      channels: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }),
      patterns: fc.uniqueArray(fc.constantFrom('p-*', 'p-[12]'), { maxLength: 2 }),
    })
    // Each step lets one of three listeners in, or out if it is in.
    const steps = fc.array(fc.tuple(fc.nat(2), interest), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(steps, async (moves) => {
        const current: (Interest | undefined)[] = [undefined, undefined, undefined]
        const heard: string[][] = [[], [], []]
        const pending: Promise<void>[] = []
        for (const [who, { channels, patterns }] of moves) {
          const before = current[who]
          current[who] = before === undefined ? interestOf(who, channels, patterns) : undefined
          pending.push(before === undefined ? subscriber.subscribe(current[who]!) : subscriber.unsubscribe(before))
        }
        await Promise.all(pending)
        for (const name of names) await client.publish(name, 'x')
        // Answers come in order behind the messages.
        const last = interestOf(0, ['p-last'], [])
        await subscriber.subscribe(last)
        await subscriber.unsubscribe(last)
        for (const [who, wanted] of current.entries()) {
          const subscribed = [...(wanted?.channels ?? []), ...(wanted?.patterns ?? [])]
          const expected = names.flatMap((name) => subscribed.filter((each) => matches(each, name)).map(() => name))
          assert.deepEqual(heard[who]?.toSorted(), expected)
          if (wanted !== undefined) await subscriber.unsubscribe(wanted)
        }
        assert.equal(await client.pubsub('NUMPAT'), 0)
        assert.deepEqual(await client.pubsub('CHANNELS'), [])

        function interestOf(who: number, channels: readonly string[], patterns: readonly string[]): Interest {
          return { channels, patterns, sharded: false, listener: (topic) => heard[who]?.push(topic) }
        }
      }),
      { numRuns: 50 },
    )
  })

  test('all endpoints of a connection come back when it was lost', async (t) => {
    const redis = await startRedis({ t })
    const names = Array.from({ length: 10 }, (_, number) => `endpoint-${number}`)
    const declared = names.map((name) => [name, { url: redis.url, channel: name }] as const)
    const { up, down, texts } = await startRelay({
      t,
      redis: Object.fromEntries(declared),
      routes: Object.fromEntries(names.map((name) => [name, ['out']])),
    })
    const gone = names.map((name) => down(name))
    await redis.kill()
    await Promise.all(gone)
    await redis.start()
    await Promise.all(names.map((name) => up(name)))
    assert.deepEqual(await relayConnections(redis), ['araldo-publisher', 'araldo-subscriber'])
    for (const name of names) await redis.cli('PUBLISH', name, name)
    assert.deepEqual(await texts(10), names)
  })
})

describe("endpoint-redis, the application's connections", { skip, concurrency: 4 }, () => {
  let redis: RedisServer
  before(async () => {
    redis = await startRedis()
  })

  test('@fastify/redis may be registered before the relay or after it', async (t) => {
    const first = await connectClient(t, redis, { connectionName: 'first' })
    const { app, texts } = await startRelay({
      t,
      redis: {
        there: { connection: 'default', channel: 'host-there' },
        back: { connection: 'cache', channel: 'host-there' },
        third: { connection: 'late', channel: 'host-third' },
      },
      routes: { in: ['there'], back: ['out', 'third'], third: ['out'] },
      before: async (server) => {
        await server.register(fastifyRedis, { client: first })
        await server.register(fastifyRedis, { url: redis.url, namespace: 'cache' })
      },
      after: async (server) => {
        await server.register(fastifyRedis, { url: redis.url, namespace: 'late' })
      },
    })
    await app.araldo.publish('in', 'around')
    assert.deepEqual(await texts(2), ['"around"', '"around"'])
    const list = await redis.cli('CLIENT', 'LIST')
    assert.match(list, /name=first .*cmd=publish/, "the application's own client publishes")
    assert.doesNotMatch(list, /araldo-publisher/)
  })

  test('the client of another ioredis, and one with a key prefix, publish to the channel as it is named', async (t) => {
    const client = await connectClient(t, redis, { keyPrefix: 'prefix:' })
    // What another copy of the package looks like: the same methods, another class.
    const foreign = new Proxy(client, { getPrototypeOf: () => Object.prototype })
    const { app, texts, received } = await startRelay({
      t,
      redis: {
        own: { connection: 'own', channel: 'prefixed' },
        foreign: { connection: 'foreign', topic: 'prefixed' },
        shards: { connection: 'own', channel: 'prefixed-shard', sharded: true },
      },
      routes: { in: ['own', 'foreign', 'shards'], own: ['out'], shards: ['out'] },
      before: async (server) => {
        await server.register(fastifyRedis, { client, namespace: 'own' })
        await server.register(fastifyRedis, { client: foreign, namespace: 'foreign' })
      },
    })
    await app.araldo.publish('in', 1)
    await texts(3)
    assert.deepEqual(received.map(({ topic }) => topic).toSorted(), ['prefixed', 'prefixed', 'prefixed-shard'])
  })

  test('a connection that is not there is a reason that names those that are', async (t) => {
    const { down } = await startRelay({
      t,
      mayBeDown: true,
      redis: { orders: { connection: 'nowhere', channel: 'a' } },
      routes: { orders: ['out'] },
      after: async (server) => {
        await server.register(fastifyRedis, { url: redis.url })
        await server.register(fastifyRedis, { url: redis.url, namespace: 'cache' })
      },
    })
    assert.equal(await down('orders'), "the application has no Redis connection 'nowhere'; there are default, cache")
    const none = await startRelay({
      t,
      mayBeDown: true,
      redis: { orders: { connection: 'default', channel: 'a' } },
      routes: { orders: ['out'] },
    })
    assert.match(await none.down('orders'), /there is none: register @fastify\/redis/)
  })

  test('the relay follows a connection through a restart, and leaves it as it was', async (t) => {
    const server = await startRedis({ t })
    const client = await connectClient(t, server)
    const listeners = (): number[] => client.eventNames().map((event) => client.listenerCount(event))
    const initially = listeners()
    const { app, up, down, texts } = await startRelay({
      t,
      redis: { orders: { connection: 'default', channel: 'restart' } },
      routes: { in: ['orders'], orders: ['out'] },
      before: async (host) => {
        await host.register(fastifyRedis, { client })
      },
    })
    const gone = down('orders')
    await server.kill()
    await gone
    const meanwhile = app.araldo.publish('in', 'meanwhile')
    await server.start()
    await up('orders')
    await app.araldo.publish('in', 'after')
    await meanwhile
    assert.deepEqual(
      await texts(2),
      ['"meanwhile"', '"after"'],
      'what waited in the lane was not queued elsewhere, too',
    )
    await app.close()
    assert.equal(client.status, 'ready')
    assert.equal(await client.ping(), 'PONG')
    assert.deepEqual(listeners(), initially)
  })

  test('a lazy connection is made, a closed one is a reason', async (t) => {
    const lazy = new Redis({ host: redis.host, port: redis.port, lazyConnect: true })
    const closed = await connectClient(t, redis)
    await closed.quit()
    t.after(() => lazy.disconnect())
    const { up, down } = await startRelay({
      t,
      mayBeDown: true,
      redis: { lazy: { connection: 'lazy', topic: 'a' }, closed: { connection: 'closed', topic: 'a' } },
      routes: { in: ['lazy', 'closed'] },
      // As @fastify/redis does it, which would connect, or wait for ever.
      before: async (host) => {
        host.decorate('redis', { lazy, closed } as never)
      },
    })
    await up('lazy')
    assert.equal(lazy.status, 'ready')
    assert.equal(await down('closed'), 'the application has closed the connection')
  })
})
