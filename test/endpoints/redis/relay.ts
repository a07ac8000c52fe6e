/** A relay with endpoints of Redis in this process: real routes, lanes and ledgers, real servers. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { Redis, type RedisOptions } from 'ioredis'
import type { Endpoint } from '../../../lib/endpoint.ts'
import type { LedgerSnapshot } from '../../../lib/ledger.ts'
import type { Message } from '../../../lib/message.ts'
import araldo from '../../../lib/plugin.ts'
import { silentLog } from '../../support/core.ts'
import type { Owner } from '../../support/process.ts'
import type { RedisServer } from '../../support/redis.ts'
import { configOf } from '../../support/relay.ts'
import { until } from '../../support/wait.ts'

export interface RelayOptions {
  readonly t: Owner
  /** Endpoints of type endpoint-redis by name. There are also `in` and `out`, of type endpoint-app. */
  readonly redis: Readonly<Record<string, object>>
  readonly routes: Readonly<Record<string, readonly unknown[]>>
  readonly log?: FastifyBaseLogger
  readonly directory?: string
  /** Whether the relay counts as started while endpoints of Redis are not up. */
  readonly mayBeDown?: boolean
  /** What the application registers before the relay, and after it. */
  readonly before?: (app: FastifyInstance) => Promise<void>
  readonly after?: (app: FastifyInstance) => Promise<void>
}

export interface StartedRelay {
  readonly app: FastifyInstance
  /** What came to `out`, in order. */
  readonly received: Message[]
  readonly endpoint: (name: string) => Endpoint
  /** Of the lane from one endpoint to another. */
  readonly ledger: (source: string, target: string) => LedgerSnapshot
  /** Resolves when an endpoint is up. */
  readonly up: (name: string) => Promise<void>
  /** Resolves with the reason when an endpoint has gone down for one that matches. */
  readonly down: (name: string, reason?: RegExp, timeout?: number) => Promise<string>
  /** Resolves when so many messages have come to `out`, with their payloads as text. */
  readonly texts: (count: number) => Promise<string[]>
}

/** Resolves when the relay has started and its endpoints are up. */
export async function startRelay(options: RelayOptions): Promise<StartedRelay> {
  const { t, redis, routes, directory, mayBeDown = false, before, after } = options
  const app = Fastify({ loggerInstance: options.log ?? silentLog })
  t.after(() => app.close())
  await before?.(app)
  const declared = Object.entries(redis).map(([name, parameters]) => [name, { id: 'endpoint-redis', ...parameters }])
  const apps = { in: { id: 'endpoint-app' }, out: { id: 'endpoint-app' } }
  const config = configOf({ ...Object.fromEntries(declared), ...apps }, routes)
  await app.register(araldo, { config, ...(directory === undefined ? {} : { directory }) })
  await after?.(app)
  const received: Message[] = []
  app.araldo.subscribe('out', (message) => void received.push(message))
  await app.ready()
  const endpoint = (name: string): Endpoint => app.araldo.endpoints.get(name) as Endpoint
  if (!mayBeDown) await Promise.all(Object.keys(redis).map((name) => endpoint(name).whenUp(5_000)))
  return {
    app,
    received,
    endpoint,
    ledger: (source, target) => {
      const route = app.araldo.routes.find((each) => each.source === source)
      const lane = route?.lanes.find((each) => each.target === target)
      if (lane === undefined) throw new Error(`no lane from ${source} to ${target}`)
      return lane.ledger
    },
    up: (name) => endpoint(name).whenUp(5_000),
    down: (name, reason = /./, timeout = 5_000) => whenDown(endpoint(name), reason, timeout),
    texts: async (count) => {
      await until(() => received.length >= count, { message: `${count} messages, got ${received.length}` })
      return received.map((message) => message.payload.toString())
    },
  }
}

function whenDown(endpoint: Endpoint, reason: RegExp, timeout: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      unlisten()
      reject(new Error(`'${endpoint.name}' is ${endpoint.state}: ${endpoint.reason}; expected ${reason}`))
    }, timeout)
    const look = (): void => {
      if (endpoint.state !== 'down' || endpoint.reason === undefined || !reason.test(endpoint.reason)) return
      clearTimeout(timer)
      unlisten()
      resolve(endpoint.reason)
    }
    const unlisten = endpoint.onState(look)
    look()
  })
}

/** An ioredis client of the test's own. Connected; comes back by itself, and sends nothing twice. */
export async function connectClient(
  t: Owner,
  server: Pick<RedisServer, 'host' | 'port'>,
  options: RedisOptions = {},
): Promise<Redis> {
  const client = new Redis({
    host: server.host,
    port: server.port,
    retryStrategy: () => 20,
    autoResendUnfulfilledCommands: false,
    ...options,
    lazyConnect: true,
  })
  client.on('error', () => {})
  t.after(() => client.disconnect())
  await client.connect()
  return client
}

/** Names of the relay's own connections, as the server lists them. */
export async function relayConnections(server: RedisServer): Promise<string[]> {
  const list = await server.cli('CLIENT', 'LIST')
  return [...list.matchAll(/ name=(araldo-\w+) /g)].map(([, name]) => name as string).toSorted()
}

/** How many connections are subscribed to a channel. */
export async function subscribers(server: RedisServer, channel: string): Promise<number> {
  const answer = await server.cli('PUBSUB', 'NUMSUB', channel)
  return Number(answer.split('\n')[1])
}
