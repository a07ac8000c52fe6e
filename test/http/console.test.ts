import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect, type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { registerMonitoring } from '../../lib/http/index.ts'
import type { Snapshot } from '../../lib/http/console/snapshot.ts'
import type { Sighting } from '../../lib/http/console/feed.ts'
import type { Relay } from '../../lib/relay.ts'
import type { RelayView } from '../../lib/view.ts'
import { EventClient, openEvents } from '../support/events.ts'
import { configOf, relayServer } from '../support/relay.ts'
import { event, until, within } from '../support/wait.ts'

const APP = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-app' } }, { in: ['out'] })

interface Batch {
  readonly messages: Sighting[]
  readonly skipped: number
}

async function listening(server: FastifyInstance): Promise<string> {
  await server.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
}

function isWatched(server: FastifyInstance): boolean {
  return [...(server.araldo as Relay).router.lanes()].some((lane) => lane.trace !== undefined)
}

describe('the console’s page', () => {
  test('is there when the config or the option says so, and the option has the last word', async (t) => {
    const on = configOf({ in: { id: 'endpoint-app' } }, {}, { console: true })
    const status = async (options: Parameters<typeof relayServer>[1]): Promise<number> =>
      (await (await relayServer(t, options)).inject('/console')).statusCode
    assert.equal(await status({ config: APP }), 404)
    assert.equal(await status({ config: on }), 200)
    assert.equal(await status({ config: APP, console: true }), 200)
    assert.equal(await status({ config: on, console: false }), 404)
  })

  test('runs and loads nothing but what it brings along', async (t) => {
    const server = await relayServer(t, { config: APP, console: true })
    const { headers, body } = await server.inject('/console')
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /^default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; connect-src 'self';/)
    for (const element of ['script', 'style']) {
      const [, text = ''] = new RegExp(`<${element}>([^]*)</${element}>`).exec(body) ?? []
      assert.ok(policy.includes(createHash('sha256').update(text).digest('base64')), element)
    }
    assert.doesNotMatch(body.replaceAll('http://www.w3.org/2000/svg', ''), /https?:|\bsrc=|\bhref="(?!data:)|\bon\w+=/)
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['x-content-type-options'], 'nosniff')
  })

  test('answers HEAD, and has its place below any prefix and path', async (t) => {
    const server = await relayServer(t, { config: APP, prefix: '/relay', console: { path: '/look/' } })
    assert.equal((await server.inject({ method: 'HEAD', url: '/relay/look' })).statusCode, 200)
    assert.equal((await server.inject('/console')).statusCode, 404)
  })

  test('answers to addresses, localhost and the names that were allowed, to no other', async (t) => {
    const server = await relayServer(t, { config: APP, console: { hosts: ['Relay.example.com'] } })
    const status = async (host: string): Promise<number> =>
      (await server.inject({ url: '/console', headers: { host } })).statusCode
    for (const host of [
      'localhost:1',
      '127.0.0.1',
      '[::1]:80',
      'a.localhost',
      'relay.example.com.:443',
      '10.1.2.3:5',
    ]) {
      assert.equal(await status(host), 200, host)
    }
    for (const host of ['evil.example:1', 'localhost.evil.example', '127.0.0.1.evil.example', 'x@[::1]', '1']) {
      assert.equal(await status(host), 403, host)
    }
    const { message } = (await server.inject({ url: '/console', headers: { host: 'evil.example' } })).json()
    assert.match(message, /'evil\.example' is not a name that it knows; add it to the option console\.hosts/)
  })

  test('has hooks of its own', async (t) => {
    const onRequest = async (): Promise<void> => {
      throw Object.assign(new Error('who are you?'), { statusCode: 401 })
    }
    const server = await relayServer(t, { config: APP, console: { hooks: { onRequest } } })
    assert.equal((await server.inject('/console')).statusCode, 401)
    assert.equal((await server.inject('/console/events')).statusCode, 401)
    assert.equal((await server.inject('/health/ready')).statusCode, 200)
  })
})

