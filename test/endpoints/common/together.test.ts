/** What is said of many at once. */
import assert from 'node:assert/strict'
import { describe, mock, test } from 'node:test'
import { Together } from '../../../lib/endpoints/common/together.ts'

describe('what is said together', () => {
  test('is said once, a few milliseconds after the first', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] })
    const say = mock.fn()
    const together = new Together(100, say)
    for (let count = 1; count < 25; count++) together.add(count)
    t.mock.timers.tick(3)
    assert.equal(say.mock.callCount(), 0)
    t.mock.timers.tick(1)
    assert.equal(say.mock.callCount(), 1)
    t.mock.timers.tick(100)
    assert.equal(say.mock.callCount(), 1)
    together.add(1)
    t.mock.timers.tick(4)
    assert.equal(say.mock.callCount(), 2)
  })

  test('is said in the next turn where it is a quarter of what may be in hand: be that a single one', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] })
    for (const [inHand, enough] of [
      [100, 25],
      [1, 1],
      [4, 1],
    ] as const) {
      const say = mock.fn()
      const together = new Together(inHand, say)
      for (let count = 1; count <= enough; count++) together.add(count)
      assert.equal(say.mock.callCount(), 0)
      t.mock.timers.tick(0)
      assert.equal(say.mock.callCount(), 1)
      t.mock.timers.tick(100)
      assert.equal(say.mock.callCount(), 1)
    }
  })

  test('is not said any more where it was said at once', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] })
    const say = mock.fn()
    const together = new Together(100, say)
    together.add(1)
    together.add(50)
    together.cancel()
    t.mock.timers.tick(100)
    assert.equal(say.mock.callCount(), 0)
  })
})
