/** The world on the other side of an endpoint of NATS: another client of the server, which comes back by itself. */
import { connect, headers, type Msg, type NatsConnection } from '@nats-io/transport-node'
import type { Emitted, Peer, Received } from '../../lib/testing/index.ts'
import type { NatsServer } from '../support/nats.ts'
import { until, within } from '../support/wait.ts'

/** What a message of a peer has beside its payload. */
export interface Extra {
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface NatsReceived extends Received {
  readonly key: string | undefined
  readonly id: string | undefined
}

export interface NatsPeer extends Peer {
  /** Resolves when the server has read it; rejects within three seconds where it does not. */
  emit(payload: Buffer, extra?: Extra): Promise<Emitted>
  received(): readonly NatsReceived[]
  close(): Promise<void>
}

const EMIT_TIMEOUT = 3_000
let peers = 0

/** A client that reconnects within a few milliseconds, for as long as it takes. */
export function reconnecting(server: NatsServer): Promise<NatsConnection> {
  return connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 20, reconnectJitter: 0 })
}

/** What of a header is in every client's reach: the last value of each name. */
export function headersOf(message: Pick<Msg, 'headers'>): Record<string, string> {
  const all: Record<string, string> = {}
  for (const [name, values] of message.headers ?? []) all[name] = values.at(-1) ?? ''
  return all
}

/** @param options of the endpoint, beside those that say where it is and which subjects it has. */
export async function createNatsPeer(server: NatsServer, options: object = {}): Promise<NatsPeer> {
  const number = `${process.pid}-${peers++}`
  const [incoming, outgoing] = [`in.${number}`, `out.${number}`]
  const client = await reconnecting(server)
  const received: NatsReceived[] = []
  client.subscribe(outgoing, {
    callback: (_error, message) => {
      const all = headersOf(message)
      const { 'araldo-key': key, 'araldo-id': id } = all
      received.push({ payload: Buffer.from(message.data), topic: message.subject, headers: all, key, id })
    },
  })
  await client.flush()
  return {
    options: { url: server.url, subject: incoming, topic: '{topic}', 'ping-interval': '100ms', ...options },
    topic: outgoing,
    emit: async (payload, { key, headers: extra = {} } = {}) => {
      const block = headers()
      for (const [name, value] of Object.entries(extra)) block.set(name, value)
      if (key !== undefined) block.set('araldo-key', key)
      client.publish(incoming, payload, block.keys().length === 0 ? {} : { headers: block })
      await within(client.flush(), { timeout: EMIT_TIMEOUT, message: 'NATS to read what was published' })
      return { topic: incoming, headers: extra, ...(key === undefined ? {} : { key }) }
    },
    received: () => received,
    outage: {
      stop: async () => void (await server.kill()),
      start: async () => {
        await server.start()
        await until(() => within(client.flush(), { timeout: 200 }).then(() => true))
      },
      freeze: () => server.pause(),
      thaw: () => server.resume(),
    },
    close: async () => {
      await client.close()
      if (!server.process.running) await server.start()
    },
  }
}
