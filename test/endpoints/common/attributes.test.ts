import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Attributes, AttributesReader } from '../../../lib/endpoints/common/attributes.ts'

function attributesOf(pairs: readonly (readonly [string, string])[]): Attributes {
  const reader = new AttributesReader()
  for (const [name, value] of pairs) reader.add(name, value)
  const { id, key, time, headers } = reader
  return { id, key, time, headers }
}

test('an id of more characters than any relay gives is none', () => {
  assert.equal(attributesOf([['araldo-id', 'a'.repeat(1_024)]]).id?.length, 1_024)
  for (const id of ['', 'a'.repeat(1_025), 'a'.repeat(1024 * 1024)]) {
    assert.deepEqual(attributesOf([['araldo-id', id]]), {
      id: undefined,
      key: undefined,
      time: undefined,
      headers: undefined,
    })
  }
})

test('a time that no date can hold is none', () => {
  for (const time of ['-1', 'NaN', '1e308', 'Infinity', '0x10', ' 1', '1.5', '8640000000000001', '']) {
    assert.equal(attributesOf([['araldo-time', time]]).time, undefined, time)
  }
  assert.equal(attributesOf([['araldo-time', '8640000000000000']]).time, 8.64e15)
})

test("names of JavaScript's own are headers like any other", () => {
  const { headers } = attributesOf([
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ])
  assert.deepEqual(Object.entries(headers ?? {}), [
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ])
  assert.equal(Object.getPrototypeOf(headers), null)
})
