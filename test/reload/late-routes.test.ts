/** Routes of endpoints that come, change and go while the server runs: WebSockets and plain HTTP. */
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type onRequestAsyncHookHandler,
} from 'fastify'
import fastifyWebsocket from '@fastify/websocket'
import araldo, { type AraldoOptions } from '../../lib/plugin.ts'
import type { Araldo } from '../../lib/relay.ts'
import { connect, UpgradeRefused } from '../support/client.ts'
import type { Owner } from '../support/process.ts'
import { configOf } from '../support/relay.ts'
import { listening, versionedType } from '../support/reload.ts'
import { within } from '../support/wait.ts'

const TEST = { id: 'endpoint-test' }

function webSocket(path: string, more: object = {}) {
  return { id: 'endpoint-websocket', path, echo: true, ...more }
}

/** Each endpoint sends to itself: what a client sends comes back. */
function echoing(endpoints: Parameters<typeof configOf>[0]) {
  return configOf(endpoints, Object.fromEntries(Object.keys(endpoints).map((name) => [name, [name]])))
}

async function says(url: string, t: Owner, headers: Record<string, string> = {}): Promise<string> {
  const client = await connect(url, { t, headers })
  await client.send('"hello"')
  const answer = String(await client.next())
  client.terminate()
  return answer
}

async function refused(url: string, status: number): Promise<void> {
  await assert.rejects(connect(url), (error) => error instanceof UpgradeRefused && error.statusCode === status)
}

/** Endpoints of this type answer `POST /<name>/:id` with what they were sent. */
function httpType() {
  const kit = versionedType()
  kit.onPlugin = (scope, name) => {
    scope.post(`/${name}/:id`, async (request) => ({
      body: request.body,
      params: request.params,
      query: request.query,
      ip: request.ip,
      id: request.id,
      shared: (scope as FastifyInstance & { shared?: string }).shared,
    }))
  }
  return kit
}

