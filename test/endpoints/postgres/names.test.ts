/** Names as they stand in SQL: whatever they are, they are one name to the server. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import pg from 'pg'
import { identifier, literal, nameProblem, parseTable, qualified } from '../../../lib/endpoints/postgres/names.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { need } from '../../support/require.ts'

/** What the server takes for a name: well-formed text without NUL, of at most 63 bytes. */
const names = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 }),
    fc.string({
      unit: fc.constantFrom('"', "'", '\\', '.', ';', '-', '$', ' ', 'a', '\n'),
      minLength: 1,
      maxLength: 63,
    }),
  )
  .filter((name) => nameProblem(name) === undefined)

test('a table that is written in quotes is read as it is, whatever it is called', () => {
  fc.assert(
    fc.property(names, names, (schema, name) => {
      assert.deepEqual(parseTable(`${identifier(schema)}.${identifier(name)}`), { schema, name })
      assert.deepEqual(parseTable(identifier(name)), { schema: undefined, name })
      assert.equal(qualified({ schema, name }), `${identifier(schema)}.${identifier(name)}`)
    }),
  )
})

test('a plain name of a table is read as it is, and what is none is refused', () => {
  assert.deepEqual(parseTable('Orders'), { schema: undefined, name: 'Orders' })
  assert.deepEqual(parseTable('sales.orders'), { schema: 'sales', name: 'orders' })
  for (const text of ['', '.', 'a.', '.a', 'a.b.c', '"a', 'a"b', '""', 'x'.repeat(64), 'a\0b', '"a"b']) {
    assert.throws(() => parseTable(text), JSON.stringify(text))
  }
})

test('a name has 1 to 63 bytes, not characters, and no NUL', () => {
  assert.equal(nameProblem('x'.repeat(63)), undefined)
  assert.match(nameProblem('ü'.repeat(32)) ?? '', /64 bytes/)
  assert.match(nameProblem('') ?? '', /0 bytes/)
  assert.match(nameProblem('a\0') ?? '', /NUL/)
})

describe('a server', { skip: need('initdb', 'postgres') }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })

  test('reads every identifier and every constant as what it is', async (t) => {
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    t.after(() => client.end())
    for (const setting of ['on', 'off']) {
      await client.query(`SET standard_conforming_strings = ${setting}`)
      await fc.assert(
        fc.asyncProperty(names, names, async (name, text) => {
          const { rows } = await client.query<Record<string, string>>(`SELECT ${literal(text)} AS ${identifier(name)}`)
          assert.deepEqual(Object.entries(rows[0] ?? {}), [[name, text]])
        }),
        { numRuns: 200 },
      )
    }
  })
})
