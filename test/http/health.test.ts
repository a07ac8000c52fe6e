import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Fastify from 'fastify'
import araldo from '../../lib/plugin.ts'
import { recordingLog } from '../support/core.ts'
import { configOf, relayServer, testType } from '../support/relay.ts'
import { until } from '../support/wait.ts'

const APP = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-app' } }, { in: ['out'] })

describe('health', () => {
  test('live and ready answer 200 while every endpoint is up', async (t) => {
    const server = await relayServer(t, { config: APP })
    for (const [path, status] of [
      ['live', 'live'],
      ['ready', 'ready'],
    ]) {
      const response = await server.inject(`/health/${path}`)
      assert.equal(response.statusCode, 200)
      assert.equal(response.json<{ status: string }>().status, status)
      assert.equal(response.headers['cache-control'], 'no-store')
    }
  })

  test('HEAD is answered like GET, other methods are not', async (t) => {
    const server = await relayServer(t, { config: APP }, { exposeHeadRoutes: false })
    const head = await server.inject({ method: 'HEAD', url: '/health/ready' })
    assert.deepEqual([head.statusCode, head.body], [200, ''])
    for (const method of ['POST', 'PUT', 'DELETE'] as const) {
      assert.equal((await server.inject({ method, url: '/health/ready' })).statusCode, 404)
    }
  })

  test('ready says which endpoint is not up and why, and recovers with it', async (t) => {
    const { type, made } = testType()
    const config = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }, { in: ['out'] })
    const server = await relayServer(t, { config, types: [type] })
    const out = made.get('out')!
    out.onConnect = () => {
      throw new Error('connect ECONNREFUSED 127.0.0.1:1')
    }
    const response = await server.inject('/health/ready')
    assert.equal(response.statusCode, 503)
    assert.equal(response.headers['cache-control'], 'no-store')
    const { status, reason, endpoints } = response.json()
    assert.equal(status, 'unavailable')
    assert.equal(reason, 'not up: out')
    assert.equal(endpoints.length, 1)
    assert.equal(endpoints[0].name, 'out')
    assert.equal(endpoints[0].type, 'endpoint-test')
    assert.match(endpoints[0].state, /^(down|connecting)$/)
    assert.equal(endpoints[0].reason, 'connect ECONNREFUSED 127.0.0.1:1')
    assert.equal((await server.inject('/health/live')).statusCode, 200)

    out.onConnect = undefined
    await out.whenUp(5_000)
    assert.equal((await server.inject('/health/ready')).statusCode, 200)
  })

  test('a reason shows no secret of the config, no control character and no novel', async (t) => {
    process.env.ARALDO_TEST_SECRET = 'hunter2-and-more'
    t.after(() => delete process.env.ARALDO_TEST_SECRET)
    const { type, made } = testType()
    const secretive = { ...type, schema: { type: 'object', properties: { password: { type: 'string' } } } }
    const config = configOf(
      { in: { id: 'endpoint-app' }, out: { id: 'endpoint-test', password: '${ARALDO_TEST_SECRET}' } },
      { in: ['out'] },
    )
    const server = await relayServer(t, { config, types: [secretive] })
    made.get('out')!.onConnect = () => {
      throw new Error(`login with hunter2-and-more\u001b[2J failed ${'x'.repeat(10_000)}`)
    }
    const { body } = await server.inject('/health/ready')
    assert.ok(!body.includes('hunter2'))
    assert.ok(body.includes('login with ***\uFFFD[2J failed'))
    assert.ok(body.length < 600)
  })

  test('ready says that the relay is shutting down while it drains', async (t) => {
    const { type, made } = testType({ confirm: true })
    const config = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }, { in: ['out'] })
    // Fastify's own answer while it closes, which this switches off, is a 503 that gives no reason.
    const server = await relayServer(t, { config, types: [type] }, { return503OnClosing: false })
    const base = await server.listen({ port: 0 })
    let confirm = (): void => {}
    made.get('out')!.onSend = (_message, settle) => {
      confirm = () => settle?.(null)
    }
    const published = server.araldo.publish('in', 1)
    const closed = server.close()
    await until(() => server.araldo.closing)
    const response = await fetch(`${base}/health/ready`)
    assert.equal(response.status, 503)
    const { status, reason } = (await response.json()) as { status: string; reason: string }
    assert.deepEqual({ status, reason }, { status: 'closing', reason: 'the relay is shutting down' })
    confirm()
    await published
    await closed
  })

  test('switched off, it leaves its paths to the host', async (t) => {
    const server = await relayServer(t, { config: APP, health: false, metrics: false })
    server.get('/health/live', async () => 'the host is fine')
    server.get('/metrics', async () => 'the host counts')
    assert.equal((await server.inject('/health/live')).body, 'the host is fine')
    assert.equal((await server.inject('/metrics')).body, 'the host counts')
    assert.equal((await server.inject('/health/ready')).statusCode, 404)
  })

  test('two relays in sibling scopes answer each below its own prefix', async (t) => {
    const { type, made } = testType()
    const server = Fastify()
    t.after(() => server.close())
    const broken = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }, { in: ['out'] })
    await server.register(async (scope) => {
      await scope.register(araldo, { config: APP, prefix: '/a' })
    })
    await server.register(async (scope) => {
      await scope.register(araldo, { config: broken, types: [type], prefix: '/b', health: { prefix: '/state' } })
    })
    made.get('out')!.onConnect = () => new Promise(() => {})
    assert.equal((await server.inject('/a/health/ready')).statusCode, 200)
    assert.equal((await server.inject('/b/state/ready')).statusCode, 503)
    assert.equal((await server.inject('/health/ready')).statusCode, 404)
  })

  test('a prefix without a slash is refused with the name of the option', async (t) => {
    await assert.rejects(relayServer(t, { config: APP, health: { prefix: 'health' } }), {
      code: 'ARALDO_ERR_CONFIG',
      message: "health.prefix: expected a path that begins with /, got 'health'",
    })
  })

  test('a path that the host has taken is an error that says which option moves it', async (t) => {
    for (const [taken, option] of [
      ['/health/live', 'health.prefix'],
      ['/metrics', 'metrics.path'],
    ] as const) {
      const server = Fastify()
      t.after(() => server.close())
      server.get(taken, async () => 'mine')
      const message = new RegExp(`'${taken}': move that route, set the option '${option}', or switch this off`)
      await assert.rejects(async () => server.register(araldo, { config: APP }), { code: 'ARALDO_ERR_CONFIG', message })
    }
  })

  test('probes do not fill the log', async (t) => {
    const { log, lines } = recordingLog()
    const server = Fastify({ loggerInstance: log })
    t.after(() => server.close())
    await server.register(araldo, { config: APP, console: true })
    server.get('/hello', async () => 'hello')
    await server.ready()
    const before = lines.length
    for (const url of ['/health/live', '/health/ready', '/metrics', '/console']) await server.inject(url)
    assert.equal(lines.length, before)
    await server.inject('/hello')
    assert.ok(lines.length > before)
  })
})
