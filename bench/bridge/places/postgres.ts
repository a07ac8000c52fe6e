/** PostgreSQL: an outbox whose rows are deleted when they are done, and a table that rows are inserted into. */
import pg from 'pg'
import { startPostgres } from '../../../test/support/postgres.ts'
import { itemsOf } from '../message.ts'
import type { Broker, Kind } from './place.ts'

/** Rows of one statement. */
const PIPELINE = 5_000
const COLUMNS =
  'id bigserial PRIMARY KEY, message_id text UNIQUE, topic text, key text, headers jsonb, payload bytea NOT NULL, ' +
  'created_at timestamptz NOT NULL DEFAULT now()'

async function open(): Promise<Broker> {
  const { url, process: server } = await startPostgres()
  const client = new pg.Client(url)
  // The end of the server, which is killed, is none of the benchmark's.
  client.on('error', () => {})
  await client.connect()
  const number = async (sql: string): Promise<number> => {
    const { rows } = await client.query<{ number: string }>(sql)
    return Number(rows[0]?.number)
  }
  return {
    async source(name, keys) {
      const table = name.replace('-', '_')
      await client.query(`CREATE TABLE ${table} (${COLUMNS})`)
      const insert = `INSERT INTO ${table} (message_id, key, payload) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])`
      return {
        endpoint: { id: 'endpoint-postgres', url, outbox: table, create: true },
        byHand: { url, table },
        async send(first, count) {
          for (let sent = 0; sent < count; sent += PIPELINE) {
            const items = [...itemsOf(first + sent, Math.min(PIPELINE, count - sent), keys)]
            const columns = [
              items.map(({ id }) => id),
              items.map(({ key }) => key),
              items.map(({ payload }) => payload),
            ]
            await client.query(insert, columns)
          }
        },
        left: () => number(`SELECT count(*) AS number FROM ${table}`),
      }
    },
    async target(name) {
      const table = name.replace('-', '_')
      await client.query(`CREATE TABLE ${table} (${COLUMNS})`)
      return {
        endpoint: { id: 'endpoint-postgres', url, table },
        byHand: { url, table },
        arrived: () => number(`SELECT coalesce(max(id), 0) AS number FROM ${table}`),
      }
    },
    async close() {
      await client.end()
      await server.kill()
    },
  }
}

export const postgres: Kind = { name: 'postgres', title: 'PostgreSQL', isSafe: true, program: 'postgres', open }
