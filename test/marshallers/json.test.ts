import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { json, marshalJson } from '../../lib/marshallers/json.ts'

const decode = (text: string | number[]): unknown => json.decode(Buffer.from(text as string))
const encode = (body: unknown): string => json.encode(body).toString()

describe('marshal-json', () => {
  it('is the built-in default', async () => {
    assert.equal(marshalJson.id, 'marshal-json')
    assert.equal(await marshalJson.create({}, '/'), json)
    assert.deepEqual([json.format, json.contentType, json.binary], ['json', 'application/json', false])
  })

  it('decodes what it encodes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        fc.pre(!/__proto__|constructor/.test(JSON.stringify(value)))
        assert.deepEqual(json.decode(json.encode(value)), JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

describe('decoding', () => {
  for (const [name, text] of [
    ['nothing', ''],
    ['half of something', '{"a":'],
    ['two values', '1 2'],
    ['a comment', '{} // no'],
    ['bytes that are no UTF-8', [0x22, 0xff, 0x22]],
    ['half of a character', [0x22, 0xc3, 0x22]],
    ['an overlong encoding', [0x22, 0xc0, 0xaf, 0x22]],
    ['a surrogate in bytes', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['__proto__', '{"__proto__":{"admin":true}}'],
    ['__proto__, escaped', String.raw`{"\u005f\u005fproto\u005f_":{"admin":true}}`],
    ['__proto__, deep down', '{"a":[{"b":{"__proto__":1}}]}'],
    ['constructor.prototype', '{"constructor":{"prototype":{"admin":true}}}'],
  ] as [string, string | number[]][]) {
    it(`refuses ${name}`, () => assert.throws(() => decode(text)))
  }

  it('takes what only looks like it', () => {
    assert.deepEqual(decode('{"constructor":"Ferrari","text":"__proto__"}'), {
      constructor: 'Ferrari',
      text: '__proto__',
    })
  })

  it('never reaches a prototype, whatever comes', () => {
    const key = fc.constantFrom('__proto__', 'constructor', 'prototype', 'a', String.raw`\u005f_proto__`)
    const text = fc.letrec<{ value: string }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom('1', '"x"', 'null'),
        fc
          .array(fc.tuple(key, tie('value')), { maxLength: 3 })
          .map((pairs) => `{${pairs.map(([name, value]) => `"${name}":${value}`).join(',')}}`),
      ),
    })).value
    fc.assert(
      fc.property(text, (input) => {
        try {
          Object.assign({}, decode(input))
        } catch (error) {
          assert.ok(error instanceof SyntaxError)
        }
        assert.equal(({} as { a?: unknown }).a, undefined)
      }),
    )
  })

  it('stands deep nesting', () => {
    assert.ok(Array.isArray(decode(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)))
  })
})

describe('encoding', () => {
  it('writes bytes as base64', () => {
    assert.equal(encode(Buffer.from('hi')), '"aGk="')
    assert.equal(encode({ a: [new Uint8Array([1, 2])] }), '{"a":["AQI="]}')
  })

  it('writes whole numbers of any kind, times, maps and sets', () => {
    assert.equal(
      encode({ n: 5n, t: new Date(0), m: new Map([['a', 1n]]), s: new Set([1]) }),
      '{"n":5,"t":"1970-01-01T00:00:00.000Z","m":{"a":1},"s":[1]}',
    )
  })

  it('leaves out keys without a value, as ever', () => assert.equal(encode({ a: undefined, b: 1 }), '{"b":1}'))

  it('changes nothing of what it is given', () => {
    const body = Object.freeze({ list: Object.freeze([1n, Object.freeze({ bytes: Buffer.from('x') })]) })
    assert.equal(encode(body), '{"list":[1,{"bytes":"eA=="}]}')
  })

  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  let deep: unknown = 1
  for (let level = 0; level < 5000; level++) deep = [deep]
  for (const [name, body] of [
    ['nothing', undefined],
    ['a function', () => 1],
    ['a function, deep down', { a: [() => 1] }],
    ['a symbol', { a: Symbol('x') }],
    ['a number that is not exact', { a: 2n ** 53n }],
    ['NaN', { a: NaN }],
    ['infinity', [Infinity]],
    ['what holds itself', circular],
    ['what is too deep', deep],
    ['__proto__', JSON.parse('{"__proto__":1}')],
    ['__proto__ in a Map', new Map([['__proto__', 1]])],
    ['a time that is none', new Date(NaN)],
  ] as [string, unknown][]) {
    it(name === 'a time that is none' ? 'writes null for a time that is none, as ever' : `refuses ${name}`, () => {
      if (name === 'a time that is none') assert.equal(encode(body), 'null')
      else assert.throws(() => json.encode(body), Error)
    })
  }
})
