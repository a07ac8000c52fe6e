import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Conversation, type Flight } from '../../../lib/endpoints/websocket/conversation.ts'

const MAX_MESSAGES = 4
const MAX_BYTES = 100

function conversation(connection = 'connection-1', scope = 'browsers\n/ws'): Conversation {
  return new Conversation({ connection, scope, maxMessages: MAX_MESSAGES, maxBytes: MAX_BYTES })
}

test('whatever comes and is settled in whichever order, a message has one answer, and the bounds hold', () => {
  const step = fc.oneof(
    fc.record({ id: fc.nat(9), bytes: fc.nat(60) }),
    fc.record({ settle: fc.nat(9), ack: fc.boolean() }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const subject = conversation()
      const flights: { flight: Flight; isOpen: boolean }[] = []
      const acknowledged: string[] = []
      for (const action of steps) {
        const open = flights.filter(({ isOpen }) => isOpen)
        if ('settle' in action) {
          const settled = flights[action.settle % Math.max(1, flights.length)]
          if (settled === undefined) continue
          assert.equal(subject.end(settled.flight, action.ack), settled.isOpen)
          if (settled.isOpen && action.ack) acknowledged.push(settled.flight.id)
          settled.isOpen = false
        } else if (!subject.isFull && !subject.isInFlight(String(action.id))) {
          flights.push({ flight: subject.begin(String(action.id), action.bytes), isOpen: true })
        } else if (subject.isInFlight(String(action.id))) {
          assert.ok(open.some(({ flight }) => flight.id === String(action.id)))
        }
        const now = flights.filter(({ isOpen }) => isOpen).map(({ flight }) => flight)
        const bytes = now.reduce((sum, flight) => sum + flight.bytes, 0)
        assert.deepEqual(
          subject.unanswered,
          now.map(({ id }) => id),
        )
        assert.ok(now.length <= MAX_MESSAGES && bytes < MAX_BYTES + 60)
        if (now.length >= MAX_MESSAGES || bytes >= MAX_BYTES) assert.ok(subject.isFull)
        if (now.length <= MAX_MESSAGES / 2 && bytes <= MAX_BYTES / 2) assert.ok(!subject.isFull)
        const last = new Set(acknowledged.toReversed().slice(0, 1))
        for (const id of last) assert.ok(subject.wasAcknowledged(id))
        const known = Array.from({ length: 10 }, (_, id) => String(id)).filter((id) => subject.wasAcknowledged(id))
        assert.ok(known.length <= MAX_MESSAGES && known.every((id) => acknowledged.includes(id)))
      }
    }),
    { numRuns: 1_000 },
  )
})

test('a message id is that of one scope, one session or connection, and one id', () => {
  const ids = new Set<string>()
  const add = (subject: Conversation, session: string | undefined, id: string): void => {
    if (session !== undefined) assert.ok(subject.openSession(session))
    ids.add(subject.messageId(id))
  }
  add(conversation('one'), undefined, '1')
  add(conversation('two'), undefined, '1')
  add(conversation('one', 'browsers\n/ws\n'), undefined, '1')
  add(conversation('one', 'other\n/ws'), undefined, '1')
  // Who knows a connection's id, which is in every message's headers, does not thereby know its namespace.
  add(conversation('three'), 'one', '1')
  add(conversation('three'), 'two', '1')
  add(conversation('three'), 'two', '11')
  assert.equal(ids.size, 7)
  add(conversation('four'), 'two', '11')
  assert.equal(ids.size, 7)
})

test('when it is over nothing is told any more', () => {
  const subject = conversation()
  const flight = subject.begin('1', 10)
  subject.close()
  assert.equal(subject.end(flight, true), false)
  assert.equal(subject.inFlight, 0)
})
