/**
 * The ends of the interop tests: each endpoint type, in each mode that makes a difference to whoever is at the other end,
 * with a client that is not araldo, and what of a message this end is known to carry. The tests hold it to that.
 */
import type { Received } from '../../lib/testing/index.ts'
import type { Headers } from '../../lib/types.ts'
import { createAmqpPeer } from '../peers/amqp.ts'
import { createAppPeer } from '../peers/app.ts'
import { createHttpPeer } from '../peers/http.ts'
import { createJetStreamPeer } from '../peers/jetstream.ts'
import { createMqttPeer } from '../peers/mqtt.ts'
import { createNatsPeer } from '../peers/nats.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { createPostgresOutboxPeer, createPostgresPeer } from '../peers/postgres.ts'
import { createRedisPeer } from '../peers/redis.ts'
import { createRedisStreamPeer } from '../peers/redis-stream.ts'
import { acknowledged, createWebSocketPeer, plain } from '../peers/websocket.ts'
import { createWebSocketServerPeer } from '../peers/websocket-client.ts'
import type { Brokers } from './brokers.ts'

/** What of a message an end carries beside text. */
export interface Carried {
  readonly binary: boolean
  /** Headers of any name that all protocols allow; `unicode`: with any text in them. */
  readonly headers: false | 'ascii' | 'unicode'
  readonly key: boolean
  readonly id: boolean
}

export interface Side extends Carried {
  /** Bytes: so many pass. */
  readonly most: number
  /**
   * Bytes: so many do not. One more than {@link most}, but where what stands beside the payload counts, too; undefined
   * where the limit is larger than what the tests send.
   */
  readonly tooMany?: number
}

export interface End {
  /** In the table. */
  readonly name: string
  readonly type: string
  readonly source: Side | null
  readonly target: Side | null
  peer(brokers: Brokers): Promise<InteropPeer> | InteropPeer
  /** Where what arrives has its key and id; headers `araldo-key` and `araldo-id` if left out. */
  read?(received: Received): Seen
}

/** What a client sees of a message. */
export interface Seen {
  readonly key: string | undefined
  readonly id: string | undefined
  readonly headers: Headers
}

export const KiB = 1024
export const MiB = 1024 * KiB
/** Larger than the limits of the brokers here. */
export const LARGE = MiB + 1
const NOTHING = { headers: false, key: false, id: false } as const
const EVERYTHING = { binary: true, headers: 'unicode', key: true, id: true } as const

/** Bytes of a large WebSocket frame's head (RFC 6455 section 5.2), which count. */
const FRAME = 10
/** Bytes of payload in a JSON frame of so many: base64 makes four of three. */
const framed = (bytes: number): number => Math.floor(bytes / 4) * 3

export function seenBy({ read = byAraldoHeaders }: End, received: Received): Seen {
  return read(received)
}

function byAraldoHeaders({ headers = {} }: Received): Seen {
  return { key: headers['araldo-key'], id: headers['araldo-id'], headers }
}

function byFields({ headers = {} }: Received): Seen {
  return { key: headers['key'], id: headers['id'], headers }
}

function byColumns({ key, id, headers = {} }: Received & Partial<Seen>): Seen {
  return { key, id, headers }
}

function byProperties({ headers = {}, ...received }: Received & { readonly id?: string | undefined }): Seen {
  return { key: headers['araldo-key'], id: received.id, headers }
}

function byOwn({ headers = {} }: Received): Seen {
  return { key: headers['own key'], id: headers['own id'], headers }
}

/** Both sides of an end that carry the same. */
function both(side: Side): Pick<End, 'source' | 'target'> {
  return { source: side, target: side }
}

function withOptions(peer: InteropPeer, options: object): InteropPeer {
  return { ...peer, options: { ...peer.options, ...options } }
}

/** Headers count: a packet has 128 KiB. */
const PACKET = { most: 127 * KiB, tooMany: 128 * KiB }

const MQTT: readonly End[] = [
  ...([0, 1, 2] as const).map((qos) => mqtt(`MQTT, QoS ${qos}`, { ...EVERYTHING, ...PACKET }, { qos })),
  mqtt('MQTT 3.1.1', { binary: true, ...NOTHING, ...PACKET }, { version: '3.1.1' }),
]

function mqtt(name: string, side: Side, options: object): End {
  const all = { 'max-packet-size': '128KiB', ...options }
  const peer: End['peer'] = ({ mosquitto }) => createMqttPeer(mosquitto, { options: all })
  return { name, type: 'endpoint-mqtt', ...both(side), peer }
}

