/** Several relays at one outbox. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import type { Incoming, Started } from '../../support/alone.ts'
import { type Options, startPostgresEndpoint } from './support.ts'

const slots = ({ endpoint }: Started): number => endpoint.gauges['slots'] ?? 0

describe('relays that share an outbox', { skip: need('initdb', 'postgres', 'psql'), concurrency: 4 }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  const optionsFor = (outbox: string): Options => ({ url: server.url, outbox, create: true, 'poll-interval': 100 })
  const insert = (table: string, from: number, to: number, keys: number): Promise<string> =>
    server.sql(
      `INSERT INTO ${table} (key, payload) SELECT 'k' || n % ${keys}, n::text::bytea FROM generate_series(${from}, ${to}) n`,
    )

  test('each row comes in at one of them, and those of a key in order', async (t) => {
    const all: { readonly relay: number; readonly key: string; readonly number: number }[] = []
    const taker =
      (relay: number) =>
      ({ message, text, settle }: Incoming): void => {
        all.push({ relay, key: message.key ?? '', number: Number(text) })
        // Some take longer than others.
        if (Number(text) % 3 === 0) setImmediate(() => settle(null))
        else settle(null)
      }
    const options = optionsFor('s_shared')
    const relays = await Promise.all(
      [0, 1, 2].map((relay) => startPostgresEndpoint(t, options, { name: `r${relay}`, onIncoming: taker(relay) })),
    )
    await until(
      () => relays.every((relay) => slots(relay) >= 4) && relays.reduce((sum, relay) => sum + slots(relay), 0) === 16,
    )
    await insert('s_shared', 1, 3_000, 40)
    await until(async () => (await server.sql('SELECT count(*) FROM s_shared')) === '0')
    assert.equal(all.length, 3_000)
    assert.equal(new Set(all.map(({ number }) => number)).size, 3_000)
    assert.equal(new Set(all.map(({ relay }) => relay)).size, 3)
    for (let index = 0; index < 40; index++) {
      const ofKey = all.filter(({ key }) => key === `k${index}`)
      assert.equal(new Set(ofKey.map(({ relay }) => relay)).size, 1)
      assert.deepEqual(
        ofKey,
        ofKey.toSorted((one, other) => one.number - other.number),
      )
    }
  })

  test('one that comes gets its part, rows in hand stay where they are; what one leaves, the others take', async (t) => {
    const options = optionsFor('s_coming')
    const first = await startPostgresEndpoint(t, options)
    await until(() => slots(first) === 16)
    await insert('s_coming', 1, 200, 200)
    await first.texts(200)
    // All slots have rows in hand: none can be left.
    const second = await startPostgresEndpoint(t, options, { onIncoming: ({ settle }) => settle(null) })
    await insert('s_coming', 201, 400, 200)
    await until(() => first.incoming.length + second.incoming.length > 200)
    for (const { settle } of first.incoming) settle(null)
    await until(() => slots(first) === 8 && slots(second) === 8)
    for (const { settle } of first.incoming) settle(null)
    await until(() => {
      for (const { settle } of first.incoming) settle(null)
      return first.incoming.length + second.incoming.length === 400
    })
    await first.close()
    await until(() => slots(second) === 16)
    await until(async () => (await server.sql('SELECT count(*) FROM s_coming')) === '0')
    assert.equal(new Set([...first.incoming, ...second.incoming].map(({ text }) => text)).size, 400)
  })

  test('one whose lanes are full leaves what it has nothing of in hand', async (t) => {
    const options = optionsFor('s_full')
    const full = await startPostgresEndpoint(t, options)
    await until(() => slots(full) === 16)
    full.endpoint.hold()
    const other = await startPostgresEndpoint(t, options, { onIncoming: ({ settle }) => settle(null) })
    await until(() => slots(other) === 16)
    await insert('s_full', 1, 100, 100)
    await other.texts(100)
    full.endpoint.release()
    await until(() => slots(full) === 8)
  })

  test('when one ends with rows in hand, so do its locks: the rows come in at another', async (t) => {
    const options = optionsFor('s_gone')
    const first = await startPostgresEndpoint(t, { ...options, 'application-name': 'first' })
    await until(() => slots(first) === 16)
    await insert('s_gone', 1, 50, 50)
    await first.texts(50)
    const second = await startPostgresEndpoint(t, options, { onIncoming: ({ settle }) => settle(null) })
    await first.endpoint.stop()
    await second.texts(50)
    await until(async () => (await server.sql('SELECT count(*) FROM s_gone')) === '0')
    // What the first had in hand is settled late, and means nothing.
    for (const { settle } of first.incoming) settle(null)
  })

  test('nobody keeps a transaction open while rows are in hand', async (t) => {
    const { texts } = await startPostgresEndpoint(t, { ...optionsFor('s_idle'), 'application-name': 's_idle' })
    await insert('s_idle', 1, 10, 10)
    await texts(10)
    await until(async () => {
      const states = await server.sql("SELECT DISTINCT state FROM pg_stat_activity WHERE application_name = 's_idle'")
      return states === 'idle'
    })
    assert.equal(
      await server.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 's_idle' AND backend_xmin IS NOT NULL",
      ),
      '0',
    )
  })
})
