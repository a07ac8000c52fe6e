/** Worlds on the other side of endpoint-postgres: another client of the server, which comes back as fast as it can. */
import { isUtf8 } from 'node:buffer'
import pg from 'pg'
import type { Peer, Received } from '../../lib/testing/index.ts'
import type { PostgresServer } from '../support/postgres.ts'
import { until } from '../support/wait.ts'
import type { InteropPeer } from './peer.ts'

/** What a peer sends beside the payload. */
export interface EmitExtra {
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
}

type Row = readonly unknown[]

/** How long a statement may take, a new connection included (milliseconds). */
const TIMEOUT = 3_000
/** Between two tries to connect (milliseconds). */
const RETRY = 20
let places = 0
let keys = 0

/** One connection, opened when it is needed and again when it was lost. Nothing is sent twice. */
class Connection {
  readonly #server: PostgresServer
  readonly #onNotification: ((channel: string, payload: string) => void) | undefined
  readonly #listen: string | undefined
  #client: pg.Client | undefined
  #opening: Promise<pg.Client> | undefined
  #isClosed = false

  constructor(server: PostgresServer, listen?: string, onNotification?: (channel: string, payload: string) => void) {
    this.#server = server
    this.#listen = listen
    this.#onNotification = onNotification
  }

  get isOpen(): boolean {
    return this.#client !== undefined
  }

  /** Rejects where the server has not answered in time. */
  async query(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = await this.open()
    const result = await client.query<unknown[]>({ text, values: [...values], rowMode: 'array' })
    return result.rows
  }

  /** Resolves when it is open; rejects when it is not in time. */
  open(): Promise<pg.Client> {
    if (this.#client !== undefined) return Promise.resolve(this.#client)
    return (this.#opening ??= this.#open().finally(() => (this.#opening = undefined)))
  }

  close(): void {
    this.#isClosed = true
    this.#client?.connection.stream.destroy()
    this.#client = undefined
  }

  async #open(): Promise<pg.Client> {
    const deadline = performance.now() + TIMEOUT
    for (;;) {
      const client = new pg.Client({ connectionString: this.#server.url, query_timeout: TIMEOUT })
      client.on('error', () => {})
      try {
        await client.connect()
        if (this.#listen !== undefined) await client.query(`LISTEN ${pg.escapeIdentifier(this.#listen)}`)
      } catch (error) {
        if (this.#isClosed || performance.now() > deadline) throw error
        await new Promise((resolve) => setTimeout(resolve, RETRY))
        continue
      }
      client.on('notification', ({ channel, payload = '' }) => this.#onNotification?.(channel, payload))
      client.on('end', () => {
        if (this.#client === client) this.#client = undefined
        // A listener hears nothing while it is away: it comes back by itself.
        if (this.#listen !== undefined && !this.#isClosed) this.open().catch(() => {})
      })
      this.#client = client
      return client
    }
  }
}

function outageOf(server: PostgresServer, connections: readonly Connection[]): NonNullable<Peer['outage']> {
  return {
    stop: async () => {
      await server.kill()
      await until(() => connections.every(({ isOpen }) => !isOpen))
    },
    start: async () => {
      if (!server.process.running) await server.start()
      await Promise.all(connections.map((connection) => connection.open()))
    },
    freeze: () => server.pause(),
    thaw: () => server.resume(),
  }
}

/** Channels: the relay listens to one, and notifies another. */
export async function createPostgresPeer(server: PostgresServer): Promise<InteropPeer> {
  const number = places++
  const [incoming, outgoing] = [`in ${number}`, `out ${number}`]
  const received: Received[] = []
  const sender = new Connection(server)
  const receiver = new Connection(server, outgoing, (topic, payload) => {
    received.push({ payload: Buffer.from(payload), topic })
  })
  await Promise.all([sender.open(), receiver.open()])
  return {
    options: { url: server.url, channel: incoming, topic: '{topic}', 'ping-interval': '100ms' },
    topic: outgoing,
    carries: (payload) => payload.length < 8_000 && isUtf8(payload) && !payload.includes(0),
    emit: async (payload) => {
      await sender.query('SELECT pg_notify($1, $2)', [incoming, payload.toString()])
      return { topic: incoming }
    },
    received: () => received,
    outage: outageOf(server, [sender, receiver]),
    close: async () => {
      sender.close()
      receiver.close()
      if (!server.process.running) await server.start()
    },
  }
}

export interface OutboxPeer extends Peer {
  readonly emit: (payload: Buffer, extra?: EmitExtra) => Promise<{ readonly topic: string; readonly key: string }>
  /** Rows that the relay has inserted, in order, with their ids as `id` and keys as `key`. */
  readonly received: () => Promise<readonly (Received & { readonly id: string; readonly key: string | undefined })[]>
  readonly pending: () => Promise<number>
}

/** Tables: the relay reads one as an outbox, and inserts into another, with ids that are unique there. */
export async function createPostgresOutboxPeer(server: PostgresServer): Promise<OutboxPeer> {
  const number = places++
  const [incoming, outgoing] = [`in_${number}`, `out_${number}`]
  const client = new Connection(server)
  await client.query(`CREATE TABLE ${incoming} (id bigserial PRIMARY KEY, message_id text, topic text, key text,
    headers jsonb, payload bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`)
  await client.query(`CREATE TABLE ${outgoing} (LIKE ${incoming} INCLUDING ALL, UNIQUE (message_id))`)
  return {
    options: {
      url: server.url,
      outbox: incoming,
      table: outgoing,
      create: true,
      deduplicate: true,
      'ping-interval': '100ms',
    },
    topic: 'orders',
    // A key each: of one key, the endpoint hands in what was rejected one by one.
    emit: async (payload, { key = `k ${keys++}`, headers = { kind: 'test', größe: 'grün' } } = {}) => {
      const statement = `INSERT INTO ${incoming} (topic, key, headers, payload) VALUES ('events', $1, $2, $3)`
      await client.query(statement, [key, JSON.stringify(headers), payload])
      return { topic: 'events', key, headers }
    },
    pending: async () => Number((await client.query(`SELECT count(*)::text FROM ${incoming}`))[0]?.[0]),
    received: async () => {
      const columns = 'payload, topic, headers, message_id, key'
      const rows = await client.query(`SELECT ${columns} FROM ${outgoing} ORDER BY id`)
      return rows.map(([payload, topic, headers, id, key]) => ({
        payload: payload as Buffer,
        topic: String(topic),
        headers: headers as Record<string, string>,
        id: String(id),
        key: (key as string | null) ?? undefined,
      }))
    },
    outage: outageOf(server, [client]),
    close: async () => {
      client.close()
      if (!server.process.running) await server.start()
    },
  }
}
