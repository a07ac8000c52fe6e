/** One server, several users of its WebSocket upgrades: relays, and a host's own @fastify/websocket in any place. */
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import fastify, { type FastifyInstance } from 'fastify'
import type { WebSocket } from 'ws'
import type { Endpoint } from '../lib/endpoint.ts'
import { endpointWebSocket } from '../lib/endpoints/websocket/index.ts'
import { DEFAULTS } from './endpoints/websocket/options.ts'
import { connectRaw } from './endpoints/websocket/raw.ts'
import { connect, UpgradeRefused } from './support/client.ts'
import type { LogLine } from './support/core.ts'
import { registerEndpoint } from './support/endpoint.ts'
import type { Owner } from './support/process.ts'
import { within } from './support/wait.ts'

/** The host's own WebSocket route. */
async function echo(scope: FastifyInstance): Promise<void> {
  scope.get('/host', { websocket: true }, (socket) => {
    socket.on('message', (data: Buffer) => socket.send(`host: ${data.toString()}`))
  })
}

async function hostsOwn(scope: FastifyInstance): Promise<void> {
  await scope.register(fastifyWebsocket)
  await scope.register(echo)
}

/** A relay of one endpoint, which sends back to everyone what comes in. Beside the host's, in a scope of its own. */
async function relay(app: FastifyInstance, path: string): Promise<Endpoint> {
  const endpoint = await registerEndpoint(app, endpointWebSocket, { ...DEFAULTS, path, echo: true }, {})
  endpoint.bind((message) => endpoint.send(message))
  app.addHook('onReady', async () => endpoint.start())
  app.addHook('preClose', async () => {
    await endpoint.pause()
    await endpoint.stop()
  })
  return endpoint
}

interface Listening {
  readonly app: FastifyInstance
  readonly host: string
  /** Warnings and errors. */
  readonly complaints: LogLine[]
}

async function listen(t: Owner, build: (app: FastifyInstance) => Promise<void>): Promise<Listening> {
  const complaints: LogLine[] = []
  const stream = new PassThrough()
  stream.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().trim().split('\n')) {
      const parsed = JSON.parse(line) as LogLine
      if (parsed.level >= 40) complaints.push(parsed)
    }
  })
  const app = fastify({ logger: { level: 'info', stream } })
  t.after(() => app.close())
  app.get('/plain', async () => 'plain')
  await build(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, complaints, host: `127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}

async function says(url: string, t: Owner): Promise<string> {
  const client = await connect(url, { t })
  await client.send('"hello"')
  const answer = String(await client.next())
  client.terminate()
  return answer
}

const places: Record<string, (app: FastifyInstance) => Promise<void>> = {
  'in the root, before the relay': async (app) => {
    await app.register(fastifyWebsocket)
    await app.register(echo)
    await relay(app, '/ws')
  },
  'in the root, after the relay': async (app) => {
    await relay(app, '/ws')
    await app.register(fastifyWebsocket)
    await app.register(echo)
  },
  'in a scope beside the relay, before it': async (app) => {
    await app.register(hostsOwn)
    await relay(app, '/ws')
  },
  'in a scope beside the relay, after it': async (app) => {
    await relay(app, '/ws')
    await app.register(hostsOwn)
  },
  'in a scope around the relay': async (app) => {
    await app.register(async (scope) => {
      await scope.register(fastifyWebsocket)
      await scope.register(echo)
      await relay(scope, '/ws')
    })
  },
  'in a scope beside two relays': async (app) => {
    await app.register(async (scope) => void (await relay(scope, '/ws')))
    await app.register(hostsOwn)
    await app.register(async (scope) => void (await relay(scope, '/second')))
  },
}

describe("a host's own @fastify/websocket", () => {
  for (const [place, build] of Object.entries(places)) {
    test(`${place}: both work, nothing is complained about, and the server closes`, async (t) => {
      const { app, host, complaints } = await listen(t, build)
      assert.equal(await says(`ws://${host}/ws`, t), '"hello"')
      assert.equal(await says(`ws://${host}/host`, t), 'host: "hello"')
      if (place.includes('two relays')) assert.equal(await says(`ws://${host}/second`, t), '"hello"')
      assert.equal(await (await fetch(`http://${host}/plain`)).text(), 'plain')

      const client = await connect(`ws://${host}/ws`, { t })
      await within(app.close(), { message: 'the server to close' })
      const { code, reason } = await client.closed
      assert.equal(code, 1001)
      assert.match(reason, /^the server is going away, reconnect in \d{1,4} ms$/)
      assert.deepEqual(complaints, [])
    })
  }

  test('does not count the clients of endpoints among its own', async (t) => {
    const { app, host } = await listen(
      t,
      places['in the root, before the relay'] as (app: FastifyInstance) => Promise<void>,
    )
    await connect(`ws://${host}/host`, { t })
    await connect(`ws://${host}/ws`, { t })
    assert.equal(app.websocketServer.clients.size, 1)
  })
})

describe('without one', () => {
  test('two relays in scopes of their own work side by side', async (t) => {
    const { app, host, complaints } = await listen(t, async (app) => {
      await app.register(async (scope) => void (await relay(scope, '/one')), { prefix: '/a' })
      await app.register(async (scope) => void (await relay(scope, '/two')), { prefix: '/b' })
    })
    assert.equal(await says(`ws://${host}/a/one`, t), '"hello"')
    assert.equal(await says(`ws://${host}/b/two`, t), '"hello"')
    const clients = [await connect(`ws://${host}/a/one`, { t }), await connect(`ws://${host}/b/two`, { t })]
    await within(app.close(), { message: 'the server to close' })
    for (const client of clients) assert.equal((await client.closed).code, 1001)
    assert.deepEqual(complaints, [])
  })

  for (const [path, status] of [
    ['/plain', 200],
    ['/nowhere', 404],
  ] as const) {
    test(`an upgrade that is answered with ${status} is ended and leaves no connection open`, async (t) => {
      const { app, host } = await listen(t, async (app) => void (await relay(app, '/ws')))
      await assert.rejects(connect(`ws://${host}${path}`, { t }), (error) => {
        return error instanceof UpgradeRefused && error.statusCode === status
      })
      // This one does not close by itself.
      let ended: Promise<unknown> | undefined
      const raw = connectRaw(`ws://${host}${path}`, {
        t,
        onSocket: (socket) => {
          ended = new Promise((resolve) => socket.once('close', resolve))
        },
      })
      await assert.rejects(raw, new RegExp(`HTTP/1.1 ${status}`))
      await within(ended as Promise<unknown>)
      const connections = await new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count)))
      assert.equal(connections, 0)
      await within(app.close(), { message: 'the server to close' })
    })
  }

  test('a server that is closed before it listens closes', async () => {
    const app = fastify()
    await relay(app, '/ws')
    await within(app.close())
    assert.equal(app.server.listenerCount('upgrade'), 0)
  })

  test('a client connects through injectWS', async (t) => {
    const app = fastify()
    t.after(() => app.close())
    await app.register(fastifyWebsocket)
    await relay(app, '/ws')
    await app.ready()
    const messages: string[] = []
    let arrived: (() => void) | undefined
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const client = await app.injectWS(
      '/ws',
      {},
      {
        onInit: (socket) =>
          socket.on('message', (data: Buffer) => {
            messages.push(data.toString())
            arrived?.()
          }),
      },
    )
    ;(client as unknown as WebSocket).send('"hello"')
    await within(arrival)
    ;(client as unknown as WebSocket).terminate()
    assert.deepEqual(messages, ['"hello"'])
  })
})
