/**
 * What a message is beside its payload, through each type of endpoint: from a relay to a broker (or a server), and from
 * there back to the relay. The pages of the connectors say what is carried; here it is held against what arrives.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { builtinEndpoints } from '../../lib/endpoints/index.ts'
import type { Message } from '../../lib/message.ts'
import araldo from '../../lib/plugin.ts'
import { type Brokers, needBrokers, startBrokers } from '../interop/brokers.ts'
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

describe('what a message is beside its payload', { skip: needBrokers }, () => {
  let fastify: FastifyInstance
  const arrived = new Map<string, Message>()

  before(async () => {
    const places = { ...(await startBrokers()), port: await freePort() }
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
    fastify.araldo.subscribe('seen', (message) => void arrived.set(message.source.replace(/-back$/, ''), message))
    const states = fastify.araldo.endpoints
    await until(() => [...states.values()].every(({ state }) => state === 'up'), { timeout: 30_000, message: 'all up' })
    made.get('made')?.feed(SENT)
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

  test('is looked at for each type that has another side', () => {
    const types = Object.values(WAYS).flatMap(({ type, back }) => [type].concat(back?.type ?? []))
    assert.deepEqual([...new Set([...types, ...WITHIN])].toSorted(), builtinEndpoints.map(({ id }) => id).toSorted())
  })
})
