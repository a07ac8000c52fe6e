/** Clients that no one here wrote at both ends of the relay: the command-line tools of the brokers, and their gateways. */
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { wsconnect } from '@nats-io/nats-core'
import Fastify, { type FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import araldo from '../../lib/plugin.ts'
import { type ManagedProcess, type Owner, runOrThrow, startProcess } from '../support/process.ts'
import { configOf } from '../support/relay.ts'
import { find, need } from '../support/require.ts'
import { until, within } from '../support/wait.ts'
import { type Brokers, needBrokers, startBrokers } from './brokers.ts'

const TOOLS = ['mosquitto_pub', 'mosquitto_sub', 'amqp-publish', 'amqp-consume', 'amqp-declare-queue', 'psql', 'curl']
const TEXT = 'Grüß Gott, 日本語 🐘'

let brokers: Brokers
let server: FastifyInstance
let host: string

const tool = (name: string, ...args: string[]): Promise<string> => runOrThrow(find(name), args)

const post = (path: string, body: string, ...headers: string[]): Promise<string> =>
  tool(
    'curl',
    '-sS',
    '--fail-with-body',
    ...headers.flatMap((each) => ['-H', each]),
    '-d',
    body,
    `http://${host}${path}`,
  )

/** A mosquitto_sub that has subscribed; it writes each message as `got <topic> <user properties> <payload>`. */
function subscriber(t: Owner, url: string, topic: string, version: string): Promise<ManagedProcess> {
  // Into a pipe it would write when it has 4 KiB.
  const args = [
    '-oL',
    find('mosquitto_sub'),
    '-d',
    '-L',
    `${url}/${topic}`,
    '-V',
    version,
    '-q',
    '1',
    '-F',
    'got %t %P %p',
  ]
  return startProcess({ command: 'stdbuf', args, ready: /Subscribed/, t })
}

function publish(url: string, topic: string, payload: string, ...args: string[]): Promise<string> {
  return tool('mosquitto_pub', '-L', `${url}/${topic}`, '-q', '1', '-m', payload, ...args)
}

/** NATS's own client for browsers, which wants their WebSocket. */
function natsBrowser(): ReturnType<typeof wsconnect> {
  const wsFactory = async (): Promise<{ socket: globalThis.WebSocket; encrypted: boolean }> => {
    const socket = new WebSocket(brokers.nats.webSocketUrl as string)
    return { socket: socket as unknown as globalThis.WebSocket, encrypted: false }
  }
  return wsconnect({ servers: brokers.nats.webSocketUrl as string, wsFactory })
}

describe('clients that are not ours', { skip: needBrokers || need(...TOOLS) }, () => {
  before(async () => {
    brokers = await startBrokers()
    const { redis, nats, mosquitto, postgres, rabbitmq } = brokers
    await tool('amqp-declare-queue', '-u', rabbitmq.url, '-q', 'jobs', '-d')
    const raw = <Options extends object>(options: Options): Options => ({ ...options, marshalling: 'bytes' })
    const stream = (name: string): { id: string; url: string; stream: string } =>
      raw({ id: 'endpoint-redis-stream', url: redis.url, stream: name })
    const config = configOf(
      {
        requests: raw({ id: 'endpoint-http', path: '/orders' }),
        jobs: raw({ id: 'endpoint-amqp', url: rabbitmq.url, topic: 'jobs' }),
        work: raw({ id: 'endpoint-amqp', url: rabbitmq.url, queue: 'work', declare: true }),
        done: stream('done'),
        sensors: raw({ id: 'endpoint-mqtt', url: mosquitto.url, subscribe: 'sensors/#' }),
        readings: raw({ id: 'endpoint-postgres', url: postgres.url, table: 'readings', create: true }),
        orders: stream('orders'),
        lamps: raw({ id: 'endpoint-mqtt', url: mosquitto.url, topic: 'lamps/{key}' }),
        outbox: raw({ id: 'endpoint-postgres', url: postgres.url, outbox: 'outbox', create: true }),
        news: raw({ id: 'endpoint-redis', url: redis.url, topic: 'news' }),
        devices: raw({ id: 'endpoint-nats', url: nats.url, subject: 'devices.>' }),
        plant: raw({ id: 'endpoint-amqp', url: rabbitmq.url, exchange: 'amq.topic', topic: 'plant.lamp' }),
        alarms: raw({ id: 'endpoint-http', path: '/alarms' }),
        browsers: raw({ id: 'endpoint-nats', url: nats.url, topic: 'alarms' }),
        gateway: raw({ id: 'endpoint-mqtt', url: nats.mqttUrl, version: '3.1.1', topic: 'gateway/alarms' }),
        clicks: raw({ id: 'endpoint-nats', url: nats.url, subject: 'clicks' }),
        clicked: stream('clicked'),
      },
      {
        requests: ['jobs'],
        work: ['done'],
        sensors: ['readings'],
        orders: ['lamps'],
        outbox: ['news'],
        devices: ['plant'],
        alarms: ['browsers', 'gateway'],
        clicks: ['clicked'],
      },
    )
    const plugins = { ...config.plugins, 'araldo.marshalling': [{ name: 'bytes', id: 'marshal-raw' }] }
    server = Fastify()
    await server.register(araldo, { config: { ...config, plugins } })
    await server.listen({ host: '127.0.0.1', port: 0 })
    host = `127.0.0.1:${(server.server.address() as AddressInfo).port}`
    const { endpoints } = server.araldo
    await until(() => [...endpoints.values()].every(({ state }) => state === 'up'), {
      timeout: 20_000,
      message: 'every endpoint to be up',
    })
  })
  after(() => server?.close())

  test('curl to amqp-consume: a request is answered when RabbitMQ has it', async () => {
    const answer = await post('/orders', TEXT, 'idempotency-key: order-7', 'content-type: text/plain')
    assert.deepEqual(JSON.parse(answer), { id: 'order-7' })
    assert.equal(await tool('amqp-consume', '-u', brokers.rabbitmq.url, '-q', 'jobs', '-c', '1', 'cat'), TEXT)
  })

  test('amqp-publish to redis-cli: a message is an entry of a stream', async () => {
    await tool('amqp-publish', '-u', brokers.rabbitmq.url, '-r', 'work', '-p', '-H', 'kind: test', '-b', TEXT)
    const entry = await until(() => brokers.redis.cli('XRANGE', 'done', '-', '+'))
    const lines = entry.split('\n')
    assert.equal(lines[lines.indexOf('payload') + 1], TEXT)
    assert.equal(lines[lines.indexOf('kind') + 1], 'test')
  })

  test('mosquitto_pub to psql: a message is a row', async () => {
    await publish(
      brokers.mosquitto.url,
      'sensors/roof',
      TEXT,
      '-V',
      '5',
      '-D',
      'publish',
      'user-property',
      'kind',
      'test',
    )
    const columns = "topic, headers->>'kind', convert_from(payload, 'UTF8')"
    const row = await until(() => brokers.postgres.sql(`SELECT ${columns} FROM readings`))
    assert.equal(row, `sensors/roof|test|${TEXT}`)
  })

  test('redis-cli to mosquitto_sub: an entry is a message, its fields are user properties', async (t) => {
    const lamps = await subscriber(t, brokers.mosquitto.url, 'lamps/#', '5')
    await brokers.redis.cli('XADD', 'orders', '*', 'payload', TEXT, 'key', 'kitchen', 'kind', 'test')
    const [line] = await lamps.line(/^got .*$/m)
    assert.match(line, /^got lamps\/kitchen .*kind:test/)
    assert.ok(line.endsWith(TEXT))
  })

  test('psql to redis-cli: a row of the outbox is published, and gone', async (t) => {
    const listener = await startProcess({
      command: find('redis-cli'),
      args: [...brokers.redis.cliArgs, 'SUBSCRIBE', 'news'],
      ready: /subscribe\s+news/,
      t,
    })
    await brokers.postgres.sql(`INSERT INTO outbox (topic, payload) VALUES ('news', convert_to('${TEXT}', 'UTF8'))`)
    await listener.line(new RegExp(`message\\s+news\\s+${TEXT}`))
    await until(async () => (await brokers.postgres.sql('SELECT count(*) FROM outbox')) === '0')
  })

  test('MQTT at NATS to MQTT at RabbitMQ, by NATS and AMQP: mosquitto_pub is heard by mosquitto_sub', async (t) => {
    const url = brokers.rabbitmq.mqtt?.url as string
    const plant = await subscriber(t, url, 'plant/#', 'mqttv311')
    await publish(brokers.nats.mqttUrl as string, 'devices/lamp', TEXT, '-V', 'mqttv311')
    const [line] = await plant.line(/^got .*$/m)
    assert.match(line, /^got plant\/lamp /)
    assert.ok(line.endsWith(TEXT))
  })

  test("curl to NATS's own client for browsers, by NATS and by MQTT at NATS", async () => {
    const client = await natsBrowser()
    const [direct, gateway] = [client.subscribe('alarms', { max: 1 }), client.subscribe('gateway.alarms', { max: 1 })]
    await client.flush()
    await post('/alarms', TEXT, 'content-type: text/plain')
    for (const subscription of [direct, gateway]) {
      const { value } = await within(subscription[Symbol.asyncIterator]().next())
      assert.equal(value?.string(), TEXT)
    }
    await client.close()
  })

  test("NATS's own client for browsers to redis-cli", async () => {
    const client = await natsBrowser()
    client.publish('clicks', TEXT)
    await client.flush()
    const entry = await until(() => brokers.redis.cli('XRANGE', 'clicked', '-', '+'))
    assert.ok(entry.split('\n').includes(TEXT))
    await client.close()
  })
})
