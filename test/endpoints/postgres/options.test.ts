/** What can be said in a config, and what follows from it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { capabilities, check, hears } from '../../../lib/endpoints/postgres/checks.ts'
import { parseUrl } from '../../../lib/endpoints/postgres/place.ts'
import { type Options, optionsOf } from './support.ts'

const URL = 'postgres://relay@db/app'

function problems(options: Options): string[] {
  return Array.from(check(optionsOf(options)), ({ path, message }) => `${path}: ${message}`)
}

describe('endpoint-postgres, its options', () => {
  test('what means something is taken', () => {
    for (const options of [
      { channel: 'a' },
      { channels: ['a', 'b'], topic: 'c.{key}' },
      { outbox: 'a', topic: 'b' },
      { outbox: 'a', table: '"s.t"."B"', create: true, deduplicate: true },
      { outbox: 'a', columns: { key: false, headers: false, payload: 'body' } },
    ] satisfies Options[]) {
      assert.deepEqual(problems({ url: URL, ...options }), [])
    }
  })

  test('what means nothing is refused, with the option and what to do', () => {
    for (const [options, expected] of [
      [{}, /^: needs 'channel', 'channels' or 'outbox' to read/],
      [{ channel: 'a', channels: ['b'] }, /^channel: excludes 'channels'/],
      [{ outbox: 'a', channels: ['b'] }, /^channels: excludes 'outbox'/],
      [{ table: 'a', topic: 'b' }, /^topic: excludes 'table'/],
      [{ channel: 'ü'.repeat(32) }, /^channel: has 64 bytes/],
      [{ outbox: 'a.b.c' }, /^outbox: is no name of a table/],
      [{ outbox: `${'s'.repeat(40)}.${'t'.repeat(40)}` }, /^wake-channel: has 81 bytes/],
      [{ channel: 'a', 'wake-channel': 'b' }, /^wake-channel: needs 'outbox'/],
      [{ channel: 'a', deduplicate: true }, /^deduplicate: needs 'table'/],
      [{ channel: 'a', create: true }, /^create: makes tables/],
      [{ table: 'a', deduplicate: true, columns: { 'message-id': false } }, /^deduplicate: goes by/],
      [{ outbox: 'a', columns: { key: 'id' } }, /^columns: one column is to be two things/],
      [{ channel: 'a', columns: { key: 'k' } }, /^columns: are of a table/],
      [{ topic: 'a.{' }, /^topic: /],
      [{ channel: 'a', host: 'x' }, /^host: excludes 'url'/],
      [{ channel: 'a', username: 'x' }, /^username: stands in the url already/],
      [{ channel: 'a', tls: { cert: 'x' } }, /^tls: 'cert' needs 'key'/],
    ] as const) {
      const found = problems({ url: URL, ...(options as Options) })
      assert.ok(
        found.some((each) => expected.test(each)),
        `${JSON.stringify(options)}: ${found.join('; ')}`,
      )
    }
    assert.deepEqual(problems({ host: 'db:5432', username: 'u', channel: 'a' }), ["host: write the port into 'port'"])
    assert.deepEqual(problems({ host: '::1', username: 'u', channel: 'a' }), [])
    assert.match(problems({ host: 'db', channel: 'a' })[0] ?? '', /^username: needs a user/)
  })

  test('a URL is read, and one that cannot be is refused without its text', () => {
    assert.deepEqual(parseUrl('postgresql://a%40b:p%2F%3F@[::1]:15432/my%20db?sslmode=verify-full'), {
      host: '::1',
      port: 15_432,
      username: 'a@b',
      password: 'p/?',
      database: 'my db',
      tls: true,
    })
    assert.deepEqual(parseUrl('postgres://'), {})
    for (const url of [
      'mysql://secret@db',
      'postgres://u:secret@ho st',
      'postgres://u:secret@db/x?application_name=y',
      'postgres://u:secret@db/x?sslmode=prefer',
      'postgres://u:secret%zz@db/x',
      'postgres://u:secret#@db/x',
    ]) {
      const [problem = ''] = problems({ url, channel: 'a' })
      assert.match(problem, /^url: /)
      assert.doesNotMatch(problem, /secret/)
    }
  })

  test('its capabilities follow from what it reads and writes', () => {
    const of = (options: Options) => capabilities(optionsOf({ url: URL, ...options }))
    const listening = of({ channels: ['a'] })
    assert.deepEqual(listening.source, { ack: false, pause: false, replay: false, headers: false, topics: true })
    assert.equal(listening.target, null)
    const tables = of({ outbox: 'a', table: 'b' })
    assert.deepEqual(tables.source, { ack: true, pause: true, replay: true, headers: true, topics: true })
    assert.deepEqual(tables.target, {
      ...{ confirm: true, pipelined: true, headers: true, topics: true, echo: false, shared: true },
    })
    assert.equal(of({ outbox: 'a', columns: { headers: false } }).source?.headers, false)
    assert.equal(of({ topic: 'x' }).source, null)
    assert.equal(of({ channel: 'x' }).target?.echo, true)
    assert.equal(of({ outbox: 'a', table: 'public.a' }).target?.echo, true)
  })

  test('an endpoint hears what another sends to its channels or its outbox, in the same database', () => {
    const hear = (options: Options, sender: Options, url = URL) =>
      hears(optionsOf({ url: URL, ...options }), optionsOf({ url, ...sender }))
    assert.equal(hear({ channels: ['a', 'b'] }, { topic: 'b' }), true)
    assert.equal(hear({ channels: ['a', 'b'] }, { topic: 'c' }), false)
    assert.equal(hear({ channel: 'orders.eu' }, { topic: 'orders.{key}' }), true)
    assert.equal(hear({ channel: 'orders.' }, { topic: 'orders.{key}' }), false)
    assert.equal(hear({ channel: 'a' }, { channel: 'a' }), true)
    assert.equal(hear({ channel: 'a' }, { table: 'a' }), false)
    assert.equal(hear({ outbox: 'a' }, { table: '"public"."a"' }), true)
    assert.equal(hear({ outbox: 's.a' }, { table: 'a' }), false)
    assert.equal(hear({ outbox: 'a' }, { topic: 'a' }), false)
    assert.equal(hear({ channel: 'a' }, { channel: 'a' }, 'postgres://other@DB:5432/app'), true)
    assert.equal(hear({ channel: 'a' }, { channel: 'a' }, 'postgres://relay@db/other'), false)
    assert.equal(hear({ channel: 'a' }, { channel: 'a' }, 'postgres://relay@db:5433/app'), false)
  })
})
