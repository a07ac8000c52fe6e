import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { loadConfig } from '../lib/config.ts'
import { defineEndpoint, defineMarshaller, type EndpointContext, type EndpointType } from '../lib/endpoint.ts'
import type { MockEndpoint } from '../lib/endpoints/mock.ts'
import araldo, { type AraldoOptions, type ConfigObject, createRegistries } from '../lib/plugin.ts'
import { connect, type UpgradeRefused } from './support/client.ts'
import { counting, recordingLog, TestEndpoint } from './support/core.ts'
import { temporaryFolder } from './support/process.ts'
import { configOf, relayServer, testType } from './support/relay.ts'
import { until, within } from './support/wait.ts'

const CHAT = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-mock' } }, { in: ['out'] })

function kept(server: FastifyInstance, name = 'out'): string[] {
  return (server.araldo.endpoints.get(name) as MockEndpoint).kept.map(({ payload }) => payload.toString())
}

async function listen(server: FastifyInstance): Promise<string> {
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  return `127.0.0.1:${port}`
}

describe('the configuration of the plugin', () => {
  const TEXT = `
plugins:
  araldo.endpoints.endpoint:
    - { name: in, id: endpoint-app }
    - { name: out, id: endpoint-mock }
routes: { in: [out] }
`

  async function works(t: Parameters<typeof relayServer>[0], options: AraldoOptions): Promise<void> {
    const server = await relayServer(t, options)
    await server.ready()
    await server.araldo.publish('in', 'hello')
    assert.deepEqual(kept(server), ['"hello"'])
  }

  it('may be text', (t) => works(t, { config: TEXT }))
  it('may be an object of the same shape', (t) => works(t, { config: CHAT }))
  it('may stand among the options, as an object of that shape', (t) => works(t, { ...CHAT, health: false }))
  it('may be what loadConfig made', async (t) => works(t, { config: await loadConfig(TEXT, createRegistries()) }))

  it("may be a file's path, and paths in it are relative to the file", async (t) => {
    const folder = temporaryFolder()
    await writeFile(join(folder, 'araldo.yaml'), TEXT.replace('endpoint-mock', './mine.mjs'))
    const module = new URL('../lib/endpoints/mock.ts', import.meta.url)
    await writeFile(join(folder, 'mine.mjs'), `export { endpointMock as default } from ${JSON.stringify(module)}`)
    await works(t, { config: join(folder, 'araldo.yaml') })
  })

  it('that is wrong keeps the server from starting, with all that is wrong', async () => {
    const server = Fastify()
    const config = configOf({ in: { id: 'endpoint-app', nonsense: 1 } }, { in: ['nowhere'] })
    await assert.rejects(
      async () => server.register(araldo, { config }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ARALDO_ERR_CONFIG')
        assert.match(error.message, /nonsense/)
        assert.match(error.message, /nowhere/)
        return true
      },
    )
    await server.close()
  })

  it('must be there', async () => {
    for (const options of [{}, { prefix: '/x' }, { config: undefined }, { config: null }, { config: 5 }]) {
      const server = Fastify()
      const registering = async (): Promise<void> => {
        await server.register(araldo, options as unknown as AraldoOptions)
        await server.ready()
      }
      await assert.rejects(registering, { code: 'ARALDO_ERR_CONFIG' }, JSON.stringify(options))
      await server.close()
    }
  })

  it('has its warnings in the log, and its level is that of the relay alone', async (t) => {
    const { log, lines } = recordingLog()
    const config = configOf(
      { in: { id: 'endpoint-app' }, out: { id: 'endpoint-mock' }, idle: { id: 'endpoint-mock' } },
      { in: ['out'] },
      { 'log-level': 'warning' },
    )
    const server = Fastify({ loggerInstance: log })
    t.after(() => server.close())
    await server.register(araldo, { config })
    await server.ready()
    server.log.info('of the host')
    const texts = lines.map(({ msg }) => msg)
    assert.ok(texts.some((text) => text.includes("'idle'")))
    assert.ok(texts.includes('of the host'))
    assert.ok(!texts.includes('up'))
  })
})

