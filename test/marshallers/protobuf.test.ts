import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { Marshaller } from '../../lib/message.ts'
import { marshalProtobuf } from '../../lib/marshallers/protobuf/index.ts'
import { temporaryFolder } from '../support/process.ts'
import { decodeSafely, hostile, plainBytes, standsAll } from './support.ts'

const ORDER = `
syntax = "proto3";
package shop;
import "parts/money.proto";
import "google/protobuf/timestamp.proto";
enum State { NEW = 0; SENT = 1; }
message Order {
  int64 id = 1;
  uint64 big = 2;
  bytes blob = 3;
  repeated Order kids = 4;
  map<string, int64> counts = 5;
  State state = 6;
  optional string note = 7;
  oneof way { string street = 8; Money paid = 9; }
  double weight = 10;
  map<int32, string> names = 11;
  bool ok = 12;
  repeated sint32 deltas = 13;
  google.protobuf.Timestamp at_time = 14;
  fixed32 f = 15;
}
message Flags { map<bool, string> flags = 1; }`
const MONEY = `syntax = "proto3"; package shop; message Money { int64 cents = 1; }`
const OLD = `syntax = "proto2"; message Old { required int32 a = 1; optional group Deep = 2 { optional Old more = 1; } }`

const folder = temporaryFolder('proto')
mkdirSync(join(folder, 'parts'))
const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
write('order.proto', ORDER)
write('parts/money.proto', MONEY)
write('old.proto', OLD)

const make = async (file: string, message: string): Promise<Marshaller> =>
  marshalProtobuf.create({ file, message }, folder)

/** As it is decoded: every field but those of a oneof and those that may be missing. */
const EMPTY = {
  id: 0,
  big: 0,
  blob: '',
  kids: [],
  counts: {},
  state: 'NEW',
  weight: 0,
  names: {},
  ok: false,
  deltas: [],
  at_time: null,
  f: 0,
}

const int64 = fc.oneof(fc.maxSafeInteger(), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String))
const order = fc.letrec<{ order: object }>((tie) => ({
  order: fc.record(
    {
      id: int64,
      blob: fc.uint8Array({ maxLength: 20 }),
      kids: fc.oneof({ maxDepth: 2 }, fc.constant([]), fc.array(tie('order'), { maxLength: 2 })),
      counts: fc.dictionary(
        fc.string({ maxLength: 9 }).filter((key) => key !== '__proto__'),
        int64,
        { maxKeys: 3, noNullPrototype: true },
      ),
      state: fc.constantFrom('NEW', 'SENT', 7),
      note: fc.string(),
      paid: fc.record({ cents: int64 }),
      weight: fc.double({ noNaN: true, noDefaultInfinity: true }),
      names: fc.dictionary(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map(String), fc.string(), {
        maxKeys: 3,
        noNullPrototype: true,
      }),
      ok: fc.boolean(),
      deltas: fc.array(fc.integer()),
      f: fc.nat(),
    },
    { requiredKeys: [], noNullPrototype: true },
  ),
})).order

