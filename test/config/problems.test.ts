import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError, loadConfig } from '../../lib/config.ts'
import { size } from '../../lib/schema.ts'
import type { JsonSchema } from '../../lib/types.ts'
import { endpointType, registries, withParameters } from './support.ts'

/** What is said of `lines` by a type with this schema, without its place and its label. */
async function said(
  properties: Readonly<Record<string, JsonSchema>>,
  lines: string,
  rest: JsonSchema = {},
): Promise<string[]> {
  const found = registries()
  found.endpoints.add(endpointType('endpoint-any', { type: 'object', properties, ...rest }), 'the test')
  try {
    await loadConfig(withParameters(lines, 'endpoint-any'), found, { env: {} })
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.diagnostics.map(({ message }) => message.replace("endpoint 'e': ", ''))
  }
  return []
}

describe('what a schema finds wrong is said in words', () => {
  const text = { type: 'string' }
  for (const [schema, value, expected] of [
    [{ type: 'string', minLength: 3 }, 'ab', 'expected at least 3 characters'],
    [{ type: 'string', maxLength: 1 }, 'ab', 'expected at most 1 character'],
    [{ type: 'string', pattern: '^x' }, 'ab', "expected text that matches '^x', got 'ab'"],
    [{ type: 'array', items: text, maxItems: 1 }, '[a, b]', 'expected at most 1 item'],
    [{ type: 'array', items: text, minItems: 2 }, '[a]', 'expected at least 2 items'],
    [{ type: 'array', items: {}, contains: text }, '[1, 2]', 'expected text among its items'],
    [{ type: 'object', maxProperties: 1 }, '{ a: 1, b: 1 }', 'expected at most 1 key'],
    [{ type: 'object', minProperties: 1 }, '{}', 'must not be empty'],
    [{ type: 'object', propertyNames: { pattern: '^x' } }, '{ y: 1 }', "the key 'y' is not allowed"],
    [
      { type: 'object', properties: { a: {}, b: {} }, dependencies: { a: ['b'] } },
      '{ a: 1 }',
      "'a' needs 'b' beside it",
    ],
    [{ type: 'number', exclusiveMinimum: 0 }, '0', 'expected more than 0, got 0'],
    [{ type: 'number', exclusiveMaximum: 1 }, '1', 'expected less than 1, got 1'],
    [{ type: 'number', multipleOf: 5 }, '7', 'must be multiple of 5'],
    [{ not: { type: 'string' } }, 'a', 'is not allowed here'],
    [false, 'a', 'is not allowed here'],
    [{ const: 'tcp' }, 'udp', "expected 'tcp', got 'udp'"],
    [{ enum: [1, 2, null] }, '3', "expected '1', '2' or 'null', got 3"],
    [{ type: ['string', 'null'] }, '5', 'expected text or nothing, got 5'],
    [
      { oneOf: [{ const: 'a' }, { enum: ['b', 'c'] }, size()] },
      'd',
      "expected 'a', or 'b' or 'c', or a size such as 64KiB, or a whole number of bytes, got 'd'",
    ],
    [
      { anyOf: [{ type: 'integer' }, { anyOf: [{ type: 'boolean' }, { type: 'null' }] }] },
      'x',
      "expected a whole number, or true or false, or nothing, got 'x'",
    ],
    [
      { anyOf: [{ type: 'array', items: { type: 'integer' } }, { type: 'string' }] },
      '[1, x]',
      "item 2: expected a whole number, got 'x'",
    ],
    [{ if: { type: 'string' }, then: { minLength: 5 } }, 'abc', 'expected at least 5 characters'],
  ] as [JsonSchema, string, string][]) {
    it(expected, async () =>
      assert.deepEqual(await said({ it: schema }, `it: ${value}`), [
        expected.replace(/^(the key|must|is|expected|'a' needs|item)/, 'it: $1'),
      ]),
    )
  }

  it('of keys that exclude one another', async () => {
    const either = { oneOf: [{ required: ['a'] }, { required: ['b'] }] }
    assert.deepEqual(await said({ a: text, b: text }, 'a: x\nb: x', either), ["takes only one of 'a' and 'b'"])
    assert.deepEqual(await said({ a: text, b: text }, '', either), ["'a' or 'b' is missing"])
    assert.deepEqual(await said({ a: text, b: text }, 'b: x', either), [])
  })

  it('of keys that branches add', async () => {
    const branches = {
      anyOf: [
        { properties: { kind: { const: 'a' }, only: text }, required: ['kind'] },
        { properties: { kind: { const: 'b' } }, required: ['kind'] },
      ],
    }
    assert.deepEqual(await said({ kind: text }, 'kind: a\nonly: x', branches), [])
    assert.deepEqual(await said({ kind: text }, 'kind: a\nonyl: x', branches), [
      "unknown key 'onyl'; did you mean 'only'?",
    ])
  })

  it('with the path, where keys are strange', async () => {
    const free = { type: 'object', additionalProperties: { type: 'object', additionalProperties: text } }
    assert.deepEqual(await said({ free }, 'free: { "a/b~c d": { "": 5 } }'), [
      "free: 'a/b~c d': '': expected text, got 5",
    ])
  })

  it('of one slip once', async () => {
    const required = { required: ['channel'] }
    assert.deepEqual(await said({ channel: text }, 'chanel: x', required), [
      "unknown key 'chanel'; did you mean 'channel'?",
    ])
  })
})
