/**
 * Orders that are saved and announced in one transaction: none is announced that was not saved, and none saved that is
 * not announced, whoever dies in between.
 *
 *     npx tsx example/outbox/server.ts                        # wants PostgreSQL
 *     curl http://localhost:54321/orders -H 'content-type: application/json' -d '{"item":"tea","count":2}'
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import pg from 'pg'
import araldo from 'araldo'

const port = Number(process.env.PORT ?? 54321)
const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres',
})
// A connection that breaks while nobody uses it is replaced by the next one.
pool.on('error', () => {})
const fastify = Fastify({ logger: { level: 'warn' }, forceCloseConnections: true })
await fastify.register(araldo, { config: fileURLToPath(new URL('./araldo.yaml', import.meta.url)) })

const order = {
  type: 'object',
  required: ['item', 'count'],
  additionalProperties: false,
  properties: {
    item: { type: 'string', minLength: 1, maxLength: 100 },
    count: { type: 'integer', minimum: 1, maximum: 1_000 },
  },
}

fastify.post<{ Body: { item: string; count: number } }>(
  '/orders',
  { schema: { body: order } },
  async (request, reply) => {
    const { item, count } = request.body
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      const { rows } = await client.query<{ id: number }>(
        'INSERT INTO example_orders (item, count) VALUES ($1, $2) RETURNING id',
        [item, count],
      )
      const saved = { id: rows[0]?.id, item, count }
      await client.query('INSERT INTO example_outbox (payload, key) VALUES ($1, $2)', [JSON.stringify(saved), item])
      await client.query('COMMIT')
      reply.code(201)
      return saved
    } catch (error) {
      await client.query('ROLLBACK')
      throw error
    } finally {
      client.release()
    }
  },
)

fastify.get('/', async (_request, reply) => {
  reply.type('text/html; charset=utf-8')
  return readFile(new URL('./page.html', import.meta.url), 'utf8')
})

fastify.addHook('onClose', async () => pool.end())
await pool.query('CREATE TABLE IF NOT EXISTS example_orders (id serial PRIMARY KEY, item text, count integer)')
await fastify.listen({ host: 'localhost', port })
console.log(`
  orders      http://localhost:${port}/           open it in two windows
  live view   http://localhost:${port}/console

  Ctrl-C ends it.
`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void fastify.close())