describe('WebSocket endpoints', () => {
  test('one that is added is there, one that is removed is not, and comes back', async (t) => {
    const { app, host } = await listening(t, { config: echoing({ one: webSocket('/one') }) })
    await refused(`ws://${host}/two`, 404)
    await app.araldo.reload(echoing({ one: webSocket('/one'), two: webSocket('/two') }))
    assert.equal(await says(`ws://${host}/one`, t), '"hello"')
    assert.equal(await says(`ws://${host}/two`, t), '"hello"')

    const [one, two] = [await connect(`ws://${host}/one`, { t }), await connect(`ws://${host}/two`, { t })]
    await app.araldo.reload(echoing({ three: webSocket('/three') }))
    for (const client of [one, two]) {
      const { code, reason } = await within(client.closed)
      assert.equal(code, 1001)
      assert.match(reason, /reconnect in \d+ ms/)
    }
    await refused(`ws://${host}/one`, 404)
    await refused(`ws://${host}/two`, 404)
    assert.equal(await says(`ws://${host}/three`, t), '"hello"')

    await app.araldo.reload(echoing({ one: webSocket('/one') }))
    assert.equal(await says(`ws://${host}/one`, t), '"hello"')
    await refused(`ws://${host}/three`, 404)
  })

  test('one that changes at its path serves new clients, and sends the old ones away to come back', async (t) => {
    const { app, host } = await listening(t, { config: echoing({ browsers: webSocket('/ws') }) })
    for (const size of [1_000, 2_000]) {
      const old = await connect(`ws://${host}/ws`, { t })
      await app.araldo.reload(echoing({ browsers: webSocket('/ws', { 'max-payload': size }) }))
      assert.equal(await says(`ws://${host}/ws`, t), '"hello"')
      assert.equal((await within(old.closed)).code, 1001)
    }
  })

  test('two exchange their paths', async (t) => {
    const { app, host } = await listening(t, { config: echoing({ one: webSocket('/one'), two: webSocket('/two') }) })
    await app.araldo.reload(echoing({ one: webSocket('/two'), two: webSocket('/one') }))
    assert.equal(await says(`ws://${host}/one`, t), '"hello"')
    const { routes } = app.araldo
    assert.deepEqual(
      routes.map(({ source, lanes }) => [source, lanes[0]?.ledger.delivered]),
      [
        ['one', 0],
        ['two', 1],
      ],
    )
  })

  test('the first one of a relay that had none', async (t) => {
    const { type } = versionedType()
    const { app, host } = await listening(t, {
      config: configOf({ in: TEST, out: TEST }, { in: ['out'] }),
      types: [type],
    })
    await app.araldo.reload(echoing({ browsers: webSocket('/rooms/:room') }))
    assert.equal(await says(`ws://${host}/rooms/lobby`, t), '"hello"')
    await refused(`ws://${host}/rooms`, 404)
  })

  test("below the relay's prefix, and beside a host's own", async (t) => {
    const { app, host } = await listening(
      t,
      { config: echoing({ one: webSocket('/one') }), prefix: '/relay' },
      {
        prepare: async (app) => {
          await app.register(fastifyWebsocket)
          await app.register(async (scope) => {
            scope.get('/host', { websocket: true }, (socket) => {
              socket.on('message', (data: Buffer) => socket.send(`host: ${data.toString()}`))
            })
          })
        },
      },
    )
    await app.araldo.reload(echoing({ one: webSocket('/other'), root: webSocket('/') }))
    assert.equal(await says(`ws://${host}/relay/other`, t), '"hello"')
    assert.equal(await says(`ws://${host}/relay`, t), '"hello"')
    assert.equal(await says(`ws://${host}/host`, t), 'host: "hello"')
    await refused(`ws://${host}/relay/one`, 404)
    const client = await connect(`ws://${host}/relay/other`, { t })
    await within(app.close())
    assert.equal((await client.closed).code, 1001)
  })

  test('of two relays of one server, each with its own', async (t) => {
    const relays: Araldo[] = []
    const app = Fastify({ forceCloseConnections: true })
    t.after(() => app.close())
    for (const prefix of ['/a', '/b']) {
      await app.register(
        async (scope) => {
          await scope.register(araldo, { config: echoing({ one: webSocket('/one') }) })
          relays.push(scope.araldo)
        },
        { prefix },
      )
    }
    // Registered last: the upgrades are dispatched by it.
    await app.register(fastifyWebsocket)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const host = `127.0.0.1:${(app.server.address() as AddressInfo).port}`
    for (const relay of relays)
      await relay.reload(echoing({ one: webSocket('/one', { echo: true }), two: webSocket('/two') }))
    for (const path of ['/a/one', '/b/one', '/a/two', '/b/two'])
      assert.equal(await says(`ws://${host}${path}`, t), '"hello"')
    await refused(`ws://${host}/two`, 404)
    await relays[0]?.reload(echoing({ one: webSocket('/one') }))
    await refused(`ws://${host}/a/two`, 404)
    assert.equal(await says(`ws://${host}/b/two`, t), '"hello"')
    await within(app.close())
  })

  test('a path that is taken refuses the reload, and leaves everything as it was', async (t) => {
    const prepare = (app: FastifyInstance): void => void app.get('/host', async () => 'host')
    const { app, host } = await listening(t, { config: echoing({ one: webSocket('/one') }) }, { prepare })
    const taken = { code: 'ARALDO_ERR_CONFIG', message: /endpoint 'two': path: '\/\w+' is taken/ }
    for (const path of ['/one', '/host']) {
      await assert.rejects(app.araldo.reload(echoing({ one: webSocket('/one'), two: webSocket(path) })), taken)
    }
    const same = { one: webSocket('/one'), three: webSocket('/two'), two: webSocket('/two') }
    await assert.rejects(app.araldo.reload(echoing(same)), taken)
    assert.equal(await says(`ws://${host}/one`, t), '"hello"')
    await refused(`ws://${host}/two`, 404)
  })
})

describe('what protects the routes of endpoints', () => {
  test("the host's hooks, and the application's for the endpoint, with its parameters and the host's decorators", async (t) => {
    const seen: unknown[] = []
    const options: AraldoOptions = {
      config: echoing({ rooms: webSocket('/old/:room') }),
      hooks: {
        rooms: {
          preValidation: async (request, reply) => {
            seen.push([{ ...(request.params as object) }, (request as unknown as { user: string }).user, request.ws])
            if ((request.params as { room: string }).room === 'closed') await reply.code(403).send('no')
          },
        },
      },
    }
    const prepare = (app: FastifyInstance): void => {
      app.decorateRequest('user', '')
      app.addHook('onRequest', async (request, reply) => {
        const { authorization } = request.headers
        if (authorization === undefined) await reply.code(401).send('who?')
        else (request as unknown as { user: string }).user = authorization
      })
    }
    const { app, host } = await listening(t, options, { prepare })
    await app.araldo.reload(echoing({ rooms: webSocket('/rooms/:room'), free: webSocket('/free') }))
    await refused(`ws://${host}/rooms/lobby`, 401)
    await refused(`ws://${host}/free`, 401)
    const headers = { authorization: 'ann' }
    assert.equal(await says(`ws://${host}/rooms/lobby`, t, headers), '"hello"')
    assert.equal(await says(`ws://${host}/free`, t, headers), '"hello"')
    await assert.rejects(connect(`ws://${host}/rooms/closed`, { headers }), { statusCode: 403 })
    assert.deepEqual(seen, [
      [{ room: 'lobby' }, 'ann', true],
      [{ room: 'closed' }, 'ann', true],
    ])
    const without = app.araldo.reload(echoing({ free: webSocket('/free') }))
    await assert.rejects(without, { code: 'ARALDO_ERR_UNKNOWN_ENDPOINT' })
  })
})

