import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compareIds } from '../../../../lib/endpoints/redis/stream/groups.ts'
import { Hands, Held } from '../../../../lib/endpoints/redis/stream/hands.ts'

const BOUNDS = { messages: 3, bytes: 100 }

function take(hands: Hands, id: string, size = 10, stream = 's'): Held {
  const held = new Held(stream, id, undefined, size)
  hands.take(held)
  return held
}

describe('the hands of a source of Redis Streams', () => {
  test('are full in messages or in bytes, whichever comes first', () => {
    const hands = new Hands(BOUNDS)
    const [first] = [take(hands, '1-0'), take(hands, '2-0')]
    assert.deepEqual([hands.room, hands.byteRoom], [1, 80])
    const large = take(hands, '3-0', 200)
    assert.deepEqual([hands.room, hands.byteRoom, hands.bytes], [0, 0, 220])
    hands.lighten(large)
    assert.deepEqual([hands.count, hands.bytes], [3, 20])
    hands.release(first)
    hands.release(first)
    assert.deepEqual([hands.count, hands.bytes, hands.room], [2, 10, 1])
  })

  test('know what was acknowledged while an answer was under way that may tell of it', () => {
    const hands = new Hands(BOUNDS)
    const held = take(hands, '1-0')
    hands.listen()
    hands.release(held)
    assert.equal(hands.has('s', '1-0'), true)
    assert.equal(hands.has('other', '1-0'), false)
    hands.unlisten()
    assert.equal(hands.has('s', '1-0'), false)
  })

  test('forget a stream that began anew: who held one of its entries holds none, and the new one of its id is another', () => {
    const hands = new Hands(BOUNDS)
    const [old, other] = [take(hands, '1-0'), take(hands, '1-0', 5, 'other')]
    hands.forget('s')
    const fresh = take(hands, '1-0')
    assert.deepEqual([old.isHeld, fresh.isHeld, other.isHeld], [false, true, true])
    hands.release(old)
    assert.deepEqual([hands.count, hands.bytes], [2, 15])
  })

  test('name those that Redis has not heard of for a while, once', () => {
    const hands = new Hands(BOUNDS)
    const [old, young] = [take(hands, '1-0'), take(hands, '2-0')]
    old.claimedAt = 0
    assert.deepEqual([...hands.stale(young.claimedAt - 1)], [['s', ['1-0']]])
    assert.deepEqual([...hands.stale(young.claimedAt - 1)], [])
  })
})

describe('ids of entries', () => {
  test('are compared by their numbers, beyond what a double holds', () => {
    const ascending = [
      '0-1',
      '9-0',
      '10-0',
      '10-2',
      '10-10',
      '1795523558780-0',
      '18446744073709551615-18446744073709551615',
    ]
    for (const [index, id] of ascending.entries()) {
      assert.equal(compareIds(id, id), 0)
      for (const higher of ascending.slice(index + 1)) {
        assert.ok(compareIds(id, higher) < 0, `${id} and ${higher}`)
        assert.ok(compareIds(higher, id) > 0, `${higher} and ${id}`)
      }
    }
  })
})
