import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { errors } from '../../../lib/errors.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { startPostgresEndpoint } from './support.ts'

const forNow = new errors.SEND_FAILED('test', 'for now')
const forGood = new errors.TOPIC_INVALID('test', 'for good')
/** So long that nothing is found by it within a test. */
const NEVER = 3_600_000

describe('endpoint-postgres, an outbox', { skip: need('initdb', 'postgres', 'psql'), concurrency: 4 }, () => {
  let server: PostgresServer
  let url: string
  const count = async (table: string): Promise<number> => Number(await server.sql(`SELECT count(*) FROM ${table}`))
  before(async () => {
    server = await startPostgres()
    url = server.url
  })

  /** A table of its own, as `create: true` makes it. */
  async function makeOutbox(name: string): Promise<void> {
    await server.sql(`CREATE TABLE ${name} (id bigserial PRIMARY KEY, message_id text, topic text, key text, headers jsonb,
      payload text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), settled_at timestamptz)`)
  }

  test('rows that were there before come in, in order, and are deleted when they are settled', async (t) => {
    await makeOutbox('o_before')
    await server.sql('INSERT INTO o_before (payload) SELECT n::text FROM generate_series(1, 500) n')
    const { texts, incoming, endpoint } = await startPostgresEndpoint(t, { url, outbox: 'o_before' })
    assert.deepEqual(
      await texts(500),
      Array.from({ length: 500 }, (_, number) => String(number + 1)),
    )
    assert.equal(await count('o_before'), 500)
    for (const { settle } of incoming.filter((_, index) => index % 2 === 1)) settle(null)
    await until(async () => (await count('o_before')) === 250)
    assert.equal(await server.sql('SELECT count(*) FROM o_before WHERE payload::int % 2 = 0'), '0')
    assert.equal(endpoint.counters['acknowledged'], 250)
  })

  test('a row says all there is of a message, and what it leaves out is told from where it is', async (t) => {
    await makeOutbox('o_fields')
    await server.sql(`INSERT INTO o_fields (message_id, topic, key, headers, payload, created_at) VALUES
      ('m-1', 'paid', 'größe', '{"region": "eu", "count": 3, "__proto__": "x"}', '{"total": 12}', '2020-01-02 03:04:05.678Z'),
      (NULL, NULL, NULL, '{"araldo-id": "m-2", "araldo-key": "k", "traceparent": "t"}', 'two', now()),
      (NULL, NULL, NULL, '[1]', 'three', now())`)
    const { incoming, texts } = await startPostgresEndpoint(t, { url, outbox: 'o_fields' })
    assert.deepEqual(await texts(3), ['{"total": 12}', 'two', 'three'])
    const [one, two, three] = incoming.map(({ message }) => message)
    assert.deepEqual([one?.id, one?.topic, one?.key, one?.time], ['m-1', 'paid', 'größe', 1_577_934_245_678])
    assert.deepEqual(
      new Map(Object.entries(one?.headers ?? {})),
      new Map([
        ['region', 'eu'],
        ['count', '3'],
        ['__proto__', 'x'],
      ]),
    )
    assert.deepEqual(
      [two?.id, two?.topic, two?.key, { ...two?.headers }],
      ['m-2', 'o_fields', 'k', { traceparent: 't' }],
    )
    assert.deepEqual([three?.id, three?.key, { ...three?.headers }], ['o_fields:3', undefined, {}])
  })

  test('the trigger that create makes wakes it at once', async (t) => {
    const options = { url, outbox: 'o_created', create: true, 'poll-interval': NEVER }
    const { texts, incoming } = await startPostgresEndpoint(t, options)
    await server.sql(`INSERT INTO o_created (payload) VALUES ('one')`)
    await texts(1)
    await server.sql(`INSERT INTO o_created (payload) VALUES ('two'), ('three')`)
    assert.deepEqual(await texts(3), ['one', 'two', 'three'])
    assert.deepEqual(incoming[0]?.message.payload, Buffer.from('one'))
    // What is there already is left as it is.
    await startPostgresEndpoint(t, options)
  })

  test('several that make one table at once do not fail on each other', async (t) => {
    const options = { url, outbox: 'o_at_once', table: 'o_at_once_in', create: true }
    await Promise.all(
      Array.from({ length: 4 }, (_, number) => startPostgresEndpoint(t, options, { name: `e${number}` })),
    )
    assert.equal(
      await server.sql(
        "SELECT count(*) FROM pg_trigger WHERE tgname = 'araldo_wake' AND tgrelid = 'o_at_once'::regclass",
      ),
      '1',
    )
  })

  test('without a trigger, rows are found by the clock', async (t) => {
    await makeOutbox('o_polled')
    const { texts } = await startPostgresEndpoint(t, { url, outbox: 'o_polled', 'poll-interval': 50 })
    await server.sql(`INSERT INTO o_polled (payload) VALUES ('one')`)
    assert.deepEqual(await texts(1), ['one'])
  })

  test('a row whose transaction ends late is not missed', async (t) => {
    await server.sql(`CREATE TABLE o_late (id bigint PRIMARY KEY, payload text NOT NULL)`)
    const columns = { key: false, topic: false, headers: false, 'message-id': false, time: false } as const
    const options = { url, outbox: 'o_late', columns, 'poll-interval': 50 }
    const { texts, incoming } = await startPostgresEndpoint(t, options, { onIncoming: ({ settle }) => settle(null) })
    await server.sql(`INSERT INTO o_late VALUES (7, 'seven')`)
    await texts(1)
    await server.sql(`INSERT INTO o_late VALUES (3, 'three')`)
    assert.deepEqual(await texts(2), ['seven', 'three'])
    assert.equal(incoming[1]?.message.id, 'o_late:3')
  })

  test('with mark, a row stays and says when it was settled; it comes in no more', async (t) => {
    const options = { url, outbox: 'o_marked', create: true, 'on-settled': 'mark' } as const
    const first = await startPostgresEndpoint(t, options, { onIncoming: ({ settle }) => settle(null) })
    await server.sql(`INSERT INTO o_marked (payload) VALUES ('one'), ('two')`)
    await until(async () => (await server.sql('SELECT count(settled_at) FROM o_marked')) === '2')
    await first.close()
    const second = await startPostgresEndpoint(t, options)
    await server.sql(`INSERT INTO o_marked (payload) VALUES ('three')`)
    assert.deepEqual(await second.texts(1), ['three'])
    assert.equal(await count('o_marked'), 3)
  })

  test('what is given back comes again, and the rows of its key wait behind it, those of others do not', async (t) => {
    await makeOutbox('o_again')
    await server.sql(
      `INSERT INTO o_again (key, payload) VALUES ('a', 'a1'), ('b', 'b1'), ('a', 'a2'), ('a', 'a3'), ('b', 'b2')`,
    )
    let failures = 2
    const done: string[] = []
    const { endpoint } = await startPostgresEndpoint(
      t,
      { url, outbox: 'o_again' },
      {
        onIncoming: ({ text, settle }) => {
          if (text === 'a1' && failures-- > 0) return settle(forNow)
          done.push(text)
          return settle(null)
        },
      },
    )
    await until(() => done.length === 5)
    assert.deepEqual(done, ['b1', 'b2', 'a1', 'a2', 'a3'])
    assert.equal(endpoint.counters['rejected'], 2)
    await until(async () => (await count('o_again')) === 0)
  })

  test('what is rejected for good is settled, and counted', async (t) => {
    await makeOutbox('o_letgo')
    await server.sql(`INSERT INTO o_letgo (key, payload) VALUES ('a', 'bad'), ('a', 'good')`)
    const onIncoming = ({ text, settle }: { text: string; settle: (error: Error | null) => void }): void =>
      settle(text === 'bad' ? forGood : null)
    const { endpoint } = await startPostgresEndpoint(t, { url, outbox: 'o_letgo' }, { onIncoming })
    await until(async () => (await count('o_letgo')) === 0)
    assert.equal(endpoint.counters['letGo'], 1)
  })

  test('a stuck row holds nothing up but what fits into the hands', async (t) => {
    await makeOutbox('o_stuck')
    await server.sql('INSERT INTO o_stuck (key, payload) SELECT n::text, n::text FROM generate_series(1, 500) n')
    const onIncoming = ({ text, settle }: { text: string; settle: (error: Error | null) => void }): void => {
      if (text !== '1') settle(null)
    }
    const options = { url, outbox: 'o_stuck', 'max-pending': { messages: 20 }, batch: 10 }
    const { texts } = await startPostgresEndpoint(t, options, { onIncoming })
    await texts(500)
    await until(async () => (await server.sql('SELECT payload FROM o_stuck')) === '1')
  })

  test('no more is in hand than may be, in rows and in bytes', async (t) => {
    await makeOutbox('o_bounds')
    await server.sql('INSERT INTO o_bounds (payload) SELECT repeat(md5(n::text), 32) FROM generate_series(1, 200) n')
    const rows = await startPostgresEndpoint(t, { url, outbox: 'o_bounds', 'max-pending': { messages: 30 }, batch: 20 })
    await until(() => rows.endpoint.gauges['pending'] === 30)
    await rows.close()
    assert.equal(rows.incoming.length, 30)
    let largest = 0
    const bytes = await startPostgresEndpoint(
      t,
      { url, outbox: 'o_bounds', 'max-pending': { bytes: 10_240 } },
      {
        onIncoming: ({ settle }) => {
          setImmediate(() => {
            largest = Math.max(largest, bytes.endpoint.gauges['pendingBytes'] ?? 0)
            settle(null)
          })
        },
      },
    )
    await bytes.texts(200)
    // pg_column_size tells how much is stored, before a row is read.
    assert.ok(largest > 0 && largest <= 10_240 + 1_024 * 20, `${largest} bytes`)
    await until(async () => (await count('o_bounds')) === 0)
  })

  test('names that are meant to hurt are names', async (t) => {
    const name = `x"; DROP TABLE o_safe; --'\\ .$$`
    const table = `"s ""q"".x"."${name.replaceAll('"', '""')}"`
    await server.sql(`CREATE SCHEMA "s ""q"".x"; CREATE TABLE o_safe ()`)
    const columns = {
      payload: `p' "; --`,
      key: 'ORDER',
      topic: 'select',
      headers: '$1',
      'message-id': 'slot',
      time: 'A',
    }
    const options = { url, outbox: table, table, columns, create: true, 'poll-interval': NEVER } as const
    const { send, texts, incoming } = await startPostgresEndpoint(t, { ...options, 'wake-channel': `c'"\\; --` })
    assert.equal(await send('x', { id: 'i', key: `k'"`, topic: 't', headers: { a: `'"` }, time: 17 }), null)
    assert.deepEqual(await texts(1), ['x'])
    const message = incoming[0]?.message
    assert.deepEqual([message?.id, message?.key, message?.topic, message?.time], ['i', `k'"`, 't', 17])
    assert.equal(message?.headers['a'], `'"`)
    incoming[0]?.settle(null)
    await until(async () => (await count(table)) === 0)
    assert.equal(await count('o_safe'), 0)
  })

  test('a table, a column or a right that is missing keeps it down, with a reason that names it', async (t) => {
    await server.sql(`CREATE TABLE o_bare (id bigserial PRIMARY KEY, payload text); CREATE ROLE o_reader LOGIN`)
    await makeOutbox('o_right')
    await server.sql('GRANT SELECT ON o_right TO o_reader')
    for (const [options, reason] of [
      [
        { url, outbox: 'o_missing' },
        /there is no table "o_missing", or no right to see it: make it, or say 'create: true'/,
      ],
      [{ url, outbox: 'o_bare' }, /"o_bare" has no column "key": say 'columns: key: …', or 'columns: key: false'/],
      [
        { url: url.replace('postgres@', 'o_reader@'), outbox: 'o_right' },
        /permission denied for table o_right \(42501\)/,
      ],
    ] as const) {
      const { endpoint } = await startPostgresEndpoint(t, options, { mayBeDown: true })
      await until(() => reason.test(endpoint.reason ?? ''), { message: String(reason) })
    }
    await server.sql('GRANT DELETE ON o_right TO o_reader')
  })
})
