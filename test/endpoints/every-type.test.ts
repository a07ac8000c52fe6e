/**
 * Each type of endpoint, from a relay to a broker (or a server) and from there back to the relay: what of a message beside
 * its payload arrives, which the pages of the connectors say, and that many messages leave by few writes.
 */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { builtinEndpoints } from '../../lib/endpoints/index.ts'
import type { Message } from '../../lib/message.ts'
import araldo from '../../lib/plugin.ts'
import { type Brokers, needBrokers, startBrokers } from '../interop/brokers.ts'
import type { TestEndpoint } from '../support/core.ts'
import { freePort } from '../support/port.ts'
import { configOf, testType } from '../support/relay.ts'
import { until } from '../support/wait.ts'

const SENT = {
  payload: Buffer.from('{"a":1}'),
  topic: 'made',
  id: 'order-7',
  key: 'customer 7',
  time: Date.UTC(2026, 0, 31, 12, 0, 0, 250),
  headers: {
    'content-type': 'application/vnd.order+json',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    tracestate: 'congo=t61rcWkgMzE',
    'araldo-hops': 'elsewhere/orders',
    'x-origin': 'Ærø ✓',
  },
}
/** `hops`: with the hop to this endpoint added. `handed on`: as they were. */
interface Carried {
  readonly id?: true
  readonly key?: true
  readonly time?: true
  readonly headers?: true
  readonly hops?: 'added' | 'handed on'
}
const EVERYTHING: Carried = { id: true, key: true, time: true, headers: true, hops: 'added' }
const NOTHING: Carried = {}

interface Way {
  readonly type: string
  readonly carries: Carried
  /** Of one endpoint that both sends and receives; or of the one that sends. */
  readonly options: (at: Places) => object
  /** Of the one that receives, where that is another. */
  readonly back?: { readonly type: string; readonly options: object }
}
type Places = Brokers & { readonly port: number }

const WAYS: Readonly<Record<string, Way>> = {
  amqp: {
    type: 'endpoint-amqp',
    carries: EVERYTHING,
    options: ({ rabbitmq }) => ({ url: rabbitmq.url, queue: 'here', topic: 'here', declare: { type: 'classic' } }),
  },
  http: {
    type: 'endpoint-http',
    carries: { id: true, key: true, time: true, headers: true, hops: 'handed on' },
    options: ({ port }) => ({
      path: '/hook',
      url: `http://127.0.0.1:${port}/hook`,
      'allow-private': true,
      'forward-headers': ['*', 'araldo-hops'],
    }),
  },
  'http-plain': {
    type: 'endpoint-http',
    carries: { id: true, key: true, time: true, headers: true },
    options: ({ port }) => ({
      path: '/plain',
      url: `http://127.0.0.1:${port}/plain`,
      'allow-private': true,
      'forward-headers': ['*'],
    }),
  },
  jetstream: {
    type: 'endpoint-jetstream',
    carries: EVERYTHING,
    options: ({ nats }) => ({ url: nats.url, stream: 'HERE', subject: 'stored', topic: 'stored', create: true }),
  },
  mqtt: {
    type: 'endpoint-mqtt',
    carries: EVERYTHING,
    options: ({ mosquitto }) => ({ url: mosquitto.url, subscribe: 'here', topic: 'here', echo: true }),
  },
  'mqtt-old': {
    type: 'endpoint-mqtt',
    carries: NOTHING,
    options: ({ mosquitto }) => ({ url: mosquitto.url, version: '3.1.1', subscribe: 'old', topic: 'old' }),
  },
  nats: {
    type: 'endpoint-nats',
    carries: EVERYTHING,
    options: ({ nats }) => ({ url: nats.url, subject: 'here', topic: 'here', echo: true }),
  },
  'nats-bare': {
    type: 'endpoint-nats',
    carries: NOTHING,
    options: ({ nats }) => ({ url: nats.url, subject: 'bare', topic: 'bare', echo: true, headers: false }),
  },
  postgres: {
    type: 'endpoint-postgres',
    carries: EVERYTHING,
    options: ({ postgres }) => ({ url: postgres.url, outbox: 'here', table: 'here', create: true }),
  },
  notify: {
    type: 'endpoint-postgres',
    carries: NOTHING,
    options: ({ postgres }) => ({ url: postgres.url, channel: 'told' }),
  },
  redis: {
    type: 'endpoint-redis',
    carries: NOTHING,
    options: ({ pubSub }) => ({ url: pubSub.url, channel: 'here' }),
  },
  stream: {
    type: 'endpoint-redis-stream',
    carries: EVERYTHING,
    options: ({ redis }) => ({ url: redis.url, stream: 'here' }),
  },
  link: {
    type: 'endpoint-websocket-client',
    carries: { key: true, headers: true },
    options: ({ port }) => ({ url: `ws://127.0.0.1:${port}/link`, acknowledge: true }),
    back: { type: 'endpoint-websocket', options: { path: '/link', acknowledge: 'required' } },
  },
  wire: {
    type: 'endpoint-websocket-client',
    carries: NOTHING,
    options: ({ port }) => ({ url: `ws://127.0.0.1:${port}/wire` }),
    back: { type: 'endpoint-websocket', options: { path: '/wire' } },
  },
}
/** They are no other end than the application's. */
const WITHIN = ['endpoint-app', 'endpoint-mock']