describe('the relay in an application', () => {
  it('stands beside REST handlers, which feed it, under inject too', async (t) => {
    const server = await relayServer(t, { config: CHAT })
    server.post<{ Body: object }>('/orders', async (request) => ({
      id: await server.araldo.publish('in', request.body),
    }))
    const answer = await server.inject({ method: 'POST', url: '/orders', payload: { total: 3 } })
    assert.equal(answer.statusCode, 200)
    assert.ok(answer.json<{ id: string }>().id.length > 0)
    assert.deepEqual(kept(server), ['{"total":3}'])
  })

  it('answers a handler that lets its error pass with a status of its own', async (t) => {
    const server = await relayServer(t, { config: CHAT })
    server.get('/nowhere', () => server.araldo.publish('nowhere', 1))
    server.get('/bad', () => server.araldo.publish('in', undefined))
    const nowhere = await server.inject('/nowhere')
    assert.equal(nowhere.statusCode, 404)
    assert.equal(nowhere.json<{ code: string }>().code, 'ARALDO_ERR_UNKNOWN_ENDPOINT')
    assert.equal((await server.inject('/bad')).statusCode, 422)
  })

  it('calls subscribers, and gives iterators that end with the server', async (t) => {
    const config = configOf({ in: { id: 'endpoint-app' }, audit: { id: 'endpoint-app' } }, { in: ['audit'] })
    const server = await relayServer(t, { config })
    await server.ready()
    const seen: unknown[] = []
    server.araldo.subscribe('audit', ({ body }) => void seen.push(body))
    let readOn = (): void => {}
    const published = new Promise<void>((resolve) => (readOn = resolve))
    const read = (async () => {
      const bodies: unknown[] = []
      for await (const { body } of server.araldo.subscribe('audit', { limit: 2 })) {
        bodies.push(body)
        await published
      }
      return bodies
    })()
    for (let number = 1; number <= 5; number++) await server.araldo.publish('in', number)
    assert.deepEqual(seen, [1, 2, 3, 4, 5])
    readOn()
    await server.close()
    assert.deepEqual(await read, [1, 4, 5])
    assert.equal(server.araldo.endpoints.get('audit')?.counters.iteratorDropped, 2)
  })

  it('is there for plugins that come after it, in scopes below the one it is in', async (t) => {
    const server = Fastify()
    t.after(() => server.close())
    await server.register(araldo, { config: CHAT })
    await server.register(async (scope) => {
      scope.get('/routes', async () => scope.araldo.routes.length)
    })
    await server.register(fp(async (scope) => assert.ok(scope.araldo), { dependencies: ['araldo'] }))
    assert.equal((await server.inject('/routes')).body, '1')
  })

  it("lets the host's hooks run for its routes, and keeps its own hooks to itself", async (t) => {
    const calls: string[] = []
    const server = Fastify()
    t.after(() => server.close())
    server.addHook('onRequest', async (request) => void calls.push(`first ${request.url}`))
    await server.register(araldo, { config: CHAT })
    server.addHook('onSend', async (request) => void calls.push(`second ${request.url}`))
    server.get('/mine', async () => 'mine')
    await server.inject('/health/live')
    await server.inject('/mine')
    assert.deepEqual(
      calls.filter((call) => call.startsWith('first')),
      ['first /health/live', 'first /mine'],
    )
    assert.ok(calls.includes('second /mine'))
  })

  it('comes once to a scope', async () => {
    const server = Fastify()
    await server.register(araldo, { config: CHAT })
    await assert.rejects(async () => server.register(araldo, { config: CHAT }), {
      code: 'ARALDO_ERR_CONFIG',
      message: /has a relay already/,
    })
    await server.close()
  })

  it('comes to two scopes side by side, each with its own endpoints, prefix and life', async (t) => {
    const server = Fastify()
    t.after(() => server.close())
    const relays: FastifyInstance[] = []
    for (const prefix of ['/one', '/two']) {
      await server.register(async (scope) => {
        await scope.register(araldo, { config: CHAT, prefix })
        relays.push(scope)
      })
    }
    await server.ready()
    const [one, two] = relays as [FastifyInstance, FastifyInstance]
    assert.equal(server.hasDecorator('araldo'), false)
    await one.araldo.publish('in', 'to one')
    assert.deepEqual([kept(one), kept(two)], [['"to one"'], []])
    for (const prefix of ['/one', '/two']) {
      assert.equal((await server.inject(`${prefix}/health/live`)).statusCode, 200)
    }
    assert.equal((await server.inject('/health/live')).statusCode, 404)
  })

  it('has one route of each endpoint that shares nothing with the others of its type but what it asks for', async (t) => {
    const contexts: EndpointContext[] = []
    const decorate = (id: string): EndpointType =>
      defineEndpoint({
        ...testType().type,
        id,
        plugin: async (scope, context) => {
          scope.decorate('mine', context.name)
          contexts.push(context)
          context.attach(new TestEndpoint(context))
        },
      })
    const config = configOf(
      { a: { id: 'endpoint-x' }, b: { id: 'endpoint-x' }, c: { id: 'endpoint-y' } },
      { a: ['b', 'c'] },
    )
    const server = await relayServer(t, { config, types: [decorate('endpoint-x'), decorate('endpoint-y')] })
    await server.ready()
    assert.equal(server.hasDecorator('mine'), false)
    const [a, b, c] = contexts.map((context) => context.shared('key', () => ({})))
    assert.equal(a, b)
    assert.notEqual(a, c)
    assert.notEqual(
      a,
      contexts[0]?.shared('other key', () => ({})),
    )
  })
})