/** In the order of the table. */
export const ENDS: readonly End[] = [
  {
    name: 'the application',
    type: 'endpoint-app',
    ...both({ ...EVERYTHING, most: LARGE }),
    peer: () => createAppPeer(),
    read: byOwn,
  },
  {
    name: 'Redis Pub/Sub',
    type: 'endpoint-redis',
    ...both({ binary: true, ...NOTHING, most: LARGE }),
    peer: ({ pubSub }) => createRedisPeer(pubSub),
  },
  {
    name: 'Redis Streams',
    type: 'endpoint-redis-stream',
    ...both({ ...EVERYTHING, most: MiB, tooMany: MiB + 1 }),
    peer: ({ redis }) => createRedisStreamPeer(redis),
    read: byFields,
  },
  {
    name: 'NATS',
    type: 'endpoint-nats',
    // Headers count: whoever sends some has as much less room.
    ...both({ ...EVERYTHING, most: 127 * KiB, tooMany: 128 * KiB }),
    peer: ({ nats }) => createNatsPeer(nats),
  },
  {
    name: 'NATS, flushed',
    type: 'endpoint-nats',
    ...both({ ...EVERYTHING, most: 127 * KiB, tooMany: 128 * KiB }),
    peer: ({ nats }) => createNatsPeer(nats, { confirm: 'flush' }),
  },
  {
    name: 'JetStream',
    type: 'endpoint-jetstream',
    ...both({ ...EVERYTHING, most: 127 * KiB, tooMany: 128 * KiB }),
    peer: ({ nats }) => createJetStreamPeer(nats),
  },
  ...MQTT,
  {
    name: 'AMQP',
    type: 'endpoint-amqp',
    ...both({ ...EVERYTHING, most: 128 * KiB, tooMany: 128 * KiB + 1 }),
    peer: async ({ rabbitmq }) => withOptions(await createAmqpPeer(rabbitmq), { 'max-message-size': '128KiB' }),
    read: byProperties,
  },
  {
    name: 'PostgreSQL, NOTIFY',
    type: 'endpoint-postgres',
    ...both({ binary: false, ...NOTHING, most: 7_999, tooMany: 8_000 }),
    peer: ({ postgres }) => createPostgresPeer(postgres),
  },
  {
    name: 'PostgreSQL, tables',
    type: 'endpoint-postgres',
    ...both({ ...EVERYTHING, most: LARGE }),
    peer: ({ postgres }) => createPostgresOutboxPeer(postgres),
    read: byColumns,
  },
  {
    name: 'HTTP',
    type: 'endpoint-http',
    source: { ...EVERYTHING, most: MiB, tooMany: MiB + 1 },
    target: { ...EVERYTHING, most: LARGE },
    peer: () => createHttpPeer(),
  },
  {
    name: 'WebSocket',
    type: 'endpoint-websocket',
    source: { binary: true, ...NOTHING, most: 256 * KiB, tooMany: 256 * KiB + 1 },
    target: { binary: true, ...NOTHING, most: MiB - FRAME, tooMany: MiB - FRAME + 1 },
    peer: () => createWebSocketPeer({ ...plain, options: { 'max-payload': '256KiB' } }),
  },
  {
    name: 'WebSocket, `araldo.v1`',
    type: 'endpoint-websocket',
    source: { ...EVERYTHING, id: false, most: framed(255 * KiB), tooMany: framed(256 * KiB) },
    target: { binary: true, headers: false, key: false, id: true, most: framed(1023 * KiB), tooMany: framed(MiB) },
    peer: () => createWebSocketPeer({ ...acknowledged, options: { ...acknowledged.options, 'max-payload': '256KiB' } }),
    read: ({ headers = {} }) => ({ key: undefined, id: headers['id'], headers: {} }),
  },
  {
    name: 'WebSocket client',
    type: 'endpoint-websocket-client',
    source: { binary: true, ...NOTHING, most: 256 * KiB, tooMany: 256 * KiB + 1 },
    target: { binary: true, ...NOTHING, most: LARGE },
    peer: async () =>
      withOptions(await createWebSocketServerPeer({ maxPayload: 4 * MiB }), { 'max-payload': '256KiB' }),
  },
  {
    name: 'WebSocket client, `araldo.v1`',
    type: 'endpoint-websocket-client',
    source: { binary: true, ...NOTHING, most: framed(255 * KiB), tooMany: framed(256 * KiB) },
    target: { ...EVERYTHING, most: LARGE },
    peer: async () =>
      withOptions(await createWebSocketServerPeer({ acknowledge: true, maxPayload: 4 * MiB }), {
        'max-payload': '256KiB',
      }),
    read: byFields,
  },
]
