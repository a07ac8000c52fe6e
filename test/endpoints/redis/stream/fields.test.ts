import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { contentOf, fieldsOf } from '../../../../lib/endpoints/redis/stream/fields.ts'
import { raw } from '../../../../lib/marshallers/raw.ts'
import { Message } from '../../../../lib/message.ts'
import type { Headers } from '../../../../lib/types.ts'

interface Parts {
  readonly payload: Buffer
  readonly id?: string
  readonly time?: number
  readonly key?: string
  readonly headers?: Headers
}

const messageOf = (parts: Parts): Message => new Message({ source: 'test', marshaller: raw, ...parts })

/** As Redis gives back what it is sent. */
const stored = (fields: readonly (string | Buffer)[]): Buffer[] => fields.map((field) => Buffer.from(field as string))

const write = (parts: Parts, payloadField = 'payload'): Buffer[] => {
  const message = messageOf(parts)
  return stored(fieldsOf(message, message.payload, payloadField))
}

const read = (fields: readonly string[], payloadField = 'payload') => contentOf(stored(fields), payloadField)

describe('the fields of an entry', () => {
  test('hold payload, id, time, key and each header under its name', () => {
    const fields = write({ payload: Buffer.from('{}'), id: 'a-1', time: 17, key: 'eu', headers: { region: 'x' } })
    assert.equal(fields.join(' '), 'payload {} id a-1 time 17 key eu region x')
  })

  test('a header whose name is taken is written with a prefix, and read without', () => {
    const headers = { id: '1', time: '2', key: '3', payload: '4', 'header:a': '5', data: '6' }
    const names = write({ payload: Buffer.alloc(0), id: 'm', time: 1, headers }, 'data').filter((_, i) => i % 2 === 0)
    const prefixed = Object.keys(headers).map((name) => `header:${name}`)
    assert.deepEqual(names.map(String), ['data', 'id', 'time', ...prefixed])
    const content = contentOf(write({ payload: Buffer.alloc(0), headers }, 'data'), 'data')
    assert.deepEqual({ ...content.headers }, headers)
  })

  test('whatever a message is, it is read as it was written', () => {
    const text = fc.string({ unit: 'grapheme' })
    const name = fc.oneof(text, fc.constantFrom('payload', 'id', 'time', 'key', 'header:', 'header:id', '__proto__'))
    const parts = fc.record({
      payload: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      id: fc.string({ minLength: 1, maxLength: 200 }),
      time: fc.nat({ max: 8_640_000_000_000_000 }),
      headers: fc.dictionary(name, text, { noNullPrototype: false }),
      payloadField: fc.constantFrom('payload', 'data', 'x'),
    })
    const key = fc.option(text, { nil: undefined })
    fc.assert(
      fc.property(parts, key, ({ payloadField, ...rest }, key) => {
        const content = contentOf(write(key === undefined ? rest : { ...rest, key }, payloadField), payloadField)
        assert.ok(content.payload.equals(rest.payload))
        assert.deepEqual([content.id, content.time, content.key], [rest.id, rest.time, key])
        const mapOf = (headers: Headers | undefined) => new Map(Object.entries(headers ?? {}))
        assert.deepEqual(mapOf(content.headers), mapOf(rest.headers))
      }),
      { numRuns: 1_000 },
    )
  })

  test('the payload is not copied', () => {
    const fields = stored(['a', '1', 'payload', 'bytes'])
    assert.equal(contentOf(fields, 'payload').payload, fields[3])
  })
})

describe("an entry of somebody else's", () => {
  test('without a payload is the map of its fields: none of them means anything to the relay', () => {
    const content = read(['id', '7', 'total', '12', 'region', 'eu', 'key', 'k'])
    assert.deepEqual(JSON.parse(content.payload.toString()), { id: '7', total: '12', region: 'eu', key: 'k' })
    assert.deepEqual([content.id, content.time, content.key, content.headers], Array(4).fill(undefined))
  })

  test('may have its payload in a field of another name', () => {
    const content = read(['data', '{"total":12}', 'region', 'eu'], 'data')
    assert.equal(content.payload.toString(), '{"total":12}')
    assert.deepEqual({ ...content.headers }, { region: 'eu' })
  })

  test('has no id and no time where what stands there is none', () => {
    for (const time of ['', 'now', '-1', '1.5', '1e3', ' 1', '9'.repeat(17)]) {
      assert.equal(read(['payload', '', 'time', time]).time, undefined, time)
    }
    for (const id of ['', 'x'.repeat(1_025)]) assert.equal(read(['payload', '', 'id', id]).id, undefined)
  })

  test('may say things twice, of which the last counts', () => {
    const content = read(['payload', 'a', 'x', '1', 'payload', 'b', 'x', '2', 'header:x', '3'])
    assert.equal(content.payload.toString(), 'b')
    assert.deepEqual({ ...content.headers }, { x: '3' })
    assert.equal(read(['a', '1', 'a', '2']).payload.toString(), '{"a":"2"}')
  })

  test('whatever its bytes are, it is read', () => {
    const bytes = fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each))
    const field = fc.oneof(bytes, fc.constantFrom('payload', 'id', 'time', '__proto__').map(Buffer.from))
    fc.assert(
      fc.property(fc.array(field), (fields) => {
        const { payload, headers = {} } = contentOf(fields, 'payload')
        assert.ok(Buffer.isBuffer(payload))
        for (const value of Object.values(headers)) assert.equal(typeof value, 'string')
      }),
      { numRuns: 1_000 },
    )
  })

  test('bytes that are no text are replaced where text is needed, and nowhere else', () => {
    const broken = Buffer.from([0x61, 0xff])
    const fields = [Buffer.from('payload'), broken, Buffer.from('x'), broken]
    const content = contentOf(fields, 'payload')
    assert.deepEqual([...content.payload], [0x61, 0xff])
    assert.equal(content.headers?.['x'], 'a\uFFFD')
  })
})