describe('types that are handed over in code', () => {
  it('may be marshallers that cannot be made: each is named', async (t) => {
    const marshal = defineMarshaller({
      id: 'marshal-mine',
      schema: {},
      create: () => {
        throw new Error('no such schema')
      },
    })
    const config = {
      plugins: {
        'araldo.marshalling': [
          { name: 'one', id: 'marshal-mine' },
          { name: 'two', id: 'marshal-mine' },
        ],
        'araldo.endpoints.endpoint': [],
      },
    }
    const fastify = Fastify()
    t.after(async () => fastify.close())
    await assert.rejects(async () => fastify.register(araldo, { config, types: [marshal] }), {
      code: 'ARALDO_ERR_CONFIG',
      message: "marshaller 'one': no such schema\nmarshaller 'two': no such schema",
    })
  })

  it('may be endpoint types and marshallers', async (t) => {
    const { type, made } = testType()
    const marshaller = counting('mine')
    const marshal = defineMarshaller({
      id: 'marshal-mine',
      schema: { type: 'object', properties: {} },
      create: () => marshaller,
    })
    const config = {
      plugins: {
        'araldo.marshalling': [{ name: 'mine', id: 'marshal-mine' }],
        'araldo.endpoints.endpoint': [
          { name: 'in', id: 'endpoint-app' },
          { name: 'out', id: 'endpoint-test', marshalling: 'mine' },
        ],
      },
      routes: { in: ['out'] },
    }
    const server = await relayServer(t, { config, types: [type, marshal] })
    await server.ready()
    await server.araldo.publish('in', 1)
    assert.equal(made.get('out')?.marshaller, marshaller)
    assert.equal(made.get('out')?.sent.length, 1)
  })

  it('must not have the id of another: both origins are named', async () => {
    const type = { ...testType().type, id: 'endpoint-mock' }
    const server = Fastify()
    await assert.rejects(async () => server.register(araldo, { config: CHAT, types: [type] }), {
      code: 'ARALDO_ERR_TYPE_DUPLICATE',
      message: /'endpoint-mock': one from araldo, one from the option `types`/,
    })
    await server.close()
  })

  it('must be types', async () => {
    const { type } = testType()
    const module = { default: type }
    const { plugin: _plugin, ...headless } = type
    for (const value of [undefined, null, 5, 'endpoint-x', {}, { id: 'x' }, module, headless]) {
      const server = Fastify()
      const options = { config: CHAT, types: [value] } as unknown as AraldoOptions
      await assert.rejects(async () => server.register(araldo, options), { code: 'ARALDO_ERR_TYPE_INVALID' })
      await server.close()
    }
    assert.throws(() => createRegistries([{ ...type, id: 'tail' }]), {
      message: /an entry of the option `types` with the id 'tail' is no endpoint type .* begins with 'endpoint-'/,
    })
  })

  it('must attach one endpoint each time', async () => {
    const attaching = (times: number): EndpointType => ({
      ...testType().type,
      plugin: async (_scope, context) => {
        for (let time = 0; time < times; time++) context.attach(new TestEndpoint(context))
      },
    })
    const config = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }, { in: ['out'] })
    for (const times of [0, 2]) {
      const server = Fastify()
      await assert.rejects(async () => server.register(araldo, { config, types: [attaching(times)] }), {
        code: 'ARALDO_ERR_TYPE_INVALID',
      })
      await server.close()
    }
  })
})

