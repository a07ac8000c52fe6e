import assert from 'node:assert/strict'
import { before, describe, test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Endpoint } from '../../../../lib/endpoint.ts'
import { errors } from '../../../../lib/errors.ts'
import { type RedisServer, startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient, relayConnections, startRelay } from '../relay.ts'
import type { Incoming } from '../../../support/alone.ts'
import { callsOf, pendingOf, startStream } from './support.ts'

const FOR_NOW = new errors.SEND_FAILED('target', 'not now')
const FOR_GOOD = new errors.TOPIC_INVALID('target', 'never')

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, n) => String(from + n))

describe('endpoint-redis-stream, a source', { skip: need('redis-server', 'redis-cli'), concurrency: 4 }, () => {
  let redis: RedisServer
  let url: string
  before(async () => {
    redis = await startRedis()
    url = redis.url
  })

  /** Writes entries with these payloads; resolves with their ids. */
  const write = async (client: Redis, stream: string, payloads: readonly string[]): Promise<string[]> => {
    const ids = payloads.map((payload) => client.xadd(stream, '*', 'payload', payload))
    return (await Promise.all(ids)) as string[]
  }
  const connect = (t: TestContext): Promise<Redis> => connectClient(t, redis)

  test('what was in the stream before comes in first, then what is new, each once and with what is known of it', async (t) => {
    const stream = 's-order'
    const client = await connect(t)
    const [id] = await write(client, stream, numbers(1, 300))
    const { texts, incoming } = await startStream(t, { url, stream })
    assert.deepEqual(await texts(300), numbers(1, 300))
    await client.xadd(stream, '*', 'payload', '301', 'id', 'mine', 'key', 'k', 'time', '17', 'kind', 'x')
    await texts(301)
    const [first, last] = [incoming[0]!.message, incoming[300]!.message]
    assert.deepEqual([first.topic, first.id, first.time], [stream, `${stream}:${id}`, Number.parseInt(id!, 10)])
    assert.deepEqual([last.id, last.key, last.time, { ...last.headers }], ['mine', 'k', 17, { kind: 'x' }])
  })

  test('a stream that is not there yet is made, and its first entry comes in', async (t) => {
    const { texts } = await startStream(t, { url, stream: 's-new' })
    assert.equal(await redis.cli('XINFO', 'GROUPS', 's-new').then((groups) => groups.includes('araldo')), true)
    await redis.cli('XADD', 's-new', '*', 'payload', 'first')
    assert.deepEqual(await texts(1), ['first'])
  })

  test('a new group begins where it is told to', async (t) => {
    const client = await connect(t)
    const [, second] = await write(client, 's-start', ['1', '2', '3'])
    const fromNow = await startStream(t, { url, stream: 's-start', group: 'now', start: '$' })
    const fromId = await startStream(t, { url, stream: 's-start', group: 'id', start: second! })
    await write(client, 's-start', ['4'])
    assert.deepEqual(await fromNow.texts(1), ['4'])
    assert.deepEqual(await fromId.texts(2), ['3', '4'])
  })

  test('an entry is acknowledged when its message is settled, and not before', async (t) => {
    const stream = 's-ack'
    const client = await connect(t)
    const { texts, incoming, endpoint } = await startStream(t, { url, stream })
    await write(client, stream, numbers(1, 500))
    await texts(500)
    assert.equal(await pendingOf(redis, stream), 500)
    const acks = await callsOf(redis, 'xack')
    for (const { settle } of incoming) {
      settle(null)
      await turn()
    }
    incoming[0]?.settle(new Error('late'))
    await until(async () => (await pendingOf(redis, stream)) === 0)
    assert.ok(
      (await callsOf(redis, 'xack')) - acks < 100,
      'what is settled within a few milliseconds is acknowledged together',
    )
    await until(() => endpoint.counters['acknowledged'] === 500)
    assert.deepEqual([endpoint.gauges['pending'], endpoint.gauges['pendingBytes']], [0, 0])
  })

  test('what the lanes reject for now stays pending and comes again; what they reject for good is let go', async (t) => {
    const stream = 's-reject'
    const { texts, incoming, endpoint } = await startStream(t, { url, stream })
    await write(await connect(t), stream, ['a', 'b'])
    await texts(2)
    incoming[0]?.settle(FOR_NOW)
    incoming[1]?.settle(FOR_GOOD)
    assert.deepEqual(await texts(3), ['a', 'b', 'a'])
    assert.equal(await pendingOf(redis, stream), 1)
    assert.deepEqual([endpoint.counters['rejected'], endpoint.counters['letGo']], [1, 1])
    // Its first delivery is over: what is said of it counts no more.
    incoming[0]?.settle(null)
    assert.equal(endpoint.gauges['pending'], 1)
    incoming[2]?.settle(null)
    await until(async () => (await pendingOf(redis, stream)) === 0)
  })

  test('what was not settled comes in again after a restart, page by page, before what is new', async (t) => {
    const stream = 's-restart'
    const client = await connect(t)
    const first = await startStream(t, { url, stream, batch: 10 })
    await write(client, stream, numbers(1, 95))
    await first.texts(95)
    for (const { text, settle } of first.incoming) if (Number(text) % 2 === 0) settle(null)
    await first.close()
    assert.equal(await pendingOf(redis, stream), 48)
    await write(client, stream, ['96', '97'])
    const second = await startStream(t, { url, stream, batch: 10 })
    const odd = numbers(1, 95).filter((text) => Number(text) % 2 === 1)
    assert.deepEqual(await second.texts(50), [...odd, '96', '97'])
  })

  test('what a dead consumer has left is taken over, in pages, and what is gone from the stream is left out', async (t) => {
    const stream = 's-dead'
    const client = await connect(t)
    const [first] = await write(client, stream, numbers(1, 30))
    await client.xgroup('CREATE', stream, 'araldo', '0')
    await client.xreadgroup('GROUP', 'araldo', 'dead', 'STREAMS', stream, '>')
    await client.xdel(stream, first!)
    const { texts, endpoint, incoming } = await startStream(t, { url, stream, batch: 7, 'claim-after': 100 })
    assert.deepEqual(await texts(29), numbers(2, 30))
    assert.deepEqual([endpoint.counters['claimed'], endpoint.counters['trimmed']], [29, 1])
    for (const { settle } of incoming) settle(null)
    await until(async () => (await pendingOf(redis, stream)) === 0)
  })

  test('what is long in the hands of a relay that lives is not taken over by another, nor by itself', async (t) => {
    const stream = 's-alive'
    const options = { url, stream, 'claim-after': 400 }
    const one = await startStream(t, { ...options, consumer: 'one' })
    await write(await connect(t), stream, ['slow'])
    await one.texts(1)
    const other = await startStream(t, { ...options, consumer: 'other' })
    const before = await callsOf(redis, 'xclaim')
    await until(async () => (await callsOf(redis, 'xclaim')) - before >= 12, { timeout: 10_000 })
    assert.deepEqual([one.incoming.length, other.incoming.length], [1, 0])
    one.incoming[0]?.settle(null)
    await until(async () => (await pendingOf(redis, stream)) === 0)
  })

  test('a lost connection doubles nothing that is in hand, and what is settled after it is acknowledged', async (t) => {
    const stream = 's-cut'
    const client = await connect(t)
    const { texts, incoming, endpoint } = await startStream(t, { url, stream })
    await write(client, stream, numbers(1, 50))
    await texts(50)
    for (const time of [1, 2]) {
      for (const line of (await redis.cli('CLIENT', 'LIST')).split('\n')) {
        const [, id] = / id=(\d+) .* name=araldo-(?:reader|writer) /.exec(` ${line}`) ?? []
        if (id !== undefined) await redis.cli('CLIENT', 'KILL', 'ID', id).catch(() => {})
      }
      incoming[time]?.settle(null)
      await until(() => endpoint.counters.connects > time && endpoint.state === 'up')
    }
    await write(client, stream, ['51'])
    assert.deepEqual(await texts(51), numbers(1, 51))
    for (const { settle } of incoming) settle(null)
    await until(async () => (await pendingOf(redis, stream)) === 0)
    assert.equal(incoming.length, 51)
  })

  test('while the lanes want nothing, nothing comes in; then all of it does, in order', async (t) => {
    const stream = 's-pause'
    const client = await connect(t)
    const { texts, incoming, endpoint } = await startStream(t, { url, stream })
    await write(client, stream, ['1'])
    await texts(1)
    endpoint.hold()
    const reads = await callsOf(redis, 'xreadgroup')
    await write(client, stream, numbers(2, 40))
    await until(async () => (await pendingOf(redis, stream)) > 1)
    assert.equal(incoming.length, 1)
    await write(client, stream, numbers(41, 60))
    endpoint.release()
    assert.deepEqual(await texts(60), numbers(1, 60))
    assert.ok((await callsOf(redis, 'xreadgroup')) - reads < 10)
  })

  test('a pause in the middle of what was read keeps the rest back', async (t) => {
    const stream = 's-middle'
    await write(await connect(t), stream, numbers(1, 20))
    const hold = { onIncoming: ({ text }: Incoming, endpoint: Endpoint) => void (text === '5' && endpoint.hold()) }
    const { texts, incoming, endpoint } = await startStream(t, { url, stream }, hold)
    await texts(5)
    assert.equal(incoming.length, 5)
    endpoint.release()
    assert.deepEqual(await texts(20), numbers(1, 20))
  })

  test('what is in hand is bounded, in messages and in bytes', async (t) => {
    const client = await connect(t)
    await write(client, 's-bound', numbers(1, 100))
    const few = await startStream(t, { url, stream: 's-bound', 'max-pending': { messages: 10 } })
    await few.texts(10)
    assert.equal(await pendingOf(redis, 's-bound'), 10)
    for (let settled = 0; settled < 100; settled++) {
      await few.texts(settled + 1)
      few.incoming[settled]?.settle(null)
      assert.ok((few.endpoint.gauges['pending'] ?? 0) <= 10)
    }
    assert.deepEqual(await few.texts(100), numbers(1, 100))

    await write(
      client,
      's-bytes',
      Array.from({ length: 40 }, (_, number) => String(number).padEnd(100_000)),
    )
    const small = await startStream(t, { url, stream: 's-bytes', batch: 4, 'max-pending': { bytes: 1_000_000 } })
    await small.texts(8)
    for (let settled = 0; settled < 40; settled++) {
      await small.texts(settled + 1)
      small.incoming[settled]?.settle(null)
      const bytes = small.endpoint.gauges['pendingBytes'] ?? 0
      assert.ok(bytes <= 1_400_000, `${bytes} bytes in hand`)
    }
  })

  test('a stream that is deleted and begun anew is read from its beginning', async (t) => {
    const stream = 's-deleted'
    const client = await connect(t)
    const { texts, endpoint, incoming } = await startStream(t, { url, stream, start: '$' })
    await write(client, stream, ['1', '2'])
    await texts(2)
    await client.multi().del(stream).xadd(stream, '1-1', 'payload', '3').exec()
    assert.deepEqual(await texts(3), ['1', '2', '3'])
    // Of the stream that is gone.
    incoming[0]?.settle(null)
    incoming[2]?.settle(null)
    await until(async () => (await pendingOf(redis, stream)) === 0)
    assert.equal(endpoint.counters['regrouped'], 1)
    await client.del(stream)
    await until(() => endpoint.counters['regrouped'] === 2)
    await write(client, stream, ['4'])
    await texts(4)
    assert.equal(endpoint.counters.failures, 0)
  })

  test('a group that is destroyed is made anew where the relay had come to', async (t) => {
    const stream = 's-destroyed'
    const client = await connect(t)
    const { texts } = await startStream(t, { url, stream })
    await write(client, stream, ['1', '2'])
    await texts(2)
    await client.xgroup('DESTROY', stream, 'araldo')
    await write(client, stream, ['3'])
    assert.deepEqual(await texts(3), ['1', '2', '3'])
  })

  test("entries of somebody else's come in as they are: redis-cli's fields as JSON", async (t) => {
    const { texts } = await startStream(t, { url, stream: 's-foreign' })
    await redis.cli('XADD', 's-foreign', '*', 'total', '12', 'region', 'eu')
    await redis.cli('XADD', 's-foreign', '*', 'payload', 'plain')
    assert.deepEqual(await texts(2), ['{"total":"12","region":"eu"}', 'plain'])
    const other = await startStream(t, { url, stream: 's-foreign', group: 'other', 'payload-field': 'total' })
    assert.deepEqual(await other.texts(2), ['12', '{"payload":"plain"}'])
  })

  test('what was trimmed away while it was pending is counted, and pending no more', async (t) => {
    const stream = 's-trimmed'
    const client = await connect(t)
    const first = await startStream(t, { url, stream })
    await write(client, stream, ['1', '2', '3'])
    await first.texts(3)
    await first.close()
    await client.xtrim(stream, 'MAXLEN', 1)
    const second = await startStream(t, { url, stream })
    assert.deepEqual(await second.texts(1), ['3'])
    assert.equal(second.endpoint.counters['trimmed'], 2)
    await until(async () => (await pendingOf(redis, stream)) === 1)
  })

  test('several streams come in by one endpoint', async (t) => {
    const client = await connect(t)
    await write(client, 's-two', ['b'])
    const { texts, incoming } = await startStream(t, { url, streams: ['s-one', 's-two', 's-three'], batch: 2 })
    await write(client, 's-one', ['a', 'c', 'd'])
    await write(client, 's-three', ['e'])
    await texts(5)
    assert.deepEqual(incoming.map(({ message }) => `${message.topic} ${message.payload.toString()}`).toSorted(), [
      's-one a',
      's-one c',
      's-one d',
      's-three e',
      's-two b',
    ])
    for (const { settle } of incoming) settle(null)
    for (const stream of ['s-one', 's-two', 's-three']) await until(async () => (await pendingOf(redis, stream)) === 0)
  })

  test('two relays of one group share the entries; each comes in at one of them', async (t) => {
    const stream = 's-shared'
    const options = { url, stream, batch: 5 }
    const settle = { onIncoming: (each: { settle: (error: null) => void }) => each.settle(null) }
    const one = await startStream(t, { ...options, consumer: 'one' }, settle)
    const two = await startStream(t, { ...options, consumer: 'two' }, settle)
    const client = await connect(t)
    for (let number = 1; number <= 40; number++) await write(client, stream, [String(number)])
    await until(() => one.incoming.length + two.incoming.length >= 40)
    const all = [...one.incoming, ...two.incoming].map(({ text }) => Number(text)).toSorted((a, b) => a - b)
    assert.deepEqual(all.map(String), numbers(1, 40))
  })

  test('the end waits for the read that is under way: what it brings is taken in, or stays for the next start', async (t) => {
    const stream = 's-end'
    const client = await connect(t)
    const { endpoint, incoming, close } = await startStream(
      t,
      { url, stream },
      { onIncoming: ({ settle }) => settle(null) },
    )
    const closing = endpoint.pause()
    await write(client, stream, ['1'])
    await closing
    await close()
    await until(async () => (await pendingOf(redis, stream)) === 0)
    const next = await startStream(t, { url, stream })
    await write(client, stream, ['2'])
    await next.texts(1)
    assert.deepEqual([...incoming.map(({ text }) => text), ...(await next.texts(2 - incoming.length))], ['1', '2'])
  })

  test('a key that holds no stream is a reason', async (t) => {
    await redis.cli('SET', 's-string', 'x')
    const { endpoint } = await startStream(t, { url, stream: 's-string' }, { mayBeDown: true })
    await until(() => endpoint.state === 'down')
    assert.match(endpoint.reason ?? '', /WRONGTYPE/)
  })

  test('where no route begins, nothing is read and no group is made', async (t) => {
    const own = await startRedis({ t })
    const orders = { id: 'endpoint-redis-stream', url: own.url, stream: 'orders' }
    const { app } = await startRelay({ t, redis: { orders }, routes: { in: ['orders'] } })
    await app.araldo.publish('in', 1)
    assert.deepEqual(await relayConnections(own), ['araldo-writer'])
    assert.equal(await own.cli('XINFO', 'GROUPS', 'orders'), '')
  })
})
