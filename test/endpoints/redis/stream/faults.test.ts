import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient, startRelay } from '../relay.ts'
import { pendingOf, startStream } from './support.ts'

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always']

describe('endpoint-redis-stream, faults', { skip: need('redis-server', 'redis-cli'), concurrency: 3 }, () => {
  test('a Redis that is killed between two streams under load loses nothing, and doubles what was in flight at most', async (t) => {
    const redis = await startRedis({ t, args: DURABLE })
    const { url } = redis
    const stream = { id: 'endpoint-redis-stream', url }
    const { app, ledger, down, up } = await startRelay({
      t,
      redis: { from: { ...stream, stream: 'from' }, to: { ...stream, topic: 'to' } },
      routes: { from: ['to'], in: ['from'] },
    })
    // Written through the relay: it tries again until each is there.
    const COUNT = 3_000
    const sent: Promise<unknown>[] = []
    const publish = (number: number): void => {
      sent.push(app.araldo.publish('in', number, { key: String(number % 50), id: `m-${number}` }))
    }
    for (let number = 0; number < COUNT / 2; number++) publish(number)
    await until(() => ledger('from', 'to').delivered > 200, { timeout: 20_000 })
    await redis.kill()
    await down('to')
    for (let number = COUNT / 2; number < COUNT; number++) publish(number)
    await redis.start()
    const started = performance.now()
    await Promise.all([up('from'), up('to')])
    const healed = performance.now() - started
    assert.ok(healed < 5_000, `it took ${healed} ms`)
    await Promise.all(sent)
    const client = await connectClient(t, redis)
    await until(async () => (await pendingOf(redis, 'from')) === 0 && ledger('from', 'to').waiting === 0, {
      timeout: 30_000,
    })
    const entries = await client.xrange('to', '-', '+')
    const ids = entries.map(([, fields]) => fields[fields.indexOf('id') + 1] as string)
    assert.equal(new Set(ids).size, COUNT, 'each of them is there')
    assert.ok(ids.length - COUNT <= 2 * 64, `${ids.length - COUNT} are there twice`)
  })

  test('a Redis that accepts and never answers is noticed within 15 s, and used again when it does', async (t) => {
    const redis = await startRedis({ t })
    const { url } = redis
    const source = await startStream(t, { url, stream: 'frozen' }, { onIncoming: ({ settle }) => settle(null) })
    const target = await startStream(t, { url, topic: 'frozen' })
    await target.send('before')
    await source.texts(1)
    redis.pause()
    const frozen = performance.now()
    const answer = target.send('x')
    await until(() => source.endpoint.state !== 'up', { timeout: 15_000 })
    await until(() => target.endpoint.state !== 'up', { timeout: 15_000 })
    assert.ok(performance.now() - frozen < 15_000)
    assert.match((await answer)?.message ?? '', /lost its connection/)
    redis.resume()
    await Promise.all([source.endpoint.whenUp(10_000), target.endpoint.whenUp(10_000)])
    assert.equal(await target.send('after'), null)
    await until(() => source.incoming.some(({ text }) => text === 'after'))
    await until(async () => (await pendingOf(redis, 'frozen')) === 0)
  })

  test('an end while Redis is frozen or gone is short', async (t) => {
    const redis = await startRedis({ t })
    const options = { url: redis.url, stream: 'end' }
    const one = await startStream(t, { ...options, consumer: 'one' })
    const two = await startStream(t, { ...options, consumer: 'two' })
    await redis.cli('XADD', 'end', '*', 'payload', 'x')
    await until(() => one.incoming.length + two.incoming.length === 1)
    redis.pause()
    for (const { settle } of [...one.incoming, ...two.incoming]) settle(null)
    const began = performance.now()
    await one.close()
    await redis.kill()
    await two.close()
    assert.ok(performance.now() - began < 10_000)
  })
})
