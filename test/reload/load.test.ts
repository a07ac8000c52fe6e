/** Reloads, and the end, while messages flow: real Redis, real browsers' connections, nothing lost or doubled. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { startAraldo } from '../support/araldo.ts'
import { connect, type TestClient } from '../support/client.ts'
import type { Owner } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { configOf } from '../support/relay.ts'
import { listening } from '../support/reload.ts'
import { until, within } from '../support/wait.ts'

const skip = need('redis-server')
const RELOADS = 50

async function client(t: Owner, url: string): Promise<Redis> {
  const redis = new Redis(url)
  t.after(() => redis.disconnect())
  await redis.ping()
  return redis
}

/** Publishes numbers from 0 on, a few each turn, until it is told to stop. */
function flow(send: (number: number) => Promise<unknown>): { stop(): Promise<number>; readonly count: number } {
  let count = 0
  const state = { isStopped: false }
  const done = (async () => {
    while (!state.isStopped) {
      await Promise.all(Array.from({ length: 5 }, () => send(count++)))
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  return {
    get count() {
      return count
    },
    stop: async () => {
      state.isStopped = true
      await done
      return count
    },
  }
}

function numbers(messages: readonly unknown[]): number[] {
  return messages.map((message) => Number(message))
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_none, number) => number)
}

async function takeAll(browser: TestClient, count: number): Promise<number[]> {
  return numbers(await browser.take(count, 20_000))
}

describe('fifty reloads under load', { skip }, () => {
  test('from Redis Pub/Sub: what stays loses nothing and no connection, changed lanes keep every message in order', async (t) => {
    const redis = await startRedis({ t })
    const config = (version: number) =>
      configOf(
        {
          orders: { id: 'endpoint-redis', url: redis.url, channel: 'orders' },
          browsers: { id: 'endpoint-websocket', path: '/ws' },
          audit: { id: 'endpoint-app' },
          other: { id: 'endpoint-websocket', path: `/other/${version % 3}`, 'max-connections': 10 + version },
          ...(version % 2 === 1 && { extra: { id: 'endpoint-mock' } }),
        },
        {
          orders: ['browsers', { to: 'audit', when: `body >= ${-version}.0` }, ...(version % 2 === 1 ? ['extra'] : [])],
          other: ['audit'],
        },
      )
    const { app, host, lines } = await listening(t, { config: config(0) })
    await until(() => app.araldo.endpoints.get('orders')?.state === 'up')
    const heard: number[] = []
    app.araldo.subscribe('audit', ({ body }) => void heard.push(body as number))
    const browser = await connect(`ws://${host}/ws`, { t })
    const publisher = await client(t, redis.url)
    const flowing = flow((number) => publisher.publish('orders', String(number)))
    for (let version = 1; version <= RELOADS; version++) {
      const bad = configOf({ orders: { id: 'endpoint-redis', url: redis.url, channel: 5 } }, { orders: ['nowhere'] })
      if (version % 10 === 0) await assert.rejects(app.araldo.reload(bad), { code: 'ARALDO_ERR_CONFIG' })
      const before = flowing.count
      const { drained } = await app.araldo.reload(config(version))
      await drained
      await until(() => flowing.count > before)
    }
    const sent = await flowing.stop()
    assert.deepEqual(await takeAll(browser, sent), upTo(sent))
    await until(() => heard.length >= sent)
    assert.deepEqual(heard, upTo(sent))
    assert.equal(browser.socket.readyState, browser.socket.OPEN)
    const [lane] = app.araldo.routes[0]?.lanes ?? []
    assert.deepEqual([lane?.ledger.received, lane?.ledger.delivered], [sent, sent])
    assert.equal(app.araldo.endpoints.get('orders')?.counters['connects'], 1)
    assert.deepEqual(app.araldo.configuration.reloads, { applied: RELOADS, refused: RELOADS / 10 })
    assert.ok(!lines.some(({ level }) => level >= 50))
  })

  test('from stream to stream, with the source and the target replaced: nothing lost, nothing doubled, in order', async (t) => {
    const redis = await startRedis({ t })
    const stream = (name: string, more: object) => ({
      id: 'endpoint-redis-stream',
      url: redis.url,
      stream: name,
      ...more,
    })
    const config = (version: number) =>
      configOf(
        {
          in: stream('in', { batch: 100 + version }),
          out: stream('out', version % 2 === 1 ? { 'max-length': 1_000_000 } : {}),
        },
        { in: ['out'] },
      )
    const { app } = await listening(t, { config: config(0) })
    const publisher = await client(t, redis.url)
    const flowing = flow((number) => publisher.xadd('in', '*', 'payload', String(number)))
    for (let version = 1; version <= 6; version++) {
      const before = flowing.count
      const { drained } = await app.araldo.reload(config(version))
      await drained
      await until(() => flowing.count > before)
    }
    const sent = await flowing.stop()
    await until(async () => (await publisher.xlen('out')) >= sent, { timeout: 20_000 })
    await until(async () => ((await publisher.xpending('in', 'araldo')) as [number])[0] === 0)
    const entries = await publisher.xrange('out', '-', '+')
    const arrived = entries.map(([, fields]) => fields[fields.indexOf('payload') + 1])
    assert.deepEqual(numbers(arrived), upTo(sent))
  })
})

describe('the end under load', { skip }, () => {
  const yaml = (url: string, target: string) => `
global: { server-port: 0, shutdown-timeout: 5s }
plugins:
  araldo.endpoints.endpoint:
    - { name: in, id: endpoint-redis-stream, url: "${url}", stream: in }
    - { name: out, id: endpoint-redis-stream, url: "${target}", stream: out }
    - { name: news, id: endpoint-redis, url: "${url}", channel: news }
    - { name: browsers, id: endpoint-websocket, path: /ws }
routes: { in: [out], news: [browsers] }
`

  test('SIGTERM: exit code 0, what was taken in is delivered once, and browsers are told when to come back', async (t) => {
    const redis = await startRedis({ t })
    const relay = await startAraldo(yaml(redis.url, redis.url), { t })
    const publisher = await client(t, redis.url)
    const browsers = await Promise.all(Array.from({ length: 20 }, () => connect(`ws://${relay.host}/ws`, { t })))
    await until(async () => ((await publisher.pubsub('NUMSUB', 'news')) as [string, number])[1] === 1)
    const flowing = flow(async (number) => {
      await Promise.all([
        publisher.publish('news', String(number)),
        publisher.xadd('in', '*', 'payload', String(number)),
      ])
    })
    await until(() => flowing.count > 500)
    assert.deepEqual(await relay.process.stop(), { code: 0, signal: null })
    const sent = await flowing.stop()
    const delays = new Set<string>()
    for (const browser of browsers) {
      const { code, reason } = await within(browser.closed)
      assert.equal(code, 1001)
      delays.add(reason)
      const got = numbers(browser.drain())
      assert.deepEqual(got, upTo(got.length))
    }
    assert.ok(delays.size > 10, 'they are spread')

    // What it had not taken in is taken in by the next one: together they have delivered everything once.
    const next = await startAraldo(yaml(redis.url, redis.url), { t })
    await until(async () => (await publisher.xlen('out')) >= sent, { timeout: 20_000 })
    assert.deepEqual(await next.process.stop(), { code: 0, signal: null })
    const entries = await publisher.xrange('out', '-', '+')
    const arrived = numbers(entries.map(([, fields]) => fields[fields.indexOf('payload') + 1]))
    assert.deepEqual(
      [...new Set(arrived)].toSorted((one, other) => one - other),
      upTo(sent),
      'nothing is lost',
    )
    // What a busy machine has lost the connection under, or had no time for, is written again: a warning says so.
    const isUndisturbed = ![relay, next].some((each) => each.log().some(({ level }) => Number(level) >= 40))
    if (isUndisturbed) assert.equal(arrived.length, sent, 'nothing is doubled')
  })

  test('SIGTERM with the target away: exit code 0 in time, and what was in hand is delivered by the next one', async (t) => {
    const [redis, away] = [await startRedis({ t }), await startRedis({ t })]
    const relay = await startAraldo(yaml(redis.url, away.url), { t })
    const publisher = await client(t, redis.url)
    await until(async () => (await publisher.xinfo('GROUPS', 'in').catch(() => [])) as unknown[], {})
    await away.kill()
    for (const number of upTo(100)) await publisher.xadd('in', '*', 'payload', String(number))
    await until(async () => ((await publisher.xpending('in', 'araldo')) as [number])[0] === 100)
    const began = performance.now()
    assert.deepEqual(await relay.process.stop(), { code: 0, signal: null })
    assert.ok(performance.now() - began < 6_000)
    assert.match(relay.process.stdout, /"messages":100,"msg":"not everything could be delivered before the end"/)

    await away.start()
    await startAraldo(yaml(redis.url, away.url), { t })
    const reader = await client(t, away.url)
    await until(async () => (await reader.xlen('out')) >= 100, { timeout: 20_000 })
    const arrived = (await reader.xrange('out', '-', '+')).map(([, fields]) => fields[fields.indexOf('payload') + 1])
    assert.deepEqual(numbers(arrived), upTo(100))
  })
})