describe('the console’s events', () => {
  test('begin with a snapshot, and tell what went where, without payloads', async (t) => {
    const config = configOf(
      { in: { id: 'endpoint-app' }, out: { id: 'endpoint-app' }, big: { id: 'endpoint-app' } },
      { in: ['out', { to: 'big', when: 'body.size > 10.0', optional: true }] },
    )
    const server = await relayServer(t, { config, console: true })
    const { client, response } = await openEvents(`${await listening(server)}/console/events`, t)
    assert.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8')
    assert.equal(response.headers['cache-control'], 'no-store')
    const first = await client.next<Snapshot>('snapshot')
    assert.deepEqual(first.endpoints.map(({ name, type, state }) => [name, type, state])[0], [
      'in',
      'endpoint-app',
      'up',
    ])
    assert.deepEqual(
      first.lanes.map(({ source, target, optional, steps }) => [source, target, optional, steps]),
      [
        ['in', 'out', false, []],
        ['in', 'big', true, ['when']],
      ],
    )

    await server.araldo.publish('in', { size: 1, text: 'confidential' }, { topic: 'a <b>topic</b>\u202E' })
    const batch = await client.next<Batch>('messages')
    const [delivered, filtered] = batch.messages
    assert.equal(batch.messages.length, 2)
    assert.equal(batch.skipped, 0)
    assert.ok(Math.abs(delivered!.time - Date.now()) < 5_000)
    const expected = { source: 'in', topic: 'a <b>topic</b>\uFFFD', target: 'out', outcome: 'delivered' }
    const { time: _time, bytes, ...told } = delivered!
    assert.deepEqual(told, expected)
    assert.equal(typeof bytes, 'number')
    assert.deepEqual([filtered!.target, filtered!.outcome], ['big', 'filtered'])
    assert.ok(!JSON.stringify(batch).includes('confidential'))

    const second = await client.next<Snapshot>('snapshot')
    assert.deepEqual(
      second.lanes.map(({ received, delivered: all, filtered: none }) => [received, all, none]),
      [
        [1, 1, 0],
        [1, 0, 1],
      ],
    )
  })

  test('show a part of what comes too fast, and count the rest', async (t) => {
    const config = configOf(
      { busy: { id: 'endpoint-app' }, quiet: { id: 'endpoint-app' }, out: { id: 'endpoint-app' } },
      { busy: ['out'], quiet: ['out'] },
    )
    const server = await relayServer(t, { config, console: true })
    const { client } = await openEvents(`${await listening(server)}/console/events`, t)
    await client.next('snapshot')
    const topic = 'x'.repeat(5_000)
    for (let count = 0; count < 1_000; count++) void server.araldo.publish('busy', count, { topic })
    void server.araldo.publish('quiet', 0)
    let seen = 0
    const messages: Sighting[] = []
    while (seen < 1_001) {
      const batch = await client.next<Batch>('messages')
      seen += batch.messages.length + batch.skipped
      messages.push(...batch.messages)
    }
    assert.equal(seen, 1_001)
    assert.ok(messages.length < 50)
    assert.equal(messages.filter(({ source }) => source === 'quiet').length, 1)
    assert.ok(messages.every((message) => message.topic.length <= 200))
  })

  test('cost the relay nothing while nobody watches', async (t) => {
    const server = await relayServer(t, { config: APP, console: true })
    const url = `${await listening(server)}/console/events`
    assert.equal(isWatched(server), false)
    const one = await openEvents(url, t)
    const two = await openEvents(url, t)
    await two.client.next('snapshot')
    assert.equal(isWatched(server), true)
    one.response.destroy()
    await one.client.ended
    assert.equal(isWatched(server), true)
    two.response.destroy()
    await until(() => !isWatched(server))
  })

  test('have so many viewers and no more', async (t) => {
    const server = await relayServer(t, { config: APP, console: true })
    const url = `${await listening(server)}/console/events`
    const open = []
    for (let count = 0; count < 16; count++) open.push(await openEvents(url, t))
    const refused = await openEvents(url, t)
    assert.equal(refused.response.statusCode, 429)
    open[0]!.response.destroy()
    await until(async () => (await openEvents(url, t)).response.statusCode === 200)
  })

  test('are not for pages of another origin, nor for HEAD', async (t) => {
    const server = await relayServer(t, { config: APP, console: true })
    const url = '/console/events'
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await server.inject({ url, headers })).statusCode
    assert.equal(await status({ 'sec-fetch-site': 'cross-site' }), 403)
    assert.equal(await status({ 'sec-fetch-site': 'same-site' }), 403)
    assert.equal(await status({ origin: 'https://evil.example' }), 403)
    assert.equal(await status({ origin: 'null' }), 403)
    assert.equal(await status({ host: 'evil.example', origin: 'http://evil.example' }), 403)
    assert.equal((await server.inject({ method: 'HEAD', url })).statusCode, 404)
    const base = await listening(server)
    const own = await openEvents(`${base}${url}`, t, { origin: base, 'sec-fetch-site': 'same-origin' })
    assert.equal(own.response.statusCode, 200)
  })

  test('work under inject', async (t) => {
    const server = await relayServer(t, { config: APP, console: true })
    const response = await server.inject({ url: '/console/events', payloadAsStream: true })
    const client = new EventClient(response.stream())
    const snapshot = await client.next<Snapshot>('snapshot')
    assert.equal(snapshot.lanes.length, 1)
    await server.araldo.publish('in', 1)
    assert.equal((await client.next<Batch>('messages')).messages.length, 1)
  })

  test('bear the headers that the host’s hooks set', async (t) => {
    const server = Fastify()
    t.after(() => server.close())
    server.addHook('onRequest', async (_request, reply) => {
      reply.header('x-host', 'yes')
    })
    await server.register(async (scope) => registerMonitoring(scope, bigRelay(1, 1), { console: true }))
    const { response } = await openEvents(`${await listening(server)}/console/events`, t)
    assert.equal(response.headers['x-host'], 'yes')
  })

  test('end when the server closes, in which nobody holds it up', async (t) => {
    const server = await relayServer(t, { config: APP, console: true })
    const { client } = await openEvents(`${await listening(server)}/console/events`, t)
    await client.next('snapshot')
    await within(server.close(), { timeout: 2_000, message: 'the server to close' })
    await client.ended
    assert.equal(isWatched(server), false)
  })
})

