import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { before, describe, test } from 'node:test'
import { isRetryable } from '../../../lib/errors.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { find, need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { codeOf, startPostgresEndpoint } from './support.ts'

describe('endpoint-postgres, LISTEN and NOTIFY', { skip: need('initdb', 'postgres', 'psql'), concurrency: 4 }, () => {
  let server: PostgresServer
  let url: string
  before(async () => {
    server = await startPostgres()
    url = server.url
  })

  test('what psql notifies comes in, with its channel, from all channels', async (t) => {
    const { incoming, texts } = await startPostgresEndpoint(t, { url, channels: ['n-one', 'N "two"'] })
    await server.sql(`NOTIFY "n-one", 'größe'`)
    await server.sql(`NOTIFY "N ""two"""`)
    await server.sql(`NOTIFY "n-other", 'no'; NOTIFY "n-one", 'last'`)
    assert.deepEqual(await texts(3), ['größe', '', 'last'])
    assert.deepEqual(
      incoming.map(({ message }) => message.topic),
      ['n-one', 'N "two"', 'n-one'],
    )
  })

  test('psql hears what is sent, and says that it is confirmed', async (t) => {
    const { send } = await startPostgresEndpoint(t, { url, topic: 'n-{key}' })
    const psql = spawn(find('psql'), ['--no-psqlrc', '-q', url], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.after(() => psql.kill('SIGKILL'))
    let output = ''
    psql.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    psql.stdin.write('LISTEN "n-psql";\n\\echo listening\n')
    await until(() => output.includes('listening'))
    assert.equal(await send('{"total":12}', { key: 'psql' }), null)
    psql.stdin.write('SELECT 1;\n')
    await until(() => /Asynchronous notification "n-psql" with payload "\{"total":12\}"/.test(output))
  })

  test('a payload has less than 8,000 bytes; a larger one fails for good', async (t) => {
    const { send, incoming, texts } = await startPostgresEndpoint(t, { url, channel: 'n-size' })
    assert.equal(await send('x'.repeat(7_999)), null)
    const error = await send('x'.repeat(8_000))
    assert.equal(codeOf(error), 'ARALDO_ERR_TOO_LARGE')
    assert.match(error?.message ?? '', /at most 7999 bytes a message, this one has 8000/)
    assert.equal(codeOf(await send('ü'.repeat(4_000))), 'ARALDO_ERR_TOO_LARGE')
    assert.equal(isRetryable(error), false)
    await texts(1)
    assert.equal(incoming[0]?.text.length, 7_999)
  })

  test('what is no text is refused for good, and its neighbours are sent', async (t) => {
    const { send, texts } = await startPostgresEndpoint(t, { url, channel: 'n-text' })
    const answers = await Promise.all([send('before'), send('a\0b'), send(Buffer.from([0xff, 0xfe])), send('after')])
    assert.deepEqual(answers.map(codeOf), [undefined, 'ARALDO_ERR_REFUSED', 'ARALDO_ERR_REFUSED', undefined])
    assert.ok(answers.every((error) => error === null || !isRetryable(error)))
    assert.deepEqual(await texts(2), ['before', 'after'])
  })

  test('messages that are equal all arrive, though one transaction would send one of them', async (t) => {
    const { send, texts } = await startPostgresEndpoint(t, { url, channel: 'n-equal' })
    const sent = Array.from({ length: 50 }, (_, number) => String(number % 3))
    const answers = await Promise.all(sent.map((text) => send(text)))
    assert.ok(answers.every((answer) => answer === null))
    assert.deepEqual(await texts(50), sent)
  })

  test('what is sent within one turn leaves by few statements, in order', async (t) => {
    const { send, texts } = await startPostgresEndpoint(t, { url, channel: 'n-turn' })
    const transactions = async (): Promise<number> =>
      Number(await server.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'"))
    await server.sql('SELECT pg_stat_clear_snapshot()')
    const before = await transactions()
    const sent = Array.from({ length: 2_000 }, (_, number) => String(number))
    await Promise.all(sent.map((text) => send(text)))
    assert.deepEqual(await texts(2_000), sent)
    assert.ok((await transactions()) - before < 500)
  })

  test('data chooses the channel, of 1 to 63 bytes and without line ends, whatever else it holds', async (t) => {
    const hostile = `"; DROP TABLE x; -- '\\ $$ %`
    const { send } = await startPostgresEndpoint(t, { url, topic: '{key}' })
    const { texts } = await startPostgresEndpoint(t, { url, channels: [hostile, 'x'.repeat(63)] })
    assert.equal(await send('hostile', { key: hostile }), null)
    assert.equal(await send('long', { key: 'x'.repeat(63) }), null)
    assert.deepEqual(await texts(2), ['hostile', 'long'])
    for (const key of ['x'.repeat(64), 'ü'.repeat(32), 'a\nb', 'a\0b']) {
      const error = await send('x', { key })
      assert.equal(codeOf(error), 'ARALDO_ERR_TOPIC_INVALID')
      assert.equal(isRetryable(error), false)
    }
  })

  test('it listens again after a crash, and after its connection was ended', async (t) => {
    const own = await startPostgres({ t })
    const { endpoint, texts, send } = await startPostgresEndpoint(t, {
      url: own.url,
      channel: 'n',
      'ping-interval': 100,
    })
    await own.kill()
    await until(() => endpoint.state === 'down')
    await own.start()
    await endpoint.whenUp(10_000)
    await own.sql("NOTIFY n, 'after the crash'")
    assert.deepEqual(await texts(1), ['after the crash'])
    const failures = endpoint.counters.failures
    await own.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'araldo'")
    await until(() => endpoint.counters.failures > failures)
    await endpoint.whenUp(5_000)
    assert.equal(await send('again'), null)
    assert.deepEqual(await texts(2), ['after the crash', 'again'])
  })

  test('a server that answers nothing any more is noticed, idle or asked', async (t) => {
    const own = await startPostgres({ t })
    const options = { url: own.url, 'ping-interval': 100, 'statement-timeout': 100 }
    const idle = await startPostgresEndpoint(t, { ...options, channels: ['n'] })
    const asked = await startPostgresEndpoint(t, { ...options, 'ping-interval': 60_000, topic: 'n' })
    own.pause()
    const answer = asked.send('x')
    await until(() => idle.endpoint.state !== 'up' && asked.endpoint.state !== 'up', { timeout: 15_000 })
    assert.match(idle.endpoint.reason ?? '', /no answer within \d+ ms/)
    assert.equal(codeOf(await answer), 'ARALDO_ERR_CONNECTION_LOST')
    own.resume()
    await Promise.all([idle.endpoint.whenUp(15_000), asked.endpoint.whenUp(15_000)])
  })
})
