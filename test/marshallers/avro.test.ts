import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Marshaller } from '../../lib/message.ts'
import { createAvro } from '../../lib/marshallers/avro/codec.ts'
import { fingerprint } from '../../lib/marshallers/avro/fingerprint.ts'
import { type AvroOptions, marshalAvro } from '../../lib/marshallers/avro/index.ts'
import { temporaryFolder } from '../support/process.ts'
import { comesBack, hostile, plainBytes, standsAll } from './support.ts'

const ORDER = {
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  doc: 'an order',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'count', type: 'int', default: 1 },
    { name: 'total', type: 'double' },
    { name: 'ok', type: 'boolean' },
    { name: 'note', type: ['null', 'string'], default: null },
    { name: 'blob', type: 'bytes' },
    { name: 'hash', type: { type: 'fixed', name: 'Hash', size: 2 } },
    { name: 'state', type: { type: 'enum', name: 'State', symbols: ['NEW', 'SENT'] } },
    { name: 'counts', type: { type: 'map', values: 'long' } },
    { name: 'kids', type: { type: 'array', items: 'Order' } },
    { name: 'way', type: ['null', 'long', 'string'] },
    { name: 'any', type: ['null', 'long', 'boolean', { type: 'array', items: 'string' }] },
    { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' }, default: 0 },
  ],
}

const folder = temporaryFolder('avro')
let files = 0

function make(schema: unknown, options: Partial<AvroOptions> = {}): Marshaller {
  const file = `schema-${files++}.avsc`
  writeFileSync(join(folder, file), typeof schema === 'string' ? schema : JSON.stringify(schema))
  return createAvro({ file, framing: 'none', ...options }, folder)
}

const long = fc
  .bigInt(-(2n ** 63n), 2n ** 63n - 1n)
  .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)))
const order = fc.letrec<{ order: object }>((tie) => ({
  order: fc.record(
    {
      id: long,
      count: fc.integer(),
      total: fc.double({ noNaN: true, noDefaultInfinity: true }),
      ok: fc.boolean(),
      note: fc.option(fc.string()),
      blob: fc.uint8Array({ maxLength: 20 }),
      hash: fc.uint8Array({ minLength: 2, maxLength: 2 }),
      state: fc.constantFrom('NEW', 'SENT'),
      counts: fc.dictionary(
        fc.string({ maxLength: 9 }).filter((key) => key !== '__proto__'),
        long,
        { maxKeys: 3, noNullPrototype: true },
      ),
      kids: fc.oneof({ maxDepth: 2 }, fc.constant([]), fc.array(tie('order'), { maxLength: 2 })),
      way: fc.oneof(
        fc.constant(null),
        fc.record({ long }, { noNullPrototype: true }),
        fc.record({ string: fc.string() }, { noNullPrototype: true }),
      ),
      any: fc.oneof(fc.constant(null), fc.maxSafeInteger(), fc.boolean(), fc.array(fc.string())),
      at: fc.maxSafeInteger(),
    },
    { noNullPrototype: true },
  ),
})).order

const SMALL = {
  id: 1,
  total: 0.5,
  ok: true,
  blob: 'AQI=',
  hash: new Uint8Array([1, 2]),
  state: 'NEW',
  counts: {},
  kids: [],
  way: null,
  any: 5,
}

describe('marshal-avro', () => {
  const orders = make(ORDER)

  it('has a format of its own for each schema, in binary frames', async () => {
    assert.match(orders.format, /^avro:none:[\da-f]{16}:$/)
    assert.equal(make({ ...ORDER, doc: 'another text' }).format, orders.format)
    assert.notEqual(make(ORDER, { framing: 'single-object' }).format, orders.format)
    assert.notEqual(make('"string"').format, orders.format)
    const created = await marshalAvro.create({ file: 'schema-0.avsc', framing: 'none' }, folder)
    assert.equal(created.format, orders.format)
    assert.deepEqual([orders.contentType, orders.binary], ['application/avro', true])
  })

  it('decodes what it encodes', () => comesBack(orders, order))

  it('stands 5,000 hostile inputs', () => standsAll(orders, hostile(order.map((value) => orders.encode(value)))))

  it('fills in defaults, and takes bytes from JSON as base64', () => {
    assert.deepEqual(plainBytes(orders.decode(orders.encode(SMALL))), {
      ...SMALL,
      ...{ count: 1, note: null, blob: '0102', hash: '0102', at: 0 },
    })
  })

  for (const [what, change] of [
    ['no map', undefined],
    ['a field that it does not have', { nr: 5 }],
    ['text for a number', { count: '5' }],
    ['half a number', { count: 0.5 }],
    ['a number that is too large', { count: 2 ** 31 }],
    ['a number that is too large for 64 bits', { id: '9223372036854775808' }],
    ['a field that is missing', { id: undefined }],
    ['bytes of another length', { hash: new Uint8Array(3) }],
    ['an enum that is none', { state: 'LOST' }],
    ['a union that does not say which', { way: 5 }],
    ['a union of which it is none', { any: 'text' }],
    ['no list', { kids: {} }],
  ] as [string, object | undefined][]) {
    it(`does not encode ${what}`, () => {
      assert.throws(() => orders.encode(change === undefined ? [] : { ...SMALL, ...change }), Error)
    })
  }
})

