import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { isRetryable } from '../../../lib/errors.ts'
import { json } from '../../../lib/marshallers/json.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { codeOf, startPostgresEndpoint } from './support.ts'

const BARE = { key: false, topic: false, headers: false, 'message-id': false, time: false } as const

describe('endpoint-postgres, a table', { skip: need('initdb', 'postgres', 'psql'), concurrency: 4 }, () => {
  let server: PostgresServer
  let url: string
  before(async () => {
    server = await startPostgres()
    url = server.url
  })

  test('psql finds what was sent, column by column', async (t) => {
    const { send } = await startPostgresEndpoint(t, { url, table: 't_fields', create: true })
    const headers = { region: 'eu', größe: `"'\\` }
    assert.equal(await send('\0\xff', { id: 'i', topic: 'orders', key: 'k', time: 1_577_934_245_678, headers }), null)
    assert.equal(await send('two', { topic: '', id: 'j' }), null)
    const columns = `id, message_id, topic, key, encode(payload, 'hex'), extract(epoch FROM created_at)`
    const [one = '', two = ''] = (await server.sql(`SELECT ${columns} FROM t_fields ORDER BY id`)).split('\n')
    assert.equal(one, '1|i|orders|k|00c3bf|1577934245.678000')
    assert.match(two, /^2\|j\|\|\|74776f\|/)
    const found: unknown = JSON.parse(await server.sql(`SELECT headers FROM t_fields WHERE message_id = 'i'`))
    assert.deepEqual(found, { ...headers, 'content-type': 'application/octet-stream' })
  })

  test('what there is no column for is in the headers, and a message again at an outbox', async (t) => {
    await server.sql('CREATE TABLE t_bare (id bigserial PRIMARY KEY, payload jsonb, headers text)')
    const columns = { ...BARE, headers: 'headers' }
    const { send, incoming, texts } = await startPostgresEndpoint(t, {
      url,
      table: 't_bare',
      outbox: 't_bare',
      columns,
      'poll-interval': 50,
    })
    assert.equal(
      await send('{"total":12}', { id: 'i', key: 'k', time: 17, headers: { 'content-type': 'application/json' } }),
      null,
    )
    assert.deepEqual(await texts(1), ['{"total": 12}'])
    const message = incoming[0]?.message
    assert.deepEqual([message?.id, message?.key, message?.time, message?.topic], ['i', 'k', 17, 't_bare'])
    assert.deepEqual({ ...message?.headers }, { 'content-type': 'application/json' })
  })

  test('columns of other types are written as what they are', async (t) => {
    await server.sql(`CREATE TABLE t_types (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), message_id varchar(40), topic text,
      key bigint, headers json, payload text, created_at bigint)`)
    const { send } = await startPostgresEndpoint(t, { url, table: 't_types' })
    assert.equal(await send('größe', { id: 'i', key: '42', time: 17 }), null)
    assert.equal(await server.sql('SELECT message_id, key, payload, created_at FROM t_types'), 'i|42|größe|17')
    await server.sql('ALTER TABLE t_types ALTER created_at TYPE timestamp USING to_timestamp(created_at)')
    await server.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%t_types%' AND pid <> pg_backend_pid()",
    )
    const again = await startPostgresEndpoint(t, { url, table: 't_types' })
    assert.equal(await again.send('x', { id: 'j', key: '43', time: 1_577_934_245_678 }), null)
    assert.equal(await server.sql('SELECT created_at FROM t_types WHERE key = 43'), '2020-01-02 03:04:05.678')
  })

  test('one bad row fails alone and for good, wherever it is among its neighbours', async (t) => {
    await server.sql('CREATE TABLE t_bad (id bigserial PRIMARY KEY, payload jsonb CHECK (payload <> \'"forbidden"\'))')
    const { send, endpoint } = await startPostgresEndpoint(t, { url, table: 't_bad', columns: BARE })
    const bad = new Map([
      [0, '{'],
      [41, '"\\u0000"'],
      [42, '"forbidden"'],
      [99, 'a\0b'],
    ])
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, number) => send(bad.get(number) ?? String(number))),
    )
    answers.forEach((answer, number) => {
      assert.equal(codeOf(answer), bad.has(number) ? 'ARALDO_ERR_REFUSED' : undefined, String(answer))
      if (answer !== null) assert.equal(isRetryable(answer), false)
    })
    assert.match(answers[42]?.message ?? '', /violates check constraint .*\(23514\)/)
    const order = await server.sql('SELECT payload FROM t_bad ORDER BY id')
    assert.deepEqual(
      order.split('\n').map(Number),
      Array.from({ length: 100 }, (_, number) => number).filter((number) => !bad.has(number)),
    )
    assert.equal(endpoint.state, 'up')
    assert.equal(endpoint.counters['refused'], 3)
  })

  test('with deduplicate, a message that is there already is confirmed, and not there twice', async (t) => {
    const { send } = await startPostgresEndpoint(t, { url, table: 't_once', create: true, deduplicate: true })
    const ids = ['a', 'b', 'a', 'c', 'b']
    const answers = await Promise.all(ids.map((id, number) => send(String(number), { id })))
    assert.deepEqual(
      answers,
      ids.map(() => null),
    )
    assert.equal(await send('late', { id: 'a' }), null)
    const rows = await server.sql("SELECT message_id, convert_from(payload, 'UTF8') FROM t_once ORDER BY id")
    assert.deepEqual(rows.split('\n'), ['a|0', 'b|1', 'c|3'])
  })

  test('deduplicate without a unique index keeps it down, with a reason', async (t) => {
    await server.sql('CREATE TABLE t_not_unique (id bigserial, message_id text, payload text)')
    const columns = { ...BARE, 'message-id': 'message_id' }
    const options = { url, table: 't_not_unique', columns, deduplicate: true }
    const { endpoint } = await startPostgresEndpoint(t, options, { mayBeDown: true })
    await until(() => /no unique .* matching the ON CONFLICT specification \(42P10\)/.test(endpoint.reason ?? ''))
  })

  test('a table that is dropped takes it down until it is there again', async (t) => {
    await server.sql('CREATE TABLE t_dropped (id bigserial, payload text)')
    const { send, endpoint } = await startPostgresEndpoint(t, { url, table: 't_dropped', columns: BARE })
    assert.equal(await send('one'), null)
    await server.sql('DROP TABLE t_dropped')
    const lost = await send('two')
    assert.equal(codeOf(lost), 'ARALDO_ERR_CONNECTION_LOST')
    await until(() => /there is no table "t_dropped"/.test(endpoint.reason ?? ''))
    await server.sql('CREATE TABLE t_dropped (id bigserial, payload text)')
    await endpoint.whenUp(10_000)
    assert.equal(await send('two'), null)
  })

  test('what the server cannot do now is an error for now: the lanes try again', async (t) => {
    await server.sql('CREATE TABLE t_locked (id bigserial, payload text)')
    const options = { url, table: 't_locked', columns: BARE, 'statement-timeout': 100 }
    const { send, endpoint } = await startPostgresEndpoint(t, options)
    const locked = server.sql('BEGIN; LOCK TABLE t_locked; SELECT pg_sleep(1); COMMIT')
    await until(
      async () =>
        (await server.sql(
          "SELECT count(*) FROM pg_locks WHERE relation = 't_locked'::regclass AND mode = 'AccessExclusiveLock'",
        )) === '1',
    )
    const error = await send('x')
    assert.equal(codeOf(error), 'ARALDO_ERR_SEND_FAILED')
    assert.match(error?.message ?? '', /statement timeout \(57014\)/)
    assert.equal(endpoint.state, 'up')
    await locked
    assert.equal(await send('x'), null)
  })

  test('a header that holds a NUL is refused for good', async (t) => {
    const { send } = await startPostgresEndpoint(t, { url, table: 't_headers', create: true }, { marshaller: json })
    const error = await send('1', { headers: { a: 'b\0' } })
    assert.equal(codeOf(error), 'ARALDO_ERR_HEADER_INVALID')
    assert.equal(codeOf(await send('1', { key: '\0' })), 'ARALDO_ERR_REFUSED')
    assert.equal(await send('1', { headers: { a: 'b' } }), null)
  })

  test('as much waits as may, and then it is full until there is room', async (t) => {
    const { send, endpoint } = await startPostgresEndpoint(t, { url, table: 't_many', create: true })
    const sent = Array.from({ length: 10_000 }, (_, number) => send(String(number)))
    assert.equal(endpoint.ready, false)
    assert.equal(codeOf(await send('one more')), 'ARALDO_ERR_OVERFLOW')
    assert.ok((await Promise.all(sent)).every((answer) => answer === null))
    assert.equal(endpoint.ready, true)
    const large = Array.from({ length: 4 }, () => send(Buffer.alloc(4 * 1024 * 1024, 'x')))
    assert.equal(endpoint.ready, false)
    assert.ok((await Promise.all(large)).every((answer) => answer === null))
    assert.equal(endpoint.ready, true)
  })
})
