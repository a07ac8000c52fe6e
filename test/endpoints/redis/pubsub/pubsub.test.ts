import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { type RedisServer, startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient, startRelay, subscribers } from '../relay.ts'

/** How often the server has read from a socket. */
async function readsOf(server: RedisServer): Promise<number> {
  const [, reads] = /total_reads_processed:(\d+)/.exec(await server.cli('INFO', 'stats')) ?? []
  return Number(reads)
}

describe('endpoint-redis', { skip: need('redis-server', 'redis-cli'), concurrency: 4 }, () => {
  let redis: RedisServer
  before(async () => {
    redis = await startRedis()
  })

  test('what is published to its channel comes in, with the channel as topic', async (t) => {
    const { texts, received, ledger } = await startRelay({
      t,
      redis: { orders: { url: redis.url, channel: 'in-orders' } },
      routes: { orders: ['out'] },
    })
    assert.equal(await redis.cli('PUBLISH', 'in-orders', '{"id":1}'), '1')
    assert.deepEqual(await texts(1), ['{"id":1}'])
    assert.equal(received[0]?.topic, 'in-orders')
    assert.equal(received[0]?.source, 'orders')
    assert.deepEqual(received[0]?.body, { id: 1 })
    assert.equal(ledger('orders', 'out').delivered, 1)
  })

  test('several channels and patterns come in by one endpoint', async (t) => {
    const { texts, received } = await startRelay({
      t,
      redis: { news: { url: redis.url, channels: ['s-one', 's-two'], patterns: ['s-a.*', 's-[xy]?'] } },
      routes: { news: ['out'] },
    })
    for (const channel of ['s-one', 's-two', 's-a.b', 's-x1', 's-z1', 's-three'])
      await redis.cli('PUBLISH', channel, '1')
    await texts(4)
    assert.deepEqual(
      received.map((message) => message.topic),
      ['s-one', 's-two', 's-a.b', 's-x1'],
    )
  })

  test('what is sent to it is published to its channel', async (t) => {
    const { app, endpoint } = await startRelay({
      t,
      redis: { orders: { host: redis.host, port: redis.port, channel: 'out-orders' } },
      routes: { in: ['orders'] },
    })
    const client = await connectClient(t, redis)
    const published = new Promise<string>((resolve) => client.once('message', (_channel, text) => resolve(text)))
    await client.subscribe('out-orders')
    await app.araldo.publish('in', { id: 1 })
    assert.equal(await published, '{"id":1}')
    assert.equal(await subscribers(redis, 'out-orders'), 1, 'no route begins at the endpoint: it does not subscribe')
    assert.equal(endpoint('orders').gauges['inFlight'], 0)
  })

  test('a template chooses the channel by the message; what could choose another is refused', async (t) => {
    const { app, ledger } = await startRelay({
      t,
      redis: { orders: { url: redis.url, channel: 't-unused', topic: 't-{key}.{body.region}' } },
      routes: { in: ['orders'] },
    })
    const client = await connectClient(t, redis)
    const channels: string[] = []
    client.on('pmessage', (_pattern, channel) => channels.push(channel))
    await client.psubscribe('t-*')
    await app.araldo.publish('in', { region: 'eu' }, { key: '7' })
    for (const region of ['*', 'e?', 'e[u]', 'e\\u', 'e\ru', 'e\nu', 'e\0u', '', 'x'.repeat(1024)]) {
      await assert.rejects(app.araldo.publish('in', { region }, { key: '7' }), /cannot send to this topic/)
    }
    await app.araldo.publish('in', { region: 'us.east:1 {2}' }, { key: 'ä' })
    await until(() => channels.length === 2)
    assert.deepEqual(channels, ['t-7.eu', 't-ä.us.east:1 {2}'])
    assert.equal(ledger('in', 'orders').dropped.invalid, 9)
  })

  test('a route readdresses where the template takes the topic of the message', async (t) => {
    const { app } = await startRelay({
      t,
      redis: { orders: { url: redis.url, topic: '{topic}' } },
      routes: { in: [{ to: 'orders', topic: 'r-{body.region}' }] },
    })
    const client = await connectClient(t, redis)
    const published = new Promise<string>((resolve) => client.once('message', resolve))
    await client.subscribe('r-eu')
    await app.araldo.publish('in', { region: 'eu' }, { topic: 'another' })
    assert.equal(await published, 'r-eu')
  })

  test('bytes pass as they are, both ways', async (t) => {
    const { app, texts, received } = await startRelay({
      t,
      redis: { there: { url: redis.url, topic: 'b-bytes' }, back: { url: redis.url, channel: 'b-bytes' } },
      routes: { in: ['there'], back: ['out'] },
    })
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const payloads = [
      Buffer.alloc(0),
      every,
      Buffer.from('\r\n$5\r\n*3\r\n'),
      randomBytes(300_000),
      Buffer.from([0xff]),
    ]
    for (const payload of payloads) await app.araldo.publish('in', payload)
    await texts(payloads.length)
    for (const [index, payload] of payloads.entries()) assert.ok(received[index]?.payload.equals(payload), `${index}`)
  })

  test('messages of one turn keep their order and leave in few writes', async (t) => {
    const { app, texts } = await startRelay({
      t,
      redis: { there: { url: redis.url, channel: 'o-order' } },
      routes: { in: ['there'], there: ['out'] },
    })
    const sent = Array.from({ length: 5_000 }, (_, number) => String(number))
    const before = await readsOf(redis)
    await Promise.all(sent.map((number) => app.araldo.publish('in', Number(number))))
    assert.deepEqual(await texts(5_000), sent)
    const reads = (await readsOf(redis)) - before
    assert.ok(reads < 500, `the server read ${reads} times`)
  })

  test('two relays speak through one channel', async (t) => {
    const one = await startRelay({
      t,
      redis: { bus: { url: redis.url, channel: 'bus' } },
      routes: { in: ['bus'], bus: ['out'] },
    })
    const two = await startRelay({
      t,
      redis: { bus: { url: redis.url, channel: 'bus' } },
      routes: { in: ['bus'], bus: ['out'] },
    })
    await one.app.araldo.publish('in', 'from one')
    await two.app.araldo.publish('in', 'from two')
    assert.deepEqual((await one.texts(2)).toSorted(), ['"from one"', '"from two"'])
    assert.deepEqual((await two.texts(2)).toSorted(), ['"from one"', '"from two"'])
  })

  test('a server that is down does not keep the relay from starting, and is used when it comes', async (t) => {
    const late = await startRedis({ t })
    await late.kill()
    const { app, up, down, texts, ledger } = await startRelay({
      t,
      mayBeDown: true,
      redis: { orders: { url: late.url, channel: 'late' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    assert.equal(await down('orders'), `connect ECONNREFUSED 127.0.0.1:${late.port}`)
    const early = app.araldo.publish('in', 'early')
    assert.equal(ledger('in', 'orders').waiting, 1)
    await late.start()
    await up('orders')
    await early
    await app.araldo.publish('in', 'in time')
    assert.deepEqual(await texts(2), ['"early"', '"in time"'])
  })
})
