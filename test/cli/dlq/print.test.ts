import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { letterJson, letterRow, letterText } from '../../../lib/cli/dlq/print.ts'
import type { Letter } from '../../../lib/endpoints/redis/stream/letters.ts'

/** What terminals obey, some of them (CSI of one character), or show where it does not stand (right-to-left). */
const HOSTILE = '\u001b[2J\u009b31m\u007f\u202e\u2028\u{e0001}'
const OBEYED = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

function letterOf(change: Partial<Letter> = {}): Letter {
  return {
    entry: '1-0',
    id: 'm',
    time: 1_000,
    key: undefined,
    headers: {},
    payload: Buffer.from('1'),
    ...change,
  }
}

describe('a dead letter on a terminal', () => {
  const headers = { 'araldo-error': HOSTILE, [HOSTILE]: HOSTILE }
  for (const payload of [HOSTILE, JSON.stringify({ a: HOSTILE, [HOSTILE]: 1 }), JSON.stringify(HOSTILE)]) {
    it(`has nothing in it that a terminal obeys: ${JSON.stringify(payload)}`, () => {
      const letter = letterOf({ id: HOSTILE, key: HOSTILE, headers, payload: Buffer.from(payload) })
      for (const text of [letterText(letter), letterJson(letter), ...letterRow(letter)])
        assert.doesNotMatch(text, OBEYED)
      assert.deepEqual((JSON.parse(letterJson(letter)) as Letter).headers, headers)
    })
  }

  it('keeps its JSON what it is', () => {
    const value = { a: HOSTILE, b: ['\u{1f600}'] }
    const text = letterText(letterOf({ payload: Buffer.from(JSON.stringify(value)) }))
    assert.deepEqual(JSON.parse(text.slice(text.indexOf('\n\n'))), value)
  })

  it('says which entry it is, whatever its headers are called', () => {
    const text = letterText(letterOf({ headers: { entry: '9-9', id: 'other' } }))
    assert.match(text, /^entry +1-0\n/)
    assert.match(text, /\nid +m\n/)
  })
})
