import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { msgpack } from '../../lib/marshallers/msgpack/codec.ts'
import { marshalMsgpack } from '../../lib/marshallers/msgpack/index.ts'
import { bodies, comesBack, hostile, standsAll } from './support.ts'

const decode = (hex: string): unknown => msgpack.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const encode = (body: unknown): string => msgpack.encode(body).toString('hex')

/** Everything that the library itself can write: records, references, sets, errors, typed arrays. */
const rich = fc
  .oneof(bodies, fc.bigInt(-(2n ** 63n), 2n ** 64n - 1n), fc.date({ noInvalidDate: true }), fc.constant(undefined))
  .chain((value) =>
    fc.constantFrom(value, new Set([value]), new Map([[1, value]]), new Error('e'), /x/, [value, value]),
  )
const packrs = [
  new Packr({ useRecords: true, moreTypes: true, structuredClone: true }),
  new Packr({ bundleStrings: true }),
  new Packr({ useRecords: false }),
]

describe('marshal-msgpack', () => {
  it('is MessagePack, in binary frames', async () => {
    assert.equal(await marshalMsgpack.create({}, '/'), msgpack)
    assert.deepEqual([msgpack.format, msgpack.contentType, msgpack.binary], ['msgpack', 'application/msgpack', true])
  })

  it('decodes what it encodes', () => comesBack(msgpack, bodies))

  it('stands 5,000 hostile inputs', () => {
    const valid = fc.tuple(rich, fc.nat(2)).map(([value, index]) => Buffer.from((packrs[index] as Packr).pack(value)))
    standsAll(msgpack, hostile(valid))
  })
})

describe('what MessagePack holds becomes', () => {
  for (const [what, hex, body] of [
    ['numbers, where they are exact', 'cf 0020000000000000', '9007199254740992'],
    ['numbers, where they are exact', 'cf 001fffffffffffff', 9_007_199_254_740_991],
    ['text, where they are not', 'd3 8000000000000000', '-9223372036854775808'],
    ['a time in ISO 8601, from 32 bits', 'd6ff 00000001', '1970-01-01T00:00:01.000Z'],
    ['a time in ISO 8601, from 96 bits', 'c70cff 00000000 ffffffffffffffff', '1969-12-31T23:59:59.000Z'],
    ['text for keys that are numbers', '82 01 02 ff 03', { '1': 2, '-1': 3 }],
    ['null', 'c0', null],
  ] as [string, string, unknown][]) {
    it(`${what}: ${hex}`, () => assert.deepEqual(decode(hex), body))
  }

  it('bytes that are plain bytes', () => {
    const { a } = decode('81 a161 c402 0102') as { a: unknown }
    assert.deepEqual(a, new Uint8Array([1, 2]))
    assert.equal((a as object).constructor, Uint8Array)
  })
})

describe('MessagePack is refused with', () => {
  for (const [what, hex] of [
    ['nothing', ''],
    ['bytes after its end', '01 01'],
    ['a list whose length lies', 'dd ffffffff 01'],
    ['a map whose length lies', 'df 7fffffff 01 01'],
    ['text whose length lies', 'db ffffffff 61'],
    ['bytes whose length lies', 'c6 ffffffff 61'],
    ['text that is no UTF-8', 'a2 c328'],
    ['text that is no UTF-8, and long', `d928 ${'61'.repeat(38)}c328`],
    ['the key __proto__', '81 a9 5f5f70726f746f5f5f 01'],
    ['a key that is a list', '81 90 01'],
    ['a key that is a number with a point', '81 ca 3f800000 01'],
    ['a key that is null', '81 c0 01'],
    ['a byte that is never used', 'c1'],
    ['an extension of somebody', 'd4 05 00'],
    ["the library's undefined", 'd4 00 00'],
    ["the library's records", 'd4 72 40 91 a161 01'],
    ["the library's set", 'd4 73 00 91 01'],
    ["the library's regular expression", 'd4 78 00 92 a128 a0'],
    ["the library's error", 'd4 65 00 92 a145 a0'],
    ['a time of no length that there is', 'c705ff 0000000000'],
    ['too many levels', '91'.repeat(1_001) + 'c0'],
    ['a million levels', '91'.repeat(1_000_000) + 'c0'],
  ] as [string, string][]) {
    it(what, () => assert.throws(() => decode(hex), Error))
  }
})

describe('encoding MessagePack', () => {
  it('writes large whole numbers as such, not as floating point', () => {
    assert.equal(encode(1_732_449_600_000), 'd3000001935e0b0200')
    assert.equal(encode(-4_294_967_297), 'd3fffffffeffffffff')
  })
  it('leaves out keys without a value', () => assert.equal(encode({ a: undefined, b: [undefined] }), '81a16291c0'))
  it('changes nothing of what it is given', () => {
    encode(Object.freeze({ list: Object.freeze([2 ** 40, Object.freeze({ at: new Date(0) })]) }))
  })
  for (const [what, body] of [
    ['nothing', undefined],
    ['a function', { a: () => 1 }],
    ['NaN', NaN],
    ['a number that is not exact', 2n ** 60n],
  ] as [string, unknown][]) {
    it(`refuses ${what}`, () => assert.throws(() => encode(body), Error))
  }
})