/** Each call is one system call, or one record of TLS. Node's own types do not have it. */
const sockets = Socket.prototype as Socket & { _writeGeneric(...args: unknown[]): unknown }

/** How often was written, by the port at the other end, until it is called off. */
function countWrites(): { readonly counts: Map<number, number>; readonly end: () => void } {
  const counts = new Map<number, number>()
  const original = sockets._writeGeneric
  sockets._writeGeneric = function counted(this: Socket, ...args) {
    const port = this.remotePort ?? 0
    counts.set(port, (counts.get(port) ?? 0) + 1)
    return original.apply(this, args)
  }
  return { counts, end: () => void (sockets._writeGeneric = original) }
}

describe('a message through each type of endpoint', { skip: needBrokers }, () => {
  let fastify: FastifyInstance
  let places: Places
  let source: TestEndpoint
  const arrived = new Map<string, Message>()
  const counts = new Map<string, number>()

  before(async () => {
    places = { ...(await startBrokers()), port: await freePort() }
    const endpoints: Record<string, { id: string }> = { made: { id: 'endpoint-test' }, seen: { id: 'endpoint-app' } }
    const routes: Record<string, unknown[]> = { made: [] }
    for (const [name, { type, options, back }] of Object.entries(WAYS)) {
      endpoints[name] = { id: type, ...options(places) }
      if (back !== undefined) endpoints[`${name}-back`] = { id: back.type, ...back.options }
      routes['made']?.push(name)
      routes[back === undefined ? name : `${name}-back`] = ['seen']
    }
    const { type, made } = testType()
    fastify = Fastify()
    const config = configOf(endpoints, routes, { instance: 'here' })
    await fastify.register(araldo, { config, types: [type] })
    await fastify.listen({ port: places.port, host: '127.0.0.1' })
    fastify.araldo.subscribe('seen', (message) => {
      const name = message.source.replace(/-back$/, '')
      counts.set(name, (counts.get(name) ?? 0) + 1)
      if (!arrived.has(name)) arrived.set(name, message)
    })
    const states = fastify.araldo.endpoints
    await until(() => [...states.values()].every(({ state }) => state === 'up'), { timeout: 30_000, message: 'all up' })
    source = made.get('made') as TestEndpoint
    source.feed(SENT)
  })
  after(() => fastify?.close())

  for (const [name, { type, carries }] of Object.entries(WAYS)) {
    const carried = Object.keys(carries).join(', ')
    test(`by ${type} (${name}): ${carried === '' ? 'nothing of it' : carried}`, async () => {
      const message = await until(() => arrived.get(name), { message: `the message from ${name}` })
      assert.equal(message.payload.toString(), SENT.payload.toString())
      assert.equal(message.id === SENT.id, carries.id === true, `id ${message.id}`)
      assert.equal(message.key, carries.key === true ? SENT.key : undefined)
      assert.equal(message.time === SENT.time, carries.time === true, `time ${message.time}`)
      for (const each of ['content-type', 'traceparent', 'tracestate', 'x-origin'] as const) {
        const expected = carries.headers === true ? SENT.headers[each] : undefined
        assert.equal(message.headers[each], expected, each)
      }
      const { 'araldo-hops': before } = SENT.headers
      const hops = { added: `${before}, here/${name}`, 'handed on': before, none: undefined }
      assert.equal(message.headers['araldo-hops'], hops[carries.hops ?? 'none'])
      for (const own of ['araldo-id', 'araldo-key', 'araldo-time']) assert.equal(message.headers[own], undefined, own)
    })
  }

  test('leaves with the others of its turn by few writes, and is acknowledged with them', async () => {
    const count = 50
    const { counts: writes, end } = countWrites()
    const before = new Map(counts)
    for (let number = 0; number < count; number++) {
      source.feed({ payload: Buffer.from(`{"number":${number}}`), topic: SENT.topic })
    }
    for (const name of Object.keys(WAYS)) {
      await until(() => (counts.get(name) ?? 0) - (before.get(name) ?? 0) === count, { message: `all by ${name}` })
    }
    end()
    const { nats, rabbitmq, mosquitto, postgres, redis, pubSub, port: own } = places
    // Two to four endpoints are at most of these: what is sent, and what is acknowledged.
    for (const [name, { port }] of Object.entries({ nats, rabbitmq, mosquitto, postgres, redis, pubSub })) {
      const there = writes.get(port) ?? 0
      assert.ok(there > 0 && there < count, `${name}: ${there} writes for ${count} messages`)
    }
    const requests = Object.values(WAYS).filter(({ type }) => type === 'endpoint-http').length * count
    const frames = (writes.get(own) ?? 0) - requests
    assert.ok(frames > 0 && frames < count, `WebSocket: ${frames} writes for ${count} messages`)
  })

  test('is looked at for each type that has another side', () => {
    const types = Object.values(WAYS).flatMap(({ type, back }) => [type].concat(back?.type ?? []))
    assert.deepEqual([...new Set([...types, ...WITHIN])].toSorted(), builtinEndpoints.map(({ id }) => id).toSorted())
  })
})