describe('a WebSocket endpoint in an application', () => {
  const config: ConfigObject = configOf(
    { browsers: { id: 'endpoint-websocket', path: '/ws' }, out: { id: 'endpoint-mock' } },
    { browsers: ['out'] },
  )

  it('has its path below the prefix', async (t) => {
    const server = await relayServer(t, { config, prefix: '/relay' })
    const host = await listen(server)
    const client = await connect(`ws://${host}/relay/ws`, { t })
    await client.send('"hi"')
    await until(() => kept(server).length === 1)
    await assert.rejects(connect(`ws://${host}/ws`, { t }), (error: UpgradeRefused) => error.statusCode === 404)
  })

  it("has hooks of the host's for itself alone, and they decide who comes in", async (t) => {
    const hooks = {
      browsers: {
        preValidation: async (request: { headers: { authorization?: string } }) => {
          if (request.headers.authorization !== 'yes') throw Object.assign(new Error('no'), { statusCode: 401 })
        },
      },
    }
    const server = await relayServer(t, { config, hooks })
    const host = await listen(server)
    await assert.rejects(connect(`ws://${host}/ws`, { t }), (error: UpgradeRefused) => error.statusCode === 401)
    const client = await connect(`ws://${host}/ws`, { t, headers: { authorization: 'yes' } })
    await client.send('"hi"')
    await until(() => kept(server).length === 1)
    assert.equal((await server.inject('/health/live')).statusCode, 200)
  })

  it('refuses hooks for an endpoint that is not there', async () => {
    const server = Fastify()
    await assert.rejects(async () => server.register(araldo, { config, hooks: { browser: {} } }), {
      code: 'ARALDO_ERR_UNKNOWN_ENDPOINT',
      message: /'browser'; there are browsers, out/,
    })
    await server.close()
  })

  it('sends its clients away with 1001 when the server closes', async (t) => {
    const server = await relayServer(t, { config })
    const client = await connect(`ws://${await listen(server)}/ws`, { t })
    await server.close()
    assert.equal((await client.closed).code, 1001)
  })
})

describe('starting', () => {
  const config = (required: boolean): ConfigObject =>
    configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test', required } }, { in: ['out'] })

  it('does not wait for an endpoint whose peer is away', async (t) => {
    const { type, made } = testType()
    const server = await relayServer(t, { config: config(false), types: [type] })
    ;(made.get('out') as TestEndpoint).onConnect = () => new Promise(() => {})
    const began = performance.now()
    await server.ready()
    assert.ok(performance.now() - began < 1_500)
    assert.equal(server.araldo.endpoints.get('out')?.state, 'connecting')
  })

  it('waits for a required one', async (t) => {
    const { type, made } = testType()
    const server = await relayServer(t, { config: config(true), types: [type] })
    ;(made.get('out') as TestEndpoint).onConnect = () => delay(400)
    await server.ready()
    assert.equal(server.araldo.endpoints.get('out')?.state, 'up')
  })

  it('fails where a required one does not come, with the reason and before Fastify gives up', async () => {
    const { type, made } = testType()
    const server = Fastify({ pluginTimeout: 1_200 })
    await server.register(araldo, { config: config(true), types: [type] })
    const out = made.get('out') as TestEndpoint
    out.onConnect = () => Promise.reject(new Error('refused'))
    out.onDisconnect = () => delay(200)
    await assert.rejects(async () => server.ready(), {
      code: 'ARALDO_ERR_ENDPOINT_REQUIRED',
      message: /'out' is required and did not come up: refused/,
    })
    await server.close()
    assert.equal(out.state, 'closed')
  })

  it('emits what a mock has to say when everything was started', async (t) => {
    const endpoints = { news: { id: 'endpoint-mock', messages: ['a', 'b'] }, out: { id: 'endpoint-test' } }
    const { type, made } = testType()
    const server = await relayServer(t, { config: configOf(endpoints, { news: ['out'] }), types: [type] })
    ;(made.get('out') as TestEndpoint).onConnect = () => delay(20)
    await server.ready()
    const bodies = (made.get('out') as TestEndpoint).sent.map(({ body }) => body)
    assert.deepEqual(bodies, ['a', 'b'])
  })
})