test('hooks with a callback work as those that return a promise', async (t) => {
  const hook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const { name } = request.query as { name?: string }
    if (name === 'error') done(Object.assign(new Error('no such name'), { statusCode: 409 }))
    else if (name === undefined) void reply.code(403).send('who?')
    else done()
  }
  const hooks = { rooms: { onRequest: hook as unknown as onRequestAsyncHookHandler } }
  const { app, host } = await listening(t, { config: echoing({ rooms: webSocket('/old') }), hooks })
  await app.araldo.reload(echoing({ rooms: webSocket('/rooms') }))
  assert.equal(await says(`ws://${host}/rooms?name=ann`, t), '"hello"')
  await refused(`ws://${host}/rooms`, 403)
  await refused(`ws://${host}/rooms?name=error`, 409)
})

describe('plain HTTP routes of an endpoint', () => {
  test('are reached with body, query and parameters; the request looks as it did to the host', async (t) => {
    const { type } = httpType()
    const { app, host } = await listening(
      t,
      { config: configOf({ in: TEST }, { in: [] }), types: [type] },
      {
        trustProxy: true,
        prepare: (app) => {
          app.decorate('shared', 'by the host')
          app.addHook('onRequest', async (_request, reply) => void reply.header('x-host', 'was here'))
        },
      },
    )
    await app.araldo.reload(configOf({ in: TEST, late: TEST }, { in: ['late'] }))
    const url = `http://${host}/late/7?a=1`
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': '10.1.2.3' }
    const answer = await fetch(url, { method: 'POST', headers, body: '{"text":"hi"}' })
    assert.equal(answer.headers.get('x-host'), 'was here')
    const { id, ...seen } = (await answer.json()) as Record<string, unknown>
    assert.match(String(id), /^req-/)
    assert.deepEqual(seen, {
      body: { text: 'hi' },
      params: { id: '7' },
      query: { a: '1' },
      ip: '10.1.2.3',
      shared: 'by the host',
    })
    const bad = await fetch(url, { method: 'POST', headers, body: '{' })
    assert.equal(bad.status, 400)
    const injected = await app.inject({ method: 'POST', url: '/late/8', payload: { text: 'in' } })
    assert.deepEqual(injected.json<{ body: unknown }>().body, { text: 'in' })
    assert.equal((await app.inject({ method: 'GET', url: '/late/8' })).statusCode, 404)
    assert.equal((await fetch(`http://${host}/late/%E0%A4%A`, { method: 'POST' })).status, 400)

    const metrics = (await app.inject('/metrics')).body
    assert.match(metrics, /http_requests_total{method="POST",route="\/late\/:id",status="2xx"} 2/)
    assert.doesNotMatch(metrics, /route="\/\*"/)

    const { drained } = await app.araldo.reload(configOf({ in: TEST }, { in: [] }))
    await drained
    assert.equal((await app.inject({ method: 'POST', url: '/late/8', payload: {} })).statusCode, 404)
  })

  test("of one that was there from the start end with it; the host's own win where they say more", async (t) => {
    const { type } = httpType()
    const prepare = (app: FastifyInstance): void => void app.post('/late/mine', async () => 'the host')
    const config = configOf({ early: TEST }, { early: [] })
    const { app } = await listening(t, { config, types: [type] }, { prepare })
    const post = async (url: string) => app.inject({ method: 'POST', url, payload: {} })
    assert.equal((await post('/early/1')).statusCode, 200)
    await app.araldo.reload(configOf({ late: TEST }, { late: [] }))
    assert.equal((await post('/early/1')).statusCode, 404)
    assert.equal((await post('/late/mine')).body, 'the host')
    assert.equal((await post('/late/yours')).statusCode, 200)
    await app.araldo.reload(configOf({ early: TEST }, { early: [] }))
    assert.equal((await post('/early/1')).statusCode, 200)
  })

  test('with constraints cannot come with a reload', async (t) => {
    const kit = versionedType()
    const { app } = await listening(t, { config: configOf({ in: TEST }, { in: [] }), types: [kit.type] })
    kit.onPlugin = (scope) => {
      scope.get('/v', { constraints: { version: '1.0.0' } }, async () => 'v')
    }
    await assert.rejects(app.araldo.reload(configOf({ in: TEST, v: TEST }, { in: ['v'] })), {
      code: 'ARALDO_ERR_RELOAD_REFUSED',
      message: /endpoint 'v': a route with constraints/,
    })
  })
})
