/** Arrays as parameters: what PostgreSQL reads is what was given. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import pg from 'pg'
import { arrayOf, idArrayOf } from '../../../lib/endpoints/postgres/arrays.ts'
import { startPostgres } from '../../support/postgres.ts'
import { need } from '../../support/require.ts'

const text = fc.oneof(
  fc.constantFrom('', 'NULL', 'null', '{}', '"', '\\', ',', ' ', 'ü', '😀', "'"),
  // The one character that no text of PostgreSQL may hold.
  fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', '')),
)

describe('an array as a parameter', { skip: need('postgres') }, () => {
  it('arrives element by element, whatever is in them', async (t) => {
    const server = await startPostgres({ t })
    const client = new pg.Client(server.url)
    // A failed assertion leaves it to the end of the server.
    client.on('error', () => {})
    await client.connect()
    const read = async (type: string, value: unknown): Promise<unknown> => {
      const { rows } = await client.query({ text: `SELECT unnest($1::${type}[])`, values: [value], rowMode: 'array' })
      return rows.flat()
    }
    const options = { numRuns: 50 }
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(text)), async (values) => {
        assert.deepEqual(await read('text', arrayOf(values, 'text')), values)
      }),
      options,
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(fc.uint8Array())), async (values) => {
        const bytes = values.map((value) => value && Buffer.from(value))
        assert.deepEqual(await read('bytea', arrayOf(bytes, 'bytea')), bytes)
      }),
      options,
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(text, fc.constantFrom('7', '-7', 'a,b', 'nu', 'dead-beef'))), async (ids) => {
        assert.deepEqual(await read('text', idArrayOf(ids)), ids)
      }),
      options,
    )
    await client.end()
  })

  it('is its text where no id must be quoted', () => {
    assert.equal(idArrayOf(['7', '-1', '0190b5a3-7e0c']), '{7,-1,0190b5a3-7e0c}')
    assert.equal(idArrayOf([]), '{}')
    assert.deepEqual(idArrayOf(['1,2']), ['1,2'])
    assert.deepEqual(idArrayOf(['']), [''])
    assert.deepEqual(idArrayOf(['null']), ['null'])
  })
})
