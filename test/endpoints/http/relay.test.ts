/** The endpoint in a relay: what is promised from end to end, blocked lanes, reloads, and two endpoints facing each other. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { guaranteesOf } from './guarantees.ts'
import { configOf, testType } from '../../support/relay.ts'
import { startRedis } from '../../support/redis.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { post, startReceiver, startRelay } from './support.ts'

const IN = { id: 'endpoint-http', path: '/in' }

describe('a lane', () => {
  test('from requests promises at least once where they are answered when it is settled, and only there', async (t) => {
    const out = { id: 'endpoint-http', url: 'https://x.example/' }
    const endpoints = { settled: IN, accepted: { ...IN, path: '/b', acknowledge: 'accepted' }, out }
    const { app } = await startRelay(t, { config: configOf(endpoints, { settled: ['out'], accepted: ['out'] }) })
    assert.deepEqual(guaranteesOf(app), { 'settled>out': 'at-least-once', 'accepted>out': 'at-most-once' })
  })

  test('that is nearly full has requests answered with 503, and takes them again when its target goes on', async (t) => {
    const { type, made } = testType({ confirm: true })
    const lane = { to: 'out', buffer: { messages: 4 } }
    const config = configOf({ in: IN, out: { id: 'endpoint-test' } }, { in: [lane] })
    const { host } = await startRelay(t, { config, types: [type] })
    const settles: (() => void)[] = []
    const out = made.get('out')
    if (out !== undefined) out.onSend = (_message, settle) => void settles.push(() => settle?.(null))
    const url = `http://${host}/in`
    const waiting = []
    let refused
    for (let number = 0; number < 10 && refused === undefined; number++) {
      const answered = post(url, String(number), { headers: { 'araldo-key': String(number) } })
      const seen = settles.length
      const first = await Promise.race([
        answered,
        until(() => settles.length > seen, { timeout: 500 }).catch(() => undefined),
      ])
      if (typeof first === 'object') refused = first
      else waiting.push(answered)
    }
    assert.deepEqual([refused?.status, refused?.body['code']], [503, 'ARALDO_ERR_SOURCE_BUSY'])
    assert.match(String(refused?.headers['retry-after']), /^[123]$/)
    const settleAll = setInterval(() => settles.splice(0).forEach((settle) => settle()), 5)
    t.after(() => clearInterval(settleAll))
    for (const { status } of await Promise.all(waiting)) assert.equal(status, 200)
    await until(async () => (await post(url, '"again"')).status === 200)
  })

  test('to a receiver that answers 503 for a while delivers all the same, each once, in the order of its key', async (t) => {
    let failures = 3
    const receiver = await startReceiver(t, (_, response) => {
      response.writeHead(failures > 0 ? 503 : 204).end()
      failures--
    })
    const out = { id: 'endpoint-http', url: receiver.url, 'allow-private': true }
    const lane = { to: 'out', retry: { 'min-delay': '5ms', 'max-delay': '20ms' } }
    const { host, app } = await startRelay(t, { config: configOf({ in: IN, out }, { in: [lane] }) })
    const headers = { 'araldo-key': 'k' }
    const body = Array.from({ length: 20 }, (_, number) => number).join('\n')
    assert.equal((await post(`http://${host}/in`, body, { headers, type: 'application/x-ndjson' })).status, 200)
    const bodies = receiver.received.map(({ body: each }) => Number(String(each)))
    assert.deepEqual(bodies, [0, 0, 0, ...Array.from({ length: 20 }, (_, number) => number)])
    const ids = new Set(receiver.received.map((each) => each.headers['idempotency-key']))
    assert.equal(ids.size, 20)
    assert.equal(app.araldo.routes[0]?.lanes[0]?.ledger.delivered, 20)
  })

  test('to a receiver that refuses for good has the request answered with 422, and its dead letters', async (t) => {
    const receiver = await startReceiver(t, (_, response) => void response.writeHead(400).end())
    const out = { id: 'endpoint-http', url: receiver.url, 'allow-private': true }
    const { host } = await startRelay(t, { config: configOf({ in: IN, out }, { in: ['out'] }) })
    const { status, body } = await post(`http://${host}/in`, '1')
    assert.deepEqual([status, body['code']], [422, 'ARALDO_ERR_RECEIVER_REFUSED'])
  })
})

describe('a stream of Redis behind a path', { skip: need('redis-server') }, () => {
  test('has what was answered with 200; while Redis is dead nothing is', async (t) => {
    const redis = await startRedis({ t, args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
    const endpoints = {
      in: { ...IN, 'settle-timeout': '200ms' },
      orders: { id: 'endpoint-redis-stream', url: redis.url, topic: 'orders', 'ping-interval': '100ms' },
    }
    const { host, app } = await startRelay(t, { config: configOf(endpoints, { in: ['orders'] }) })
    const state = (): string | undefined => app.araldo.endpoints.get('orders')?.state
    const url = `http://${host}/in`
    await until(() => state() === 'up')
    for (const id of ['a', 'b']) {
      assert.equal((await post(url, '1', { headers: { 'araldo-id': id } })).status, 200)
    }
    assert.equal(await redis.cli('XLEN', 'orders'), '2')
    await redis.kill()
    const dead = await post(url, '2', { headers: { 'araldo-id': 'c' } })
    assert.ok([503, 504].includes(dead.status), String(dead.status))
    assert.match(String(dead.headers['retry-after']), /^[123]$/)
    await redis.start()
    await until(() => state() === 'up')
    assert.equal((await post(url, '2', { headers: { 'araldo-id': 'c' } })).status, 200)
    const entries = await redis.cli('XRANGE', 'orders', '-', '+')
    for (const id of ['a', 'b', 'c']) assert.match(entries, new RegExp(`^${id}$`, 'm'))
  })
})

describe('two relays', () => {
  test('one posts to the other: payload, id, key, time and headers arrive as they were', async (t) => {
    const there = { in: { ...IN, path: '/hooks/:name', 'forward-headers': ['*'] }, audit: { id: 'endpoint-app' } }
    const { host, app } = await startRelay(t, { config: configOf(there, { in: ['audit'] }) })
    const seen: unknown[] = []
    app.araldo.subscribe('audit', ({ id, key, topic, headers, body }) => {
      seen.push({ id, key, topic, kind: headers['kind'], body })
    })
    const out = { id: 'endpoint-http', url: `http://${host}/hooks/a`, 'allow-private': true, 'forward-headers': ['*'] }
    const here = await startRelay(t, { config: configOf({ app: { id: 'endpoint-app' }, out }, { app: ['out'] }) })
    const published = { id: 'Ä 1', key: 'schlüssel', headers: { kind: 'größer 日本' } }
    await here.app.araldo.publish('app', { text: 'hallo' }, published)
    assert.deepEqual(seen, [
      { id: 'Ä 1', key: 'schlüssel', topic: '/hooks/a', kind: 'größer 日本', body: { text: 'hallo' } },
    ])
  })
})

describe('a reload', () => {
  test('gives an endpoint another path, behind the same hooks', async (t) => {
    const app = { id: 'endpoint-app' }
    const at = (path: string) => configOf({ app, audit: app, in: { ...IN, path } }, { app: ['audit'], in: ['audit'] })
    const onRequest = async (request: { headers: Record<string, unknown> }): Promise<void> => {
      if (request.headers['authorization'] === undefined) throw Object.assign(new Error('who?'), { statusCode: 401 })
    }
    const { host, app: server } = await startRelay(t, { config: at('/first'), hooks: { in: { onRequest } } })
    assert.equal((await post(`http://${host}/first`, '0')).status, 401)
    const seen: unknown[] = []
    server.araldo.subscribe('audit', ({ body, topic }) => void seen.push([body, topic]))
    const headers = { authorization: 'yes' }
    const send = (path: string, body: string, more = {}) => post(`http://${host}${path}`, body, { headers, ...more })
    assert.equal((await send('/first', '0')).status, 200)

    const { drained } = await server.araldo.reload(at('/in/:name'))
    await drained
    assert.equal((await send('/in/a', '{"n":1}')).status, 200)
    assert.equal((await send('/in/b', '2\n3', { type: 'application/x-ndjson' })).status, 200)
    assert.equal((await send('/in/a', '4', { headers: {} })).status, 401)
    assert.equal((await send('/in/a', '<x/>', { type: 'text/xml' })).status, 415)
    assert.equal((await send('/in/a', '{')).status, 422)
    assert.equal((await send('/in/a', `"${'x'.repeat(1024 * 1024)}"`)).status, 413)
    assert.equal((await send('/first', '5')).status, 404)
    assert.deepEqual(seen, [
      [0, '/first'],
      [{ n: 1 }, '/in/a'],
      [2, '/in/b'],
      [3, '/in/b'],
    ])
  })

  test('takes an endpoint away and brings it back', async (t) => {
    const app = { id: 'endpoint-app' }
    const without = configOf({ app, audit: app }, { app: ['audit'] })
    const together = configOf({ app, audit: app, in: IN }, { app: ['audit'], in: ['audit'] })
    const { host, app: server } = await startRelay(t, { config: without })
    server.araldo.subscribe('audit', () => {})
    const seen = []
    for (const config of [together, without, together, without]) {
      const { drained } = await server.araldo.reload(config)
      await drained
      seen.push((await post(`http://${host}/in`, '1')).status)
    }
    assert.deepEqual(seen, [200, 404, 200, 404])
  })

  test('that takes the route of an endpoint away has its requests answered with 503, and the endpoint lives on', async (t) => {
    const endpoints = { in: IN, app: { id: 'endpoint-app' }, audit: { id: 'endpoint-app' } }
    const { host, app } = await startRelay(t, { config: configOf(endpoints, { in: ['audit'], app: ['audit'] }) })
    const seen: unknown[] = []
    app.araldo.subscribe('audit', ({ body }) => void seen.push(body))
    await app.araldo.reload(configOf(endpoints, { app: ['audit'] }))
    assert.equal((await post(`http://${host}/in`, '1')).status, 503)
    await app.araldo.reload(configOf(endpoints, { in: ['audit'], app: ['audit'] }))
    assert.equal((await post(`http://${host}/in`, '2')).status, 200)
    assert.deepEqual(seen, [2])
  })
})
