import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Hands, Held } from '../../../lib/endpoints/mqtt/hands.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message } from '../../../lib/message.ts'

function arrival(id: number, qos: number, text: string, isAgain = false): Parameters<Hands['recognise']>[0] {
  return { id, qos, isAgain, topic: 't', payload: Buffer.from(text) }
}

function held(id: number, qos: number, text: string): Held {
  const message = new Message({ source: 's', marshaller: raw, topic: 't', payload: Buffer.from(text) })
  return new Held(id, qos, message, text.length)
}

describe('messages in hand', () => {
  test('are acknowledged once each and in their order, however they are settled, over lost connections too', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 40 }),
        (qos, count, operations) => {
          let acknowledged: number[] = []
          const hands = new Hands((id) => void acknowledged.push(id))
          const all = Array.from({ length: count }, (_, index) => held(index + 1, qos, String(index)))
          /** What the broker has not got an acknowledgement of. */
          let open = all.map(({ id }) => id)
          hands.begin(false)
          for (const each of all) {
            assert.equal(hands.recognise(arrival(each.id, qos, String(each.id - 1))), false)
            hands.take(each)
          }
          const take = (): void => {
            // In order, without a gap.
            assert.deepEqual(acknowledged, open.slice(0, acknowledged.length))
            open = open.slice(acknowledged.length)
            acknowledged = []
          }
          for (const operation of operations) {
            const one = all[operation - 1]
            if (one !== undefined) {
              hands.settle(one)
              take()
            } else {
              hands.end()
              hands.begin(true)
              const again = [...open]
              for (const id of again) assert.equal(hands.recognise(arrival(id, qos, String(id - 1), true)), true)
              take()
            }
          }
          for (const each of all) hands.settle(each)
          take()
          assert.deepEqual(open, [])
          assert.equal(hands.count, 0)
          assert.equal(hands.open, 0)
        },
      ),
    )
  })

  test('of QoS 2 are known until the broker releases them, and acknowledged again', () => {
    const acknowledged: number[] = []
    const hands = new Hands((id) => void acknowledged.push(id))
    hands.begin(false)
    const one = held(1, 2, 'a')
    hands.take(one)
    hands.settle(one)
    hands.begin(true)
    assert.equal(hands.recognise(arrival(1, 2, 'a', true)), true)
    assert.deepEqual(acknowledged, [1, 1])
    hands.release(1)
    assert.equal(hands.recognise(arrival(1, 2, 'a', true)), false)
  })

  test('are others where the broker uses an identifier anew: no acknowledgement of the old reaches the new', () => {
    const acknowledged: number[] = []
    const hands = new Hands((id) => void acknowledged.push(id))
    hands.begin(false)
    const old = held(1, 1, 'a')
    hands.take(old)
    hands.begin(true)
    // The same content, but not a duplicate; and a duplicate of other content.
    for (const next of [arrival(1, 1, 'a', false), arrival(1, 1, 'b', true)]) {
      assert.equal(hands.recognise(next), false)
      const fresh = held(1, 1, next.payload.toString())
      hands.take(fresh)
      hands.settle(old)
      assert.deepEqual(acknowledged, [])
    }
    // A session that was not kept: nothing is left to acknowledge.
    hands.begin(false)
    assert.equal(hands.count, 0)
    hands.settle(old)
    assert.deepEqual(acknowledged, [])
  })
})
