/** Two relays on the same brokers: each gets all of what is broadcast, both together all of what is shared, and no loops. */
import assert from 'node:assert/strict'
import { before, describe, test, type TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { loadConfig } from '../../lib/config.ts'
import { type ConfigObject, createRegistries } from '../../lib/plugin.ts'
import { createAmqpPeer } from '../peers/amqp.ts'
import { createMqttPeer } from '../peers/mqtt.ts'
import { createNatsPeer } from '../peers/nats.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { createPostgresOutboxPeer, createPostgresPeer } from '../peers/postgres.ts'
import { createRedisPeer } from '../peers/redis.ts'
import { createRedisStreamPeer } from '../peers/redis-stream.ts'
import { configOf, relayServer } from '../support/relay.ts'
import { until } from '../support/wait.ts'
import { type Brokers, needBrokers, startBrokers } from './brokers.ts'

const MESSAGES = 200
const PATIENCE = 20_000
const RELAYS = ['a', 'b'] as const
type RelayName = (typeof RELAYS)[number]

let brokers: Brokers

interface Case {
  readonly name: string
  readonly type: string
  peer(): Promise<InteropPeer>
  /** What this relay's endpoint has that the other's has not, or that both have. */
  options(relay: RelayName): object
}

const BROADCAST: readonly Case[] = [
  { name: 'Redis Pub/Sub', type: 'endpoint-redis', peer: () => createRedisPeer(brokers.pubSub), options: () => ({}) },
  {
    name: 'Redis Streams, a group each',
    type: 'endpoint-redis-stream',
    peer: () => createRedisStreamPeer(brokers.redis),
    options: (relay) => ({ group: `group-${relay}` }),
  },
  { name: 'NATS', type: 'endpoint-nats', peer: () => createNatsPeer(brokers.nats), options: () => ({}) },
  {
    name: 'MQTT',
    type: 'endpoint-mqtt',
    peer: () => createMqttPeer(brokers.mosquitto),
    options: (relay) => ({ 'client-id': `broadcast-${relay}` }),
  },
  {
    name: 'PostgreSQL, LISTEN',
    type: 'endpoint-postgres',
    peer: () => createPostgresPeer(brokers.postgres),
    options: () => ({}),
  },
]

const SHARED: readonly Case[] = [
  {
    name: 'Redis Streams, one group',
    type: 'endpoint-redis-stream',
    peer: () => createRedisStreamPeer(brokers.redis),
    options: (relay) => ({ consumer: relay, batch: 10 }),
  },
  {
    name: 'NATS, a queue group',
    type: 'endpoint-nats',
    peer: () => createNatsPeer(brokers.nats),
    options: () => ({ queue: 'relays' }),
  },
  {
    name: 'MQTT, a shared subscription',
    type: 'endpoint-mqtt',
    peer: () => createMqttPeer(brokers.mosquitto),
    options: (relay) => ({ 'client-id': `shared-${relay}`, share: 'relays' }),
  },
  {
    name: 'AMQP, one queue',
    type: 'endpoint-amqp',
    peer: () => createAmqpPeer(brokers.rabbitmq),
    options: () => ({ prefetch: 10 }),
  },
  {
    name: 'PostgreSQL, an outbox',
    type: 'endpoint-postgres',
    peer: () => createPostgresOutboxPeer(brokers.postgres),
    options: () => ({ batch: 10 }),
  },
]

/** Both relays, up and at work. */
async function start(t: TestContext, config: (relay: RelayName) => ConfigObject): Promise<FastifyInstance[]> {
  const servers = await Promise.all(RELAYS.map((relay) => relayServer(t, { config: config(relay) })))
  for (const server of servers) {
    await server.listen({ host: '127.0.0.1', port: 0 })
    const { endpoints } = server.araldo
    await until(() => [...endpoints.values()].every(({ state }) => state === 'up'), {
      timeout: PATIENCE,
      message: 'every endpoint to be up',
    })
  }
  return servers
}

/** Sends numbered messages to one source that both relays have. @returns what each of them got. */
async function received(t: TestContext, { type, peer: create, options }: Case, total: number): Promise<string[][]> {
  const peer = await create()
  t.after(() => peer.close?.())
  const servers = await start(t, (relay) =>
    configOf(
      { in: { ...peer.options, ...options(relay), id: type }, out: { id: 'endpoint-app' } },
      { in: ['out'] },
      { instance: relay },
    ),
  )
  const got = servers.map((server) => {
    const bodies: string[] = []
    server.araldo.subscribe('out', ({ body }) => void bodies.push(String(body)))
    return bodies
  })
  for (let number = 0; number < MESSAGES; number++) {
    await peer.emit(Buffer.from(`"${number}"`), { key: `k${number % 7}` })
  }
  await until(() => got.flat().length >= total, { timeout: PATIENCE, message: `${total} messages to arrive` })
  t.diagnostic(got.map(({ length }) => length).join(' and '))
  return got
}

const NUMBERS = Array.from({ length: MESSAGES }, (_, number) => String(number))
const sorted = (bodies: readonly string[]): string[] => bodies.toSorted((a, b) => Number(a) - Number(b))

describe('two relays on one broker', { skip: needBrokers }, () => {
  before(async () => {
    brokers = await startBrokers()
  })

  for (const each of BROADCAST) {
    test(`each get every message: ${each.name}`, async (t) => {
      for (const bodies of await received(t, each, 2 * MESSAGES)) assert.deepEqual(sorted(bodies), NUMBERS)
    })
  }

  for (const each of SHARED) {
    test(`get each message once between them: ${each.name}`, async (t) => {
      const got = await received(t, each, MESSAGES)
      assert.deepEqual(sorted(got.flat()), NUMBERS)
    })
  }

  test('that both bridge a stream and NATS in both directions end every message', async (t) => {
    const stream = await createRedisStreamPeer(brokers.redis)
    const nats = await createNatsPeer(brokers.nats)
    t.after(() => Promise.all([stream.close?.(), nats.close()]))
    const { stream: entries } = stream.options as { stream: string }
    const { subject } = nats.options as { subject: string }
    const servers = await start(t, (relay) =>
      configOf(
        {
          stream: { id: 'endpoint-redis-stream', url: brokers.redis.url, stream: entries, consumer: relay },
          bus: { id: 'endpoint-nats', url: brokers.nats.url, subject, topic: subject, queue: 'bridge' },
        },
        { stream: ['bus'], bus: ['stream'] },
        // They share the work of one config, and so they are one to a message's hops.
        { instance: 'bridge' },
      ),
    )
    const sum = (source: string): { received: number; delivered: number; looped: number; waiting: number } => {
      const total = { received: 0, delivered: 0, looped: 0, waiting: 0 }
      for (const server of servers) {
        const lane = server.araldo.routes.find((route) => route.source === source)?.lanes[0]
        total.received += lane?.ledger.received ?? 0
        total.delivered += lane?.ledger.delivered ?? 0
        total.waiting += lane?.ledger.waiting ?? 0
        total.looped += lane?.looped ?? 0
      }
      return total
    }
    // Wherever it began, each message is delivered once to either side, and ends when it comes round to where it was.
    const isOver = (messages: number): boolean =>
      ['stream', 'bus'].every((source) => {
        const { delivered, looped, waiting } = sum(source)
        return delivered === 2 * messages && looped === messages && waiting === 0
      })
    const over = async (messages: number): Promise<void> => {
      await until(() => isOver(messages), { timeout: PATIENCE }).catch((cause: unknown) => {
        const figures = JSON.stringify([sum('stream'), sum('bus')])
        throw new Error(`${messages} messages from either side have not come to their end: ${figures}`, { cause })
      })
    }
    for (let number = 0; number < MESSAGES; number++) {
      await stream.emit(Buffer.from(`"s${number}"`), { key: 'k' })
      await nats.emit(Buffer.from(`"n${number}"`), { key: 'k' })
    }
    await over(MESSAGES)
    // Whatever still went round would have come before these are through.
    await stream.emit(Buffer.from('"s-last"'))
    await nats.emit(Buffer.from('"n-last"'))
    await over(MESSAGES + 1)
    for (const source of ['stream', 'bus']) assert.equal(sum(source).received, 3 * (MESSAGES + 1))
  })

  test('may not bridge Redis Pub/Sub and NATS in both directions: nothing would end a message', async () => {
    const { pubSub, nats } = brokers
    const config = configOf(
      {
        channel: { id: 'endpoint-redis', url: pubSub.url, channel: 'bridge' },
        bus: { id: 'endpoint-nats', url: nats.url, subject: 'bridge', topic: 'bridge', echo: true },
      },
      { channel: ['bus'], bus: ['channel'] },
    )
    await assert.rejects(loadConfig(config, createRegistries()), /loop: channel → bus|loop: bus → channel/)
  })
})