/** A relay whose snapshots have about `endpoints` times `characters` bytes. */
function bigRelay(endpoints: number, characters: number): RelayView {
  const view = (
    name: string,
  ): [string, RelayView['endpoints'] extends ReadonlyMap<string, infer View> ? View : never] => [
    name,
    {
      name,
      type: 'endpoint-test',
      state: 'up',
      reason: undefined,
      suspended: false,
      capabilities: { source: null, target: null },
      counters: {},
      gauges: { ['g'.repeat(characters)]: 1 },
    },
  ]
  const names = Array.from({ length: endpoints }, (_none, index) => `e${index}`)
  const configuration = { hash: '', loadedAt: 0, reloads: { applied: 0, refused: 0 } }
  return { endpoints: new Map(names.map(view)), routes: [], configuration, closing: false, watch: () => () => {} }
}

test('the console’s events follow a reload', async (t) => {
  const server = await relayServer(t, { config: APP, console: true })
  const { client } = await openEvents(`${await listening(server)}/console/events`, t)
  await client.next<Snapshot>('snapshot')
  const endpoints = { in: { id: 'endpoint-app' }, out: { id: 'endpoint-app' }, more: { id: 'endpoint-app' } }
  await server.araldo.reload(configOf(endpoints, { in: ['out', { to: 'more', when: 'true' }] }))
  await server.araldo.publish('in', 1)
  const { messages } = await client.next<Batch>('messages')
  assert.deepEqual(
    messages.map(({ target, outcome }) => [target, outcome]),
    [
      ['out', 'delivered'],
      ['more', 'delivered'],
    ],
  )
  const { endpoints: shown, lanes } = await client.next<Snapshot>('snapshot')
  assert.deepEqual(
    shown.map(({ name }) => name),
    ['in', 'out', 'more'],
  )
  assert.deepEqual(
    lanes.map(({ target, steps }) => [target, steps]),
    [
      ['out', []],
      ['more', ['when']],
    ],
  )
})

describe('a viewer who reads nothing', () => {
  async function stalled(server: FastifyInstance): Promise<{ socket: ReturnType<typeof connect> }> {
    const { port } = new URL(await listening(server))
    const socket = connect(Number(port), '127.0.0.1')
    await event(socket, 'connect')
    socket.pause()
    socket.on('error', () => {})
    const accepted = event(server.server, 'request')
    socket.write('GET /console/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await accepted
    return { socket }
  }

  async function bigServer(): Promise<FastifyInstance> {
    const fastify = Fastify()
    await fastify.register(async (scope) =>
      registerMonitoring(scope, bigRelay(100, 100_000), { console: true, metrics: false }),
    )
    return fastify
  }

  test('is ended when too much waits for it', async (t) => {
    const fastify = await bigServer()
    t.after(() => fastify.close())
    const connected = event(fastify.server, 'connection')
    const { socket } = await stalled(fastify)
    t.after(() => {
      socket.destroy()
    })
    const [peer] = (await connected) as [ReturnType<typeof connect>]
    if (!peer.destroyed) await event(peer, 'close')
  })

  test('does not hold the server up', async (t) => {
    const fastify = await bigServer()
    const { socket } = await stalled(fastify)
    t.after(() => {
      socket.destroy()
    })
    await within(fastify.close(), { timeout: 2_000, message: 'the server to close' })
  })
})
