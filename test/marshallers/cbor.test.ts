import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Encoder } from 'cbor-x'
import fc from 'fast-check'
import { cbor } from '../../lib/marshallers/cbor/codec.ts'
import { marshalCbor } from '../../lib/marshallers/cbor/index.ts'
import { bodies, comesBack, hostile, standsAll } from './support.ts'

const decode = (hex: string): unknown => cbor.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const encode = (body: unknown): string => cbor.encode(body).toString('hex')

/** Everything that the library itself can write: records, references, sets, errors, typed arrays, large numbers. */
const rich = fc
  .oneof(bodies, fc.bigInt(-(2n ** 90n), 2n ** 90n), fc.date({ noInvalidDate: true }), fc.constant(undefined))
  .chain((value) =>
    fc.constantFrom(value, new Set([value]), new Map([[1, value]]), new Error('e'), /x/, [value, value]),
  )
const encoders = [
  new Encoder({ useRecords: true, structuredClone: true, pack: true }),
  new Encoder({ bundleStrings: true }),
  new Encoder({ useRecords: false, tagUint8Array: true, variableMapSize: true }),
]

describe('marshal-cbor', () => {
  it('is CBOR, in binary frames', async () => {
    assert.equal(await marshalCbor.create({}, '/'), cbor)
    assert.deepEqual([cbor.format, cbor.contentType, cbor.binary], ['cbor', 'application/cbor', true])
  })

  it('decodes what it encodes', () => comesBack(cbor, bodies))

  it('stands 5,000 hostile inputs', () => {
    const valid = fc.tuple(rich, fc.nat(2)).map(([value, index]) => {
      return Buffer.from((encoders[index] as Encoder).encode(value))
    })
    standsAll(cbor, hostile(valid))
  })
})

describe('what CBOR holds becomes (RFC 8949, appendix A)', () => {
  for (const [what, hex, body] of [
    ['a number, where it is exact', '1b 001fffffffffffff', 9_007_199_254_740_991],
    ['text, where it is not', '1b ffffffffffffffff', '18446744073709551615'],
    ['text, where it is not', '3b ffffffffffffffff', '-18446744073709551616'],
    ['text, from a large number', 'c2 49 010000000000000000', '18446744073709551616'],
    ['a number, from a large number that is small', 'c3 41 05', -6],
    ['a time in ISO 8601', 'c0 74 323031332d30332d32315432303a30343a30305a', '2013-03-21T20:04:00.000Z'],
    ['a time in ISO 8601', 'c1 fb 41d452d9ec200000', '2013-03-21T20:04:00.500Z'],
    ['null, from undefined', 'f7', null],
    ['a half-precision number', 'f9 3c00', 1],
    ['what it says that it is', 'd9d9f7 01', 1],
    ['text for keys that are numbers', 'a2 01 02 20 03', { '1': 2, '-1': 3 }],
    ['a list of unknown length', '9f 01 82 02 03 9f 04 ff ff', [1, [2, 3], [4]]],
    ['a map of unknown length', 'bf 61 61 01 61 62 9f 02 ff ff', { a: 1, b: [2] }],
  ] as [string, string, unknown][]) {
    it(`${what}: ${hex}`, () => assert.deepEqual(decode(hex), body))
  }

  it('bytes that are plain bytes', () => {
    const { a } = decode('a1 61 61 42 0102') as { a: unknown }
    assert.deepEqual(a, new Uint8Array([1, 2]))
    assert.equal((a as object).constructor, Uint8Array)
  })
})

describe('CBOR is refused with', () => {
  for (const [what, hex] of [
    ['nothing', ''],
    ['bytes after its end', '01 01'],
    ['a list whose length lies', '9b 7fffffffffffffff 01'],
    ['a list whose length lies, in 32 bits', '9a ffffffff 01'],
    ['a map whose length lies', 'ba 7fffffff 01 01'],
    ['text whose length lies', '7a ffffffff 61'],
    ['bytes whose length lies', '5b ffffffffffffffff 61'],
    ['text of unknown length', '7f 61 61 ff'],
    ['text that is no UTF-8', '62 c328'],
    ['the key __proto__', 'a1 69 5f5f70726f746f5f5f 01'],
    ['a key that is a list', 'a1 80 01'],
    ['a key that is bytes', 'a1 41 00 01'],
    ['a key that is null', 'a1 f6 01'],
    ['a key without a value', 'bf 01 ff'],
    ['an end mark without a beginning', 'ff'],
    ['an end mark in a list that says its length', '81 ff'],
    ['a list that does not end', '9f 01'],
    ['a simple value that means nothing', 'f8 ff'],
    ['a tag that is not known', 'd8 20 61 61'],
    ['a tag before a tag', 'c1 c1 01'],
    ['a tag before what it is not for', 'c0 01'],
    ['a tag at its end', 'c1'],
    ['what it says that it is, in the middle', '81 d9d9f7 01'],
    ['a length that is none', '1c'],
    ['a time that is none', 'c0 61 61'],
    ['a time that no Date can hold', 'c1 fb 7fefffffffffffff'],
    ['a number of a million digits', `c2 5a 00065000 ${'ff'.repeat(0x65000)}`],
    ["the library's records", 'd9dfff 83 81 61 61 19 e000 01'],
    ["the library's set", 'd90102 81 01'],
    ["the library's reference", 'd81d 00'],
    ['a typed array', 'd840 42 0102'],
    ['too many levels', '81'.repeat(1_001) + 'f6'],
    ['a million levels', '9f'.repeat(1_000_000)],
  ] as [string, string][]) {
    it(what, () => assert.throws(() => decode(hex), Error))
  }
})

describe('encoding CBOR', () => {
  it('writes large whole numbers as such, not as floating point', () => {
    assert.equal(encode(1_732_449_600_000), '1b000001935e0b0200')
    assert.equal(encode(-1_099_511_627_776), '3b000000ffffffffff')
  })
  it('writes bytes without a tag', () => assert.equal(encode(new Uint8Array([1])), '4101'))
  it('leaves out keys without a value', () => assert.equal(encode({ a: undefined, b: [undefined] }), 'a1616281f6'))
  for (const [what, body] of [
    ['nothing', undefined],
    ['a function', { a: () => 1 }],
    ['infinity', Infinity],
    ['a number that is not exact', 2n ** 60n],
  ] as [string, unknown][]) {
    it(`refuses ${what}`, () => assert.throws(() => encode(body), Error))
  }
})