describe('closing the server', () => {
  const config = configOf(
    {
      slow: { id: 'endpoint-test' },
      in: { id: 'endpoint-app' },
      mock: { id: 'endpoint-mock', messages: [1], interval: 1 },
      browsers: { id: 'endpoint-websocket', path: '/ws' },
    },
    { in: ['slow', 'browsers'], mock: ['slow'] },
  )

  /** What a host may have done by then; each begins the next thing and does not wait for it. */
  const moments: Record<string, (server: FastifyInstance, types: EndpointType[]) => Promise<unknown>> = {
    'before the plugin has run': async (server, types) => void server.register(araldo, { config, types }),
    'when the plugin has run': async (server, types) => server.register(araldo, { config, types }),
    'when it begins to be ready': async (server, types) => {
      await server.register(araldo, { config, types })
      void server.ready().then(undefined, () => {})
    },
    'while endpoints connect': async (server, types) => {
      await server.register(araldo, { config, types })
      server.addHook('onReady', async () => {})
      void server.ready().then(undefined, () => {})
      await until(() => server.araldo.endpoints.get('mock')?.state === 'up')
    },
    'when it is ready': async (server, types) => {
      await server.register(araldo, { config, types })
      await server.ready()
    },
    'while it begins to listen': async (server, types) => {
      await server.register(araldo, { config, types })
      void server.listen({ host: '127.0.0.1', port: 0 }).catch(() => {})
    },
    'when it listens': async (server, types) => {
      await server.register(araldo, { config, types })
      await server.listen({ host: '127.0.0.1', port: 0 })
    },
  }

  for (const [moment, begin] of Object.entries(moments)) {
    it(`${moment} ends it in order, and twice is once`, async () => {
      const before = process.getActiveResourcesInfo().length
      const { type, made } = testType()
      const open = new Set<TestEndpoint>()
      const types = [
        defineEndpoint({
          ...type,
          plugin: async (scope, context) => {
            await type.plugin(scope, context)
            const endpoint = made.get(context.name) as TestEndpoint
            endpoint.onConnect = async (signal) => {
              await delay(100, undefined, { signal })
              open.add(endpoint)
            }
            endpoint.onDisconnect = () => void open.delete(endpoint)
          },
        }),
      ]
      const server = Fastify()
      await begin(server, types)
      await within(Promise.all([server.close(), server.close()]), { timeout: 3_000, message: 'the server to close' })
      for (const endpoint of made.values()) assert.equal(endpoint.state, 'closed')
      assert.equal(open.size, 0)
      await until(() => process.getActiveResourcesInfo().length <= before, { message: 'everything to be let go of' })
    })
  }

  it('delivers what is under way, and refuses what comes late', async (t) => {
    const { type, made } = testType({ confirm: true })
    const server = await relayServer(t, {
      config: configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }, { in: ['out'] }),
      types: [type],
    })
    await server.ready()
    const out = made.get('out') as TestEndpoint
    out.onSend = (_message, settle) => void setTimeout(() => settle?.(null), 50)
    const first = server.araldo.publish('in', 1)
    const closing = server.close()
    await first
    await assert.rejects(server.araldo.publish('in', 2), { code: 'ARALDO_ERR_CLOSING' })
    await closing
    assert.equal(out.sent.length, 1)
    const ledger = server.araldo.routes[0]?.lanes[0]?.ledger
    assert.deepEqual([ledger?.received, ledger?.delivered, ledger?.waiting], [1, 1, 0])
  })

  it('takes no longer than the config allows, and than Fastify does', async () => {
    const { type, made } = testType({ confirm: true })
    const endpoints = { in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }
    const server = Fastify()
    const limited = configOf(endpoints, { in: ['out'] }, { 'shutdown-timeout': '400ms' })
    await server.register(araldo, { config: limited, types: [type] })
    await server.ready()
    ;(made.get('out') as TestEndpoint).onSend = () => {}
    server.araldo.publish('in', 1).catch(() => {})
    const began = performance.now()
    await server.close()
    assert.ok(performance.now() - began < 1_500)
  })
})
