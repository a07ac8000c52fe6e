/** Another config while the relay runs: what stays, what is replaced, and that a refused one leaves no trace. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { errors } from '../../lib/errors.ts'
import type { Message } from '../../lib/message.ts'
import type { Settle } from '../../lib/types.ts'
import { connect } from '../support/client.ts'
import { temporaryFolder } from '../support/process.ts'
import { configOf, relayServer } from '../support/relay.ts'
import { listening, versionedType } from '../support/reload.ts'
import { until, within } from '../support/wait.ts'

const TEST = { id: 'endpoint-test' }

function bodies(messages: readonly Message[]): unknown[] {
  return messages.map(({ body }) => body)
}

function laneOf(app: FastifyInstance, source: string, target: string) {
  const lane = app.araldo.routes.find((route) => route.source === source)?.lanes.find((each) => each.target === target)
  assert.ok(lane, `${source} → ${target}`)
  return lane
}

describe('what a reload leaves as it is', () => {
  test('an endpoint with its connections, a lane with its figures, a subscription', async (t) => {
    const { type, made } = versionedType()
    const endpoints = { browsers: { id: 'endpoint-websocket', path: '/ws' }, out: TEST, app: { id: 'endpoint-app' } }
    const { app, host } = await listening(t, {
      config: configOf(endpoints, { browsers: ['browsers', 'out', 'app'] }),
      types: [type],
    })
    const heard: unknown[] = []
    app.araldo.subscribe('app', ({ body }) => void heard.push(body))
    const client = await connect(`ws://${host}/ws`, { t })
    const [browsers, out] = [app.araldo.endpoints.get('browsers'), app.araldo.endpoints.get('out')]
    await app.araldo.publish('browsers', 1)

    const more = { ...endpoints, more: TEST }
    const { diff } = await app.araldo.reload(
      configOf(more, { browsers: ['browsers', { to: 'out', when: 'true' }, 'app', 'more'] }),
    )
    assert.deepEqual(diff.endpoints, { added: ['more'], removed: [], changed: [] })
    assert.deepEqual(diff.lanes.added, ['browsers → more'])
    assert.deepEqual(diff.lanes.changed, [{ name: 'browsers → out', keys: ['when'] }])

    await app.araldo.publish('browsers', 2)
    assert.equal(app.araldo.endpoints.get('browsers'), browsers)
    assert.equal(app.araldo.endpoints.get('out'), out)
    assert.deepEqual(await client.take(2), ['1', '2'])
    assert.deepEqual(heard, [1, 2])
    assert.equal(laneOf(app, 'browsers', 'browsers').ledger.delivered, 2)
    assert.equal(laneOf(app, 'browsers', 'out').ledger.delivered, 2, 'the new lane has inherited the figures')
    assert.deepEqual(
      made.map(({ name, sent }) => [name, bodies(sent)]),
      [
        ['out', [1, 2]],
        ['more', [2]],
      ],
    )
    assert.deepEqual([...app.araldo.endpoints.keys()], ['browsers', 'out', 'app', 'more'])
  })

  test('everything, where the config does the same', async (t) => {
    const { type, made } = versionedType()
    const config = configOf({ in: { ...TEST, version: 1 }, out: TEST }, { in: ['out'] })
    const { app } = await listening(t, { config, types: [type] })
    const before = laneOf(app, 'in', 'out')
    const { diff, drained } = await app.araldo.reload(
      configOf({ out: TEST, in: { version: 1, ...TEST } }, { in: ['out'] }),
    )
    await drained
    assert.equal(diff.same, true)
    assert.equal(made.length, 2)
    assert.deepEqual(laneOf(app, 'in', 'out'), before)
  })

  test('an endpoint that gets its first route, where its type looks at routes as messages come', async (t) => {
    const { type } = versionedType()
    const endpoints = { browsers: { id: 'endpoint-websocket', path: '/ws' }, in: TEST, out: TEST }
    const { app, host } = await listening(t, { config: configOf(endpoints, { in: ['browsers'] }), types: [type] })
    const client = await connect(`ws://${host}/ws`, { t })
    await app.araldo.reload(configOf(endpoints, { in: ['browsers'], browsers: ['browsers'] }))
    await client.send('"to all"')
    await client.roundTrip()
    assert.equal(laneOf(app, 'browsers', 'browsers').ledger.received, 1)
    await app.araldo.reload(configOf(endpoints, { in: ['browsers'] }))
    await client.send('"to nobody"')
    await client.roundTrip()
    await assert.rejects(app.araldo.publish('browsers', 1), { code: 'ARALDO_ERR_NOT_A_SOURCE' })
    await app.araldo.publish('in', 'still here')
    assert.equal(await client.next(), '"still here"')
  })

  test('another one is made anew then', async (t) => {
    const { type, made } = versionedType()
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    const { drained } = await app.araldo.reload(configOf({ in: TEST, out: TEST }, { in: ['out'], out: ['in'] }))
    await drained
    assert.deepEqual(
      made.map(({ name, state, routed }) => [name, state, routed]),
      [
        ['in', 'up', true],
        ['out', 'closed', false],
        ['out', 'up', true],
      ],
    )
  })
})

describe('what a reload replaces', () => {
  test('a changed lane takes in what comes, while the old one delivers what it holds', async (t) => {
    const { type, last } = versionedType({ confirm: true })
    const endpoints = { in: TEST, out: TEST }
    const { app } = await listening(t, { config: configOf(endpoints, { in: ['out'] }), types: [type] })
    const settles: Settle[] = []
    last('out').onSend = (_message, settle) => void settles.push(settle as Settle)
    const published = app.araldo.publish('in', 1)
    const { drained } = await app.araldo.reload(configOf(endpoints, { in: [{ to: 'out', map: 'body * 10.0' }] }))
    const publishedToo = app.araldo.publish('in', 2, { key: 'another' })
    assert.deepEqual(bodies(last('out').sent), [1], 'the new lane lets the old one go first')
    settles.shift()?.(null)
    await within(Promise.all([published, drained]))
    await until(() => settles.length > 0)
    settles.shift()?.(null)
    await within(publishedToo)
    assert.deepEqual(bodies(last('out').sent), [1, 20])
    const { received, delivered, waiting } = laneOf(app, 'in', 'out').ledger
    assert.deepEqual([received, delivered, waiting], [2, 2, 0])
  })

  test('a changed endpoint is up before the old one ends, and that only when its lanes are empty', async (t) => {
    const order: string[] = []
    const { type, made } = versionedType({
      confirm: true,
      onMade: (endpoint) => {
        endpoint.onState((state) => order.push(`${endpoint.name} ${made.indexOf(endpoint)} ${state}`))
      },
    })
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    const settles: Settle[] = []
    const [, old] = made
    assert.ok(old)
    old.onSend = (_message, settle) => void settles.push(settle as Settle)
    const published = app.araldo.publish('in', 1)
    order.length = 0
    const { drained } = await app.araldo.reload(configOf({ in: TEST, out: { ...TEST, version: 2 } }, { in: ['out'] }))
    assert.deepEqual(order, ['out 2 connecting', 'out 2 up'])
    assert.equal(app.araldo.endpoints.get('out'), made[2])
    assert.equal(old.state, 'up')
    settles[0]?.(null)
    await within(Promise.all([published, drained]))
    assert.equal(old.state, 'closed')
    assert.deepEqual(order.slice(2), ['out 1 closing', 'out 1 closed'])
  })

  test('what cannot be delivered in time is told to its source as to be sent again', async (t) => {
    const { type, last } = versionedType({ confirm: true })
    const config = (version: number) =>
      configOf({ in: TEST, out: { ...TEST, version } }, { in: ['out'] }, { 'shutdown-timeout': 200 })
    const { app } = await listening(t, { config: config(1), types: [type] })
    last('out').onSend = () => {}
    const published = app.araldo.publish('in', 1)
    const refused = assert.rejects(published, (error) => (error as { retryable?: boolean }).retryable === true)
    const { drained } = await app.araldo.reload(config(2))
    await within(Promise.all([refused, drained]))
    assert.equal(laneOf(app, 'in', 'out').ledger.dropped.closing, 1, 'and counted')
  })

  test('a changed lane with a durable buffer takes over what the old one has on disk', async (t) => {
    const { type, last } = versionedType({
      confirm: true,
      onMade: (endpoint) => (endpoint.onSend = (_message, settle) => settle?.(null)),
    })
    const path = join(temporaryFolder('durable'), 'lane')
    const lane = (when: string): object => ({ to: 'out', when, buffer: { durable: true, path } })
    const endpoints = { in: TEST, out: TEST }
    const { app } = await listening(t, { config: configOf(endpoints, { in: [lane('body > 0.0')] }), types: [type] })
    const out = last('out')
    out.onConnect = () => new Promise(() => {})
    out.break()
    await Promise.all([1, 2, 3].map((body) => app.araldo.publish('in', body)))
    await (
      await app.araldo.reload(configOf(endpoints, { in: [lane('body > 3.0')] }))
    ).drained
    await app.araldo.publish('in', 4)
    await app.araldo.reload(configOf({ in: TEST, out: { ...TEST, version: 2 } }, { in: [lane('body > 3.0')] }))
    await until(() => last('out').sent.length >= 4)
    assert.deepEqual(bodies(last('out').sent), [1, 2, 3, 4])
  })

  test('a source that fetches ends, with all it had in hand settled, before the new one begins', async (t) => {
    const order: string[] = []
    const { type, made } = versionedType({
      replay: true,
      confirm: true,
      onMade: (endpoint) => {
        endpoint.onState((state) => order.push(`${endpoint.name} ${made.indexOf(endpoint)} ${state}`))
        endpoint.onQuiesce = () => void order.push(`${endpoint.name} ${made.indexOf(endpoint)} stops fetching`)
      },
    })
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    const [old, out] = made
    assert.ok(old && out)
    const settles: Settle[] = []
    out.onSend = (_message, settle) => void settles.push(settle as Settle)
    old.feed({ body: 1 }, (error) => order.push(`settled ${error === null}`))
    order.length = 0
    const { drained } = await app.araldo.reload(configOf({ in: { ...TEST, version: 2 }, out: TEST }, { in: ['out'] }))
    assert.deepEqual(order, ['in 0 stops fetching'])
    settles[0]?.(null)
    await within(drained)
    assert.deepEqual(order, [
      'in 0 stops fetching',
      'settled true',
      'in 0 closing',
      'in 0 closed',
      'in 2 connecting',
      'in 2 up',
    ])
  })

  test('a source that does not fetch changes over within a turn', async (t) => {
    const { type, made } = versionedType({
      onMade: (endpoint) => {
        endpoint.onState((state) => {
          if (made.length < 3 || state !== 'up') return
          // Both are up: the old one's messages count until the new one's do.
          endpoint.feed({ body: 'too early' })
          made[0]?.feed({ body: 'by the old one' })
        })
      },
    })
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    const reloading = app.araldo.reload(configOf({ in: { ...TEST, version: 2 }, out: TEST }, { in: ['out'] }))
    await (
      await reloading
    ).drained
    made[2]?.feed({ body: 'by the new one' })
    assert.deepEqual(bodies(made[1]?.sent ?? []), ['by the old one', 'by the new one'])
  })

  test('mocks emit once their lanes are at work', async (t) => {
    const { type, last } = versionedType()
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    const mock = { id: 'endpoint-mock', messages: [1, 2] }
    await app.araldo.reload(configOf({ in: TEST, out: TEST, mock }, { in: ['out'], mock: ['out'] }))
    assert.deepEqual(bodies(last('out').sent), [1, 2])
  })
})

describe('a reload that is refused', () => {
  test('for a config that is wrong: all of it is told, and nothing has changed', async (t) => {
    const { type, made } = versionedType()
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    const before = app.araldo.configuration
    await assert.rejects(
      app.araldo.reload(configOf({ in: { ...TEST, version: 'x' } }, { in: ['on'], on: [] })),
      (error) => {
        assert.ok(error instanceof Error && 'diagnostics' in error)
        assert.ok((error.diagnostics as unknown[]).length >= 3)
        return true
      },
    )
    assert.deepEqual(app.araldo.configuration, { ...before, reloads: { applied: 0, refused: 1 } })
    await app.araldo.publish('in', 1)
    assert.deepEqual(bodies(made[1]?.sent ?? []), [1])
    assert.equal(made.length, 2)
  })

  test('because a type fails: what was made is taken back', async (t) => {
    const kit = versionedType()
    const { app } = await listening(t, {
      config: configOf({ in: TEST, out: TEST }, { in: ['out'] }),
      types: [kit.type],
    })
    kit.onPlugin = (_scope, name) => {
      if (name === 'bad') throw new Error('no licence')
    }
    const endpoints = { in: { ...TEST, version: 2 }, out: TEST, bad: TEST }
    await assert.rejects(app.araldo.reload(configOf(endpoints, { in: ['out', 'bad'] })), {
      code: 'ARALDO_ERR_RELOAD_REFUSED',
      message: /nothing has changed: endpoint 'bad': no licence/,
    })
    assert.deepEqual(
      kit.made.map(({ name, state }) => [name, state]),
      [
        ['in', 'up'],
        ['out', 'up'],
        ['in', 'closed'],
      ],
    )
    await app.araldo.publish('in', 1)
    assert.deepEqual(bodies(kit.last('out').sent), [1])
  })

  test('because a required endpoint does not come up', async (t) => {
    const { type, made } = versionedType({
      onMade: (endpoint) => {
        if (endpoint.name === 'new') endpoint.onConnect = () => Promise.reject(new Error('refused'))
      },
    })
    const { app } = await listening(
      t,
      { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] },
      { pluginTimeout: 400 },
    )
    const endpoints = { in: TEST, out: TEST, new: { ...TEST, required: true } }
    await assert.rejects(app.araldo.reload(configOf(endpoints, { in: ['out', 'new'] })), {
      code: 'ARALDO_ERR_ENDPOINT_REQUIRED',
    })
    assert.equal(made[2]?.state, 'closed')
    assert.equal(app.araldo.endpoints.has('new'), false)
  })

  test('while another one is under way, before the start, at the end, and without a file to read', async (t) => {
    const kit = versionedType()
    const config = configOf({ in: TEST, out: TEST }, { in: ['out'] })
    const app = await relayServer(t, { config, types: [kit.type] })
    await assert.rejects(app.araldo.reload(config), { code: 'ARALDO_ERR_RELOAD_REFUSED', message: /has not started/ })
    await app.ready()
    await assert.rejects(app.araldo.reload(), { code: 'ARALDO_ERR_RELOAD_REFUSED', message: /no file/ })
    const next = configOf({ in: TEST, out: TEST, more: TEST }, { in: ['out', 'more'] })
    const first = app.araldo.reload(next)
    await assert.rejects(app.araldo.reload(next), { code: 'ARALDO_ERR_RELOADING', retryable: true })
    await first
    await app.close()
    await assert.rejects(app.araldo.reload(config), { code: 'ARALDO_ERR_CLOSING' })
  })

  test('because the server closes meanwhile, which does not wait for it', async (t) => {
    let attach: (() => void) | undefined
    const kit = versionedType()
    const app = await relayServer(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [kit.type] })
    await app.ready()
    kit.onPlugin = () => new Promise((resolve) => (attach = resolve))
    const reloading = app.araldo.reload(configOf({ in: TEST, out: TEST, new: TEST }, { in: ['out', 'new'] }))
    await until(() => attach !== undefined)
    const refused = assert.rejects(reloading, { code: 'ARALDO_ERR_CLOSING' })
    const closing = app.close()
    attach?.()
    await within(Promise.all([refused, closing]))
    assert.deepEqual(new Set(kit.made.map(({ state }) => state)), new Set(['closed']))
  })
})

test('the end of the server does not wait for what a reload waits for', async (t) => {
  const { type, made } = versionedType({
    onMade: (endpoint) => {
      if (endpoint.name === 'new') endpoint.onConnect = () => new Promise(() => {})
    },
  })
  const app = await relayServer(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
  await app.ready()
  const endpoints = { in: TEST, out: TEST, new: { ...TEST, required: true } }
  const refused = assert.rejects(app.araldo.reload(configOf(endpoints, { in: ['out', 'new'] })), errors.CLOSING)
  await until(() => made[2]?.state === 'connecting')
  await within(Promise.all([app.close(), refused]), { timeout: 4_000 })
  assert.equal(made[2]?.state, 'closed')
})

describe('what shows of it', () => {
  test('the hash and the settings that need a restart; secrets of the new config are hidden, too', async (t) => {
    const kit = versionedType()
    const file = join(temporaryFolder('reload'), 'araldo.yaml')
    const yaml = (secret: string, port: number) => `
global: { server-port: ${port} }
plugins:
  araldo.endpoints.endpoint:
    - { name: in, id: endpoint-test }
    - { name: out, id: endpoint-test, secret: "${secret}" }
routes: { in: [out] }
`
    await writeFile(file, yaml('${RELOAD_SECRET:-none}', 1))
    const { app, lines } = await listening(t, { config: file, types: [kit.type] })
    const ready = async () => (await app.inject('/health/ready')).json<Record<string, unknown>>()
    const first = await ready()
    assert.match(String(first['config']), /^[0-9a-f]{12}$/)

    t.after(() => delete process.env['RELOAD_SECRET'])
    process.env['RELOAD_SECRET'] = 'hunter22'
    await writeFile(file, yaml('${RELOAD_SECRET:-none}', 2))
    const { diff, hash } = await app.araldo.reload()
    assert.deepEqual(diff.restart, ['server-port'])
    assert.deepEqual(diff.endpoints.changed, [{ name: 'out', keys: ['secret'] }])
    kit.last('out').break('cannot log in with hunter22')
    const second = await ready()
    assert.equal(second['config'], hash)
    assert.notEqual(hash, first['config'])
    assert.match(JSON.stringify(second), /cannot log in with \*\*\*/)
    assert.ok(lines.some(({ msg, settings }) => /need a restart/.test(msg) && String(settings) === 'server-port'))
    assert.ok(!lines.some(({ msg, changes }) => msg === 'reloaded' && JSON.stringify(changes).includes('hunter22')))

    const metrics = (await app.inject('/metrics')).body
    assert.match(metrics, new RegExp(`^araldo_config_info{hash="${hash}"} 1$`, 'm'))
    assert.match(metrics, /^araldo_config_reloads_total{result="applied"} 1$/m)
    assert.match(metrics, /^araldo_config_reloads_total{result="refused"} 0$/m)
    assert.match(metrics, /^araldo_config_loaded_timestamp_seconds \d+/m)
  })

  test('whoever watches sees the new lanes', async (t) => {
    const { type } = versionedType()
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    const seen: string[] = []
    app.araldo.watch((lane, _message, outcome) => void seen.push(`${lane.target.name} ${outcome}`))
    await app.araldo.reload(configOf({ in: TEST, out: TEST, new: TEST }, { in: ['out', 'new'] }))
    await app.araldo.publish('in', 1)
    assert.deepEqual(seen, ['out delivered', 'new delivered'])
  })

  test('an unknown endpoint is told by the names that there are now', async (t) => {
    const { type } = versionedType()
    const { app } = await listening(t, { config: configOf({ in: TEST, out: TEST }, { in: ['out'] }), types: [type] })
    await app.araldo.reload(configOf({ in: TEST, new: TEST }, { in: ['new'] }))
    await assert.rejects(app.araldo.publish('out', 1), errors.UNKNOWN_ENDPOINT)
  })
})
