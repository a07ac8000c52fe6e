/** The endpoint in a relay: routes, steps, hooks and prefix as an application declares them; and behind TLS. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import fastify, { type FastifyInstance } from 'fastify'
import araldo, { type AraldoOptions, type ConfigObject } from '../../../lib/index.ts'
import { makeCertificate } from '../../support/certificate.ts'
import { connect, UpgradeRefused } from '../../support/client.ts'
import type { Owner } from '../../support/process.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'

async function relay(t: Owner, options: AraldoOptions, app: FastifyInstance = fastify()): Promise<string> {
  t.after(() => app.close())
  await app.register(araldo, options)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

function config(endpoints: readonly object[], routes: object): { config: ConfigObject } {
  return { config: { plugins: { 'araldo.endpoints.endpoint': endpoints }, routes } }
}

describe('in a relay', () => {
  test('what one browser sends the others get', async (t) => {
    const browsers = { name: 'browsers', id: 'endpoint-websocket', path: '/ws' }
    const app = fastify()
    const host = await relay(t, config([browsers], { browsers: ['browsers'] }), app)
    const [one, two] = [await connect(`ws://${host}/ws`, { t }), await connect(`ws://${host}/ws`, { t })]
    await one.send({ text: 'hello' })
    assert.deepEqual(await two.nextJson(), { text: 'hello' })
    await two.send({ text: 'hello yourself' })
    assert.deepEqual(await one.nextJson(), { text: 'hello yourself' })
    const ledger = app.araldo.routes[0]?.lanes[0]?.ledger
    assert.equal(ledger?.received, 2)
    assert.equal(ledger?.delivered, 2)
  })

  test('a room for each path, and announcements for everyone', async (t) => {
    const endpoints = [
      { name: 'rooms', id: 'endpoint-websocket', path: '/rooms/:room', topic: '{topic}' },
      { name: 'announcements', id: 'endpoint-app' },
    ]
    const routes = {
      rooms: [{ to: 'rooms', topic: '/rooms/{headers.param_room}' }],
      announcements: [{ to: 'rooms', topic: '*' }],
    }
    const app = fastify()
    const host = await relay(t, { ...config(endpoints, routes), prefix: '/relay' }, app)
    const open = (room: string) => connect(`ws://${host}/relay/rooms/${room}`, { t })
    const [alice, bob, carol] = [await open('blue'), await open('blue'), await open('red')]
    await alice.send('"to blue"')
    await carol.send('"to red"')
    for (const client of [alice, carol]) await client.roundTrip()
    await app.araldo.publish('announcements', 'to all')
    assert.deepEqual(await bob.take(2), ['"to blue"', '"to all"'])
    assert.deepEqual(await carol.take(1), ['"to all"'])
    assert.deepEqual(await alice.take(1), ['"to all"'])
  })

  test('an endpoint has the hooks that the application gives it, another has none', async (t) => {
    const endpoints = [
      { name: 'private', id: 'endpoint-websocket', path: '/private' },
      { name: 'public', id: 'endpoint-websocket', path: '/public' },
    ]
    const refuse = async (): Promise<never> => {
      throw Object.assign(new Error('who are you?'), { statusCode: 401 })
    }
    const options = { ...config(endpoints, { public: ['private'] }), hooks: { private: { preValidation: refuse } } }
    const host = await relay(t, options)
    await assert.rejects(connect(`ws://${host}/private`, { t }), (error) => {
      return error instanceof UpgradeRefused && error.statusCode === 401
    })
    const client = await connect(`ws://${host}/public`, { t })
    await client.roundTrip()
  })

  test('what is wrong with its options is said when the config is loaded', async () => {
    const wrong: [option: object, message: RegExp][] = [
      [{ path: 'ws' }, /endpoint 'browsers': path/],
      [{ origins: ['app.example.com'] }, /endpoint 'browsers': origins: 'app\.example\.com' is no origin/],
      [{ topic: 'rooms' }, /endpoint 'browsers': topic: begins with \//],
      [{ topic: '/rooms/{headers.room' }, /endpoint 'browsers': topic: '\{' without '\}'/],
      [{ 'max-payload': '65MiB' }, /endpoint 'browsers': max-payload/],
      [{ 'on-invalid': 'ignore' }, /endpoint 'browsers': on-invalid/],
      [{ limit: 1 }, /endpoint 'browsers': limit/],
    ]
    for (const [option, message] of wrong) {
      const browsers = { name: 'browsers', id: 'endpoint-websocket', path: '/ws', ...option }
      await assert.rejects(async () => fastify().register(araldo, config([browsers], {})), message)
    }
  })

  test('a path that is taken is an error that names the endpoint', async () => {
    const endpoints = ['one', 'two'].map((name) => ({ name, id: 'endpoint-websocket', path: '/ws' }))
    await assert.rejects(
      async () => fastify().register(araldo, config(endpoints, {})),
      /endpoint 'two': path: .*'\/ws' is taken by another route/,
    )
  })
})

test('behind TLS it works the same, with a stalled client among the others', { skip: need('openssl') }, async (t) => {
  const { ca, keyFile, certFile } = await makeCertificate()
  const https = { key: readFileSync(keyFile), cert: readFileSync(certFile) }
  const endpoints = [
    { name: 'browsers', id: 'endpoint-websocket', path: '/ws', 'write-timeout': '400ms', limit: '64MiB' },
    { name: 'app', id: 'endpoint-app' },
  ]
  const app = fastify({ https }) as unknown as FastifyInstance
  const host = await relay(t, config(endpoints, { app: ['browsers'] }), app)
  const url = `wss://${host}/ws`
  const reader = await connect(url, { t, ca })
  const stalled = await connect(url, { t, ca })
  stalled.pause()
  const text = 'x'.repeat(10 * 1024 * 1024)
  await app.araldo.publish('app', text)
  assert.equal(await reader.nextJson(), text)
  await until(() => app.araldo.endpoints.get('browsers')?.counters.slowClosed === 1)
  await app.araldo.publish('app', 'more')
  assert.equal(await reader.nextJson(), 'more')
  await app.close()
  assert.equal((await reader.closed).code, 1001)
})