describe('marshal-protobuf', () => {
  let orders: Marshaller
  before(async () => {
    orders = await make('order.proto', 'shop.Order')
  })
  const decode = (hex: string): Record<string, unknown> => orders.decode(Buffer.from(hex, 'hex')) as never

  it('has a format of its own for each message, in binary frames', async () => {
    assert.match(orders.format, /^protobuf:shop\.Order:[\w-]{16}$/)
    assert.equal(orders.format, (await make('order.proto', '.shop.Order')).format)
    assert.notEqual(orders.format, (await make('order.proto', 'shop.Money')).format)
    assert.deepEqual([orders.contentType, orders.binary], ['application/protobuf', true])
  })

  it('fills in what is not there', () => assert.deepEqual(plainBytes(decode('')), EMPTY))

  it('decodes what it encodes', () => {
    fc.assert(
      fc.property(order, (value) => {
        const once = orders.decode(orders.encode(value))
        const given = plainBytes(withSmall(value)) as object
        const { kids: _kids, ...rest } = given as { kids?: unknown }
        assert.deepEqual({ ...(plainBytes(once) as object), ...rest }, plainBytes(once))
        assert.deepEqual(plainBytes(orders.decode(orders.encode(once))), plainBytes(once))
      }),
      { numRuns: 500 },
    )
  })

  it('stands 5,000 hostile inputs', () => standsAll(orders, hostile(order.map((value) => orders.encode(value)))))

  it('has large numbers as text, enums by name, and names as the file has them', () => {
    const body = decode(orders.encode({ id: '9007199254740993', state: 1, at_time: { seconds: 5 } }).toString('hex'))
    assert.equal(body['id'], '9007199254740993')
    assert.equal(body['state'], 'SENT')
    assert.deepEqual(body['at_time'], { seconds: 5, nanos: 0 })
  })

  it('takes bytes from JSON, as base64', () => {
    assert.deepEqual(plainBytes(decode(orders.encode({ blob: 'AQI=' }).toString('hex'))), { ...EMPTY, blob: '0102' })
  })

  for (const [what, body] of [
    ['no map', 5],
    ['a list', []],
    ['a field that it does not have', { nr: 5 }],
    ['a field that it does not have, deep down', { kids: [{ paid: { euros: 1 } }] }],
    ['text for a number', { id: 'five' }],
    ['half a number', { deltas: [0.5] }],
    ['a number that is too large', { deltas: [2 ** 31] }],
    ['a number that is too large for 64 bits', { id: '9223372036854775808' }],
    ['a negative number without a sign', { big: -1 }],
    ['a number for text', { note: 5 }],
    ['text for true', { ok: 'true' }],
    ['an enum that is none', { state: 'LOST' }],
    ['two of a oneof', { street: 'a', paid: {} }],
    ['no list', { kids: {} }],
    ['a key that is no number', { names: { x: 'y' } }],
    ['bytes that are no base64', { blob: '§' }],
    ['a date for a message', { at_time: new Date(0) }],
  ] as [string, unknown][]) {
    it(`does not encode ${what}`, () => assert.throws(() => orders.encode(body), Error))
  }

  it('does not encode maps whose keys are true and false, which objects do not have', async () => {
    const flags = await make('order.proto', 'shop.Flags')
    assert.throws(() => flags.encode({ flags: { true: 'x' } }), /not supported/)
  })

  for (const [what, hex] of [
    ['a length that lies', '1affffff7f01'],
    ['a number that does not end', '08ffffffffffffffffffffff01'],
    ['a tag without a value', '08'],
    ['text that is no UTF-8', '3a02c328'],
    ['the key __proto__ in a map', '2a0d0a095f5f70726f746f5f5f1001'],
    ['a wire type that is none', '0f'],
  ] as [string, string][]) {
    it(`refuses ${what}`, () => assert.throws(() => decode(hex), Error))
  }

  it('refuses what is nested without end', async () => {
    const old = await make('old.proto', 'Old')
    for (const [bytes, marshaller] of [
      [Buffer.from('13'.repeat(100_000), 'hex'), old],
      [Buffer.from('1b'.repeat(100_000), 'hex'), orders],
    ] as const) {
      assert.throws(() => marshaller.decode(bytes), Error)
      assert.equal(decodeSafely(marshaller, bytes), undefined)
    }
    let deep = Buffer.alloc(0)
    for (let level = 0; level < 200; level++) {
      const length = deep.length < 128 ? [deep.length] : [(deep.length & 0x7f) | 0x80, deep.length >> 7]
      deep = Buffer.concat([Buffer.from([0x22, ...length]), deep])
    }
    assert.throws(() => orders.decode(deep), /max depth/)
  })

  it('says what is missing of a required field', async () => {
    const old = await make('old.proto', 'Old')
    assert.throws(() => old.encode({}), /the field 'a' is missing/)
    assert.throws(() => old.decode(Buffer.alloc(0)), Error)
  })
})

/** 64-bit numbers that are exact come back as numbers. */
function withSmall(value: unknown): unknown {
  if (typeof value === 'string' && /^-?\d+$/.test(value)) {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(withSmall)
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, name === 'names' || name === 'note' ? item : withSmall(item)]),
  )
}

describe('loading a .proto file says', () => {
  write('broken.proto', 'message {')
  write('outside.proto', 'syntax = "proto3"; import "../elsewhere.proto"; message A {}')
  write('lost.proto', 'syntax = "proto3"; import "nowhere.proto"; message A {}')
  write('unresolved.proto', 'syntax = "proto3"; message A { Missing b = 1; }')
  for (const [what, file, message, expected] of [
    ['that it is missing', 'none.proto', 'A', /file 'none\.proto': the file is not there; its path is relative/],
    ['that it is no .proto', 'broken.proto', 'A', /file 'broken\.proto': illegal type name '\{'/],
    ['that an import is elsewhere', 'outside.proto', 'A', /imports '\.\.\/elsewhere\.proto', which is outside/],
    ['that an import is missing', 'lost.proto', 'A', /imports 'nowhere\.proto', which is not in its folder/],
    ['that a type is missing', 'unresolved.proto', 'A', /no such type: Missing|no such Type or Enum 'Missing'/],
    ['which message is near', 'order.proto', 'shop.Ordre', /did you mean 'shop\.Order'\?/],
    ['which messages there are', 'old.proto', 'Customer', /it has Old/],
  ] as [string, string, string, RegExp][]) {
    it(what, async () => {
      await assert.rejects(make(file, message), (error: Error & { code: string }) => {
        assert.equal(error.code, 'ARALDO_ERR_CONFIG')
        assert.match(error.message, expected)
        return true
      })
    })
  }
})
