/** The ends that keep what they have confirmed, each with as little in hand at a time as tells duplicates from a flood. */
import { createAmqpPeer } from '../peers/amqp.ts'
import { createHttpPeer, type HttpPeer } from '../peers/http.ts'
import { createJetStreamPeer } from '../peers/jetstream.ts'
import { createMqttPeer } from '../peers/mqtt.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { createPostgresOutboxPeer } from '../peers/postgres.ts'
import { createRedisStreamPeer } from '../peers/redis-stream.ts'
import { type MosquittoServer, startMosquitto } from '../support/mosquitto.ts'
import { type NatsServer, startNats } from '../support/nats.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RabbitmqServer, startRabbitmq } from '../support/rabbitmq.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import type { Server } from '../support/server.ts'
import { createHttpClient } from './clients.ts'

/** Messages that a source has given out and that are not acknowledged, at most; and those with a target. */
export const WINDOW = 64

const BROKERS = ['redis', 'nats', 'postgres', 'rabbitmq', 'mosquitto', 'web'] as const
export type Broker = (typeof BROKERS)[number]

export interface DurableBrokers {
  /** Syncs before it answers. */
  readonly redis: RedisServer
  readonly nats: NatsServer
  /** Writes before it answers: what a crash of the machine would lose is not its process's. */
  readonly postgres: PostgresServer
  /** With its MQTT plugin. */
  readonly rabbitmq: RabbitmqServer
  /** It confirms what it has in memory only, and writes that when it ends in order: so it is ended, not killed. */
  readonly mosquitto: Mosquitto
  readonly web: Web
}

/** What is killed under load. */
export interface Victim {
  kill(): Promise<unknown>
  start(): Promise<unknown>
}

class Mosquitto implements Victim {
  readonly server: MosquittoServer

  constructor(server: MosquittoServer) {
    this.server = server
  }

  async kill(): Promise<void> {
    await this.server.stop()
  }

  start(): Promise<void> {
    return this.server.start()
  }
}

/** All receivers of webhooks: killed, they cut every connection, and are not there. */
class Web implements Victim {
  readonly #peers: HttpPeer[] = []

  async peer(): Promise<InteropPeer & RelayPeer> {
    const receiver = await createHttpPeer()
    this.#peers.push(receiver)
    const path = `/durable-${this.#peers.length}`
    const client = createHttpClient(path, 64)
    return {
      ...receiver,
      options: { ...receiver.options, path },
      connect: (host) => client.connect(host),
      emit: (payload, extra) => client.emit(payload, extra),
      close: async () => {
        this.#peers.splice(this.#peers.indexOf(receiver), 1)
        await Promise.all([client.close(), receiver.close?.()])
      },
    }
  }

  async kill(): Promise<void> {
    await Promise.all(this.#peers.map(({ receiver }) => receiver.stop()))
  }

  async start(): Promise<void> {
    await Promise.all(this.#peers.map(({ receiver }) => receiver.start()))
  }
}

/** A peer that sends to the relay itself. */
export interface RelayPeer {
  /** @param host `127.0.0.1:40123` */
  connect(host: string): Promise<void>
}

export interface DurableEnd {
  readonly name: string
  readonly type: string
  readonly broker: Broker
  peer(brokers: DurableBrokers): Promise<InteropPeer & Partial<RelayPeer>>
  /** Of the endpoint as a source. */
  readonly bounds: object
  /** As a source: what a relay had that was killed comes when its time is over, behind what is new. */
  readonly redeliversLate?: boolean
  /** Its messages have no place for a key. */
  readonly keyless?: boolean
  /** As a target, it knows a message by its id, and has none twice. */
  readonly deduplicates?: boolean
}

/** For a test's `skip`: memory is read from Linux' /proc. */
export const needDurable: string | false =
  process.platform === 'linux'
    ? need('redis-server', 'nats-server', 'initdb', 'postgres', 'rabbitmq-server', 'mosquitto')
    : 'fault tests read /proc: Linux only'

export async function startDurableBrokers(): Promise<DurableBrokers> {
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0']
  const [redis, nats, postgres, rabbitmq, mosquitto] = await Promise.all([
    startRedis({ args: durable }),
    startNats({ jetStream: true }),
    startPostgres({ settings: { synchronous_commit: 'on' } }),
    startRabbitmq({ mqtt: true }),
    startMosquitto({ persistence: true, config: 'max_queued_messages 0' }),
  ])
  return { redis, nats, postgres, rabbitmq, mosquitto: new Mosquitto(mosquitto), web: new Web() }
}

export const DURABLE: readonly DurableEnd[] = [
  {
    name: 'Redis Streams',
    type: 'endpoint-redis-stream',
    broker: 'redis',
    peer: ({ redis }) => createRedisStreamPeer(redis),
    bounds: { batch: WINDOW / 2, 'max-pending': { messages: WINDOW / 2 } },
  },
  {
    name: 'JetStream',
    type: 'endpoint-jetstream',
    broker: 'nats',
    peer: ({ nats }) => createJetStreamPeer(nats),
    bounds: { 'max-ack-pending': WINDOW, 'ack-wait': '2s' },
    redeliversLate: true,
    deduplicates: true,
  },
  {
    name: 'PostgreSQL, tables',
    type: 'endpoint-postgres',
    broker: 'postgres',
    peer: ({ postgres }) => createPostgresOutboxPeer(postgres),
    bounds: { batch: WINDOW / 2, 'max-pending': { messages: WINDOW / 2 } },
    deduplicates: true,
  },
  {
    name: 'AMQP',
    type: 'endpoint-amqp',
    broker: 'rabbitmq',
    peer: ({ rabbitmq }) => createAmqpPeer(rabbitmq),
    bounds: { prefetch: WINDOW },
  },
  {
    name: 'MQTT',
    type: 'endpoint-mqtt',
    broker: 'rabbitmq',
    peer: ({ rabbitmq }) => createMqttPeer(rabbitmq.mqtt as Server, { options: { version: '3.1.1', qos: 1 } }),
    bounds: {}, // the broker's own: mqtt.prefetch, 10
    keyless: true,
  },
  {
    name: 'MQTT, Mosquitto',
    type: 'endpoint-mqtt',
    broker: 'mosquitto',
    peer: ({ mosquitto }) => createMqttPeer(mosquitto.server, { options: { qos: 1 } }),
    bounds: { 'receive-maximum': WINDOW / 2 },
  },
  {
    name: 'HTTP',
    type: 'endpoint-http',
    broker: 'web',
    peer: ({ web }) => web.peer(),
    bounds: {}, // the client's own: one message of each key
  },
]

/** Brokers that keep through a crash what they have confirmed. */
const CRASHABLE: ReadonlySet<Broker> = new Set(['redis', 'nats', 'postgres', 'rabbitmq'])

/** Every two of them: of brokers that keep what they have through a crash, or with another end, HTTP or Mosquitto. */
export function pairsOf(what: 'brokers' | 'others'): [DurableEnd, DurableEnd][] {
  const pairs = DURABLE.flatMap((source) => DURABLE.map((target): [DurableEnd, DurableEnd] => [source, target]))
  return pairs.filter((ends) => ends.every(({ broker }) => CRASHABLE.has(broker)) === (what === 'brokers'))
}

/** Those with an end there. */
export function pairsAt(broker: Broker): [DurableEnd, DurableEnd][] {
  const pairs = pairsOf(CRASHABLE.has(broker) ? 'brokers' : 'others')
  return pairs.filter((ends) => ends.some((end) => end.broker === broker))
}