describe('Avro data is refused with', () => {
  const strings = make({ type: 'array', items: 'string' })
  const nothings = make({ type: 'array', items: 'null' })
  const maps = make({ type: 'map', values: 'long' })
  const tree = make({
    type: 'record',
    name: 'Tree',
    fields: [{ name: 'more', type: { type: 'array', items: 'Tree' } }],
  })
  for (const [what, marshaller, hex] of [
    ['nothing', strings, ''],
    ['bytes after its end', strings, '0000'],
    ['a list whose length lies', strings, 'feffffffffffffffff01'],
    ['a list whose length lies, the other way round', strings, 'ffffffffffffffffff0100'],
    ['a list of nothings without end', nothings, 'feffffffffffffffff01'],
    ['a list of nothings, block after block', nothings, `${'a09c01'.repeat(2_000)}00`],
    ['text whose length lies', strings, '02feffffff0f'],
    ['text of less than nothing', strings, '0201'],
    ['text that is no UTF-8', strings, '0204c32800'],
    ['a number of more than 64 bits', maps, '020261ffffffffffffffffffff0100'],
    ['the key __proto__', maps, '02125f5f70726f746f5f5f0200'],
    ['too many levels', tree, '02'.repeat(1_000_000)],
    ['a boolean that is neither', make('"boolean"'), '02'],
    ['a branch that is none', make(['null', 'int']), '04'],
    ['a symbol that is none', make({ type: 'enum', name: 'E', symbols: ['A'] }), '02'],
  ] as [string, Marshaller, string][]) {
    it(what, () => assert.throws(() => marshaller.decode(Buffer.from(hex, 'hex')), Error))
  }

  it('but not a list of a few nothings', () => {
    assert.deepEqual(nothings.decode(Buffer.from('0600', 'hex')), [null, null, null])
  })
})

describe('framing', () => {
  it('single-object: as the specification has it', () => {
    // Avro 1.12, "Single-object encoding"; the fingerprint of "int" is the one of its own tests.
    const ints = make('"int"', { framing: 'single-object' })
    assert.equal(ints.encode(5).toString('hex'), 'c3018f5c393f1ad575720a')
    assert.equal(ints.decode(ints.encode(5)), 5)
    assert.throws(() => ints.decode(Buffer.from('0a', 'hex')), /not of this schema/)
    assert.throws(() => ints.decode(make('"long"', { framing: 'single-object' }).encode(5)), /not of this schema/)
  })

  it('confluent: a zero byte and the number of the schema', () => {
    const ints = make('"int"', { framing: 'confluent', 'schema-id': 258 })
    assert.equal(ints.encode(5).toString('hex'), '00000001020a')
    assert.equal(ints.decode(ints.encode(5)), 5)
    for (const hex of ['', '00', '00000001030a', '01000001020a']) {
      assert.throws(() => ints.decode(Buffer.from(hex, 'hex')), /not of schema 258/)
    }
  })

  it('says what goes together', () => {
    assert.throws(() => make('"int"', { framing: 'confluent' }), /needs 'schema-id'/)
    assert.throws(() => make('"int"', { 'schema-id': 5 }), /is for framing 'confluent'/)
  })

  it('knows schemas by their fingerprints, as other libraries do', () => {
    for (const [text, expected] of [
      ['"null"', '63dd24e7cc258f8a'],
      ['"boolean"', '9f42fc78a4d4f764'],
      ['"long"', 'd054e14493f41db7'],
      ['"string"', '8f014872634503c7'],
    ] as const) {
      assert.equal(fingerprint(text).readBigUInt64LE().toString(16), expected)
    }
  })
})

describe('loading a schema says', () => {
  for (const [what, schema, expected] of [
    ['that it is no JSON', '{', /file 'schema-\d+\.avsc': .*JSON/],
    ['that a type is missing', '"Order"', /undefined type name: Order/],
    ['that a record has no fields', '{"type":"record","name":"A"}', /non-array record fields|fields/],
  ] as [string, string, RegExp][]) {
    it(what, () => assert.throws(() => make(schema), expected))
  }
  it('that it is missing', () => {
    assert.throws(() => createAvro({ file: 'none.avsc', framing: 'none' }, folder), {
      code: 'ARALDO_ERR_CONFIG',
      message: /file 'none\.avsc': the file is not there; its path is relative to the folder of the config/,
    })
  })
})
