import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createShow } from '../../lib/http/text.ts'

describe('text that is shown', () => {
  test('hides secrets, the longer one first', () => {
    const show = createShow(new Set(['redis', 'redis://user:pass@host', 'ab']))
    assert.equal(show('cannot reach redis://user:pass@host with redis, ab', 100), 'cannot reach *** with ***, ab')
  })

  test('replaces what a terminal or a reader could be tricked with', () => {
    assert.equal(createShow(new Set([]))('a\u001b[31m\n\u202Eb\u2066c', 100), 'a\uFFFD[31m\uFFFD\uFFFDb\uFFFDc')
  })

  test('does not end in a part of a secret where it was cut', () => {
    const show = createShow(new Set(['abcdefghij']))
    assert.equal(show(`${'x'.repeat(20)}${'abcdefghij'.repeat(10)}`, 27), `${'x'.repeat(20)}…`)
    assert.equal(show('x'.repeat(30), 27), `${'x'.repeat(26)}…`)
  })

  test('is never longer than the limit and never holds a secret', () => {
    const secret = fc.string({ minLength: 3, maxLength: 20 }).filter((text) => !text.includes('*'))
    fc.assert(
      fc.property(secret, fc.string({ maxLength: 60 }), fc.integer({ min: 30, max: 60 }), (hidden, before, limit) => {
        fc.pre(!before.includes(hidden) && !'***…'.includes(hidden))
        const text = createShow(new Set([hidden]))(before + hidden.repeat(10), limit)
        return text.length <= limit && !text.includes(hidden)
      }),
    )
  })
})
