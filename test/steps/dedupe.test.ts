import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Recent } from '../../lib/steps/recent.ts'
import { temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'
import { codeOf, laneOf, type Setup, step } from './support.ts'

/** Numbered bodies; the key stands beside the number. */
function setUp(change: Setup & { readonly window?: number; readonly size?: number } = {}) {
  const { window, size, ...setup } = change
  let now = 0
  const all = laneOf([step.dedupe('body.key', window, size)], { confirm: true, now: () => now, ...setup })
  const feed = (key: string, number = 0): void => void all.feed({ key, number })
  return { ...all, feed, pass: (milliseconds: number) => (now += milliseconds) }
}

describe('dedupe', () => {
  it('filters a message whose like was delivered within the window, and no other', () => {
    const { ledger, feed, answers, settled, pass } = setUp({ window: 1_000 })
    feed('a')
    answers.shift()?.(null)
    pass(999)
    feed('a')
    assert.deepEqual([ledger.delivered, ledger.filtered, settled.length], [1, 1, 2])
    feed('b')
    pass(1)
    feed('a')
    assert.deepEqual([ledger.waiting, answers.length], [2, 1], 'the one topic has one message with the target')
    answers.shift()?.(null)
    answers.shift()?.(null)
    assert.deepEqual([ledger.delivered, ledger.filtered, ledger.waiting], [3, 1, 0])
  })

  it('goes by the id where no key is given', () => {
    const { feed, ledger } = laneOf([step.dedupe()])
    feed(1, { id: 'a' })
    feed(2, { id: 'a' })
    feed(2, { id: 'b' })
    assert.deepEqual([ledger.delivered, ledger.filtered], [2, 1])
  })

  it('neither delivers nor acknowledges another one before the first has been delivered', () => {
    const { ledger, feed, answers, settled, target } = setUp()
    feed('a', 1)
    feed('a', 2)
    feed('a', 3)
    assert.deepEqual([target.sent.length, settled.length, ledger.waiting], [1, 0, 3])
    answers.shift()?.(null)
    assert.deepEqual([target.sent.length, settled.length, ledger.delivered, ledger.filtered], [1, 3, 1, 2])
  })

  it('tries the next where the first fails, and remembers what was delivered alone', () => {
    const { ledger, feed, answers, settled, bodies, check } = setUp()
    feed('a', 1)
    feed('a', 2)
    feed('a', 3)
    answers.shift()?.(new Error('no'))
    check()
    assert.deepEqual([settled.length, codeOf(settled[0]?.error)], [1, 'ARALDO_ERR_GIVEN_UP'])
    answers.shift()?.(null)
    check()
    assert.deepEqual(bodies(), [
      { key: 'a', number: 1 },
      { key: 'a', number: 2 },
    ])
    assert.deepEqual([ledger.delivered, ledger.dropped.failed, ledger.filtered, ledger.waiting], [1, 1, 1, 0])
  })

  it('tries the next where the first goes to the dead letters, or is filtered further on', () => {
    const dead = setUp({ withDeadLetters: true })
    dead.feed('a', 1)
    dead.feed('a', 2)
    dead.answers.shift()?.(new Error('no'))
    assert.deepEqual([dead.ledger.deadLettered, dead.target.sent.length], [1, 2])
    const { feed, ledger } = laneOf([step.dedupe('body.key'), step.when('body.pass')])
    feed({ key: 'a', pass: false })
    feed({ key: 'a', pass: true })
    feed({ key: 'a', pass: true })
    assert.deepEqual([ledger.filtered, ledger.delivered], [2, 1])
  })

  it('survives ten thousand that wait and all fail at once', () => {
    const { feed, target, ledger, check, lane } = setUp()
    feed('a')
    for (let count = 0; count < 9_999; count++) feed('a', count)
    lane.close()
    check()
    assert.deepEqual([target.sent.length, ledger.dropped.closing, ledger.waiting], [1, 10_000, 0])
    const failing = laneOf([step.dedupe('"a"'), step.map('body.no.such')])
    for (let count = 0; count < 100; count++) failing.feed({})
    assert.equal(failing.ledger.dropped.invalid, 100)
  })

  it('tries what waits one after another, however many fail at once', async () => {
    const { feed, target, answers, ledger, lane } = setUp({ delivery: { buffer: { messages: 20_000, bytes: 1e9 } } })
    for (let count = 0; count < 10_000; count++) feed('a', count)
    target.onSend = () => {
      throw new Error('no')
    }
    answers.shift()?.(new Error('no'))
    await lane.whenEmpty()
    assert.equal(ledger.dropped.failed, 10_000)
  })

  it('lets as many wait as the buffer holds', () => {
    const { feed, ledger, settled } = setUp({ delivery: { buffer: { messages: 2, bytes: 1_000 } } })
    for (const number of [1, 2, 3, 4]) feed('a', number)
    assert.deepEqual([ledger.waiting, ledger.dropped.overflow], [3, 1])
    assert.equal(codeOf(settled[0]?.error), 'ARALDO_ERR_OVERFLOW')
  })

  it('takes what is on disk for delivered, be it parts of a message', async (t) => {
    const durable = { path: temporaryFolder('journal'), bytes: 64 * 1024 * 1024 }
    const steps = [step.dedupe('body.key'), step.split('body.parts')]
    const delivery = { guarantee: 'at-least-once', overflow: 'drop-newest', durable } as const
    const { lane, ledger, feed, settled, target } = laneOf(steps, { confirm: true, delivery })
    target.saturate()
    await lane.open()
    t.after(async () => {
      lane.close()
      await lane.whenClosed()
    })
    for (const parts of [
      [1, 2],
      [3, 4],
    ])
      feed({ key: 'a', parts })
    await until(() => settled.length === 2)
    feed({ key: 'a', parts: [5] })
    assert.deepEqual([ledger.filtered, ledger.waiting, settled.length], [2, 2, 3])
    assert.deepEqual(
      settled.map(({ error }) => error),
      [null, null, null],
    )
  })

  it('fails where its key cannot be told', () => {
    const { feed, ledger } = laneOf([step.dedupe('body.key')])
    feed({})
    feed({ key: null })
    assert.equal(ledger.dropped.invalid, 2)
  })

  it('delivers each key once a window, ends every message, and keeps the ledger whole, whatever happens', () => {
    const event = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('feed'), key: fc.constantFrom('a', 'b', 'c') }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('answer'), isWell: fc.boolean(), at: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass'), time: fc.constantFrom(1, 60) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('down') }) },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        let now = 0
        const all = laneOf([step.dedupe('body', 100), step.key('body')], { confirm: true, now: () => now })
        const { feed, ledger, settled, answers, target, check } = all
        const flights: { readonly key: string; readonly answer: (isWell: boolean) => void }[] = []
        const deliveredAt = new Map<string, number>()
        target.onSend = (message, settle) => {
          const key = message.body as string
          assert.ok(!flights.some((flight) => flight.key === key), 'two of a key under way')
          assert.ok(now - (deliveredAt.get(key) ?? -Infinity) >= 100, 'delivered twice within the window')
          flights.push({ key, answer: (isWell) => settle?.(isWell ? null : new Error('no')) })
        }
        let fed = 0
        for (const each of events) {
          if (each.kind === 'feed') {
            fed++
            feed(each.key)
          } else if (each.kind === 'pass') now += each.time
          else if (each.kind === 'answer' && flights.length > 0) {
            const [flight] = flights.splice(each.at % flights.length, 1)
            if (each.isWell) deliveredAt.set(flight?.key as string, now)
            flight?.answer(each.isWell)
          }
          check()
        }
        while (flights.length > 0) {
          const flight = flights.shift()
          deliveredAt.set(flight?.key as string, now)
          flight?.answer(true)
          check()
        }
        assert.equal(answers.length, 0)
        assert.deepEqual([settled.length, ledger.waiting], [fed, 0])
      }),
    )
  })
})

describe('keys that were seen lately', () => {
  it('are those of the window, and the newest of them', () => {
    const operation = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), pass: fc.nat(40) })
    fc.assert(
      fc.property(fc.array(operation), fc.integer({ min: 1, max: 3 }), (operations, size) => {
        let now = 0
        const recent = new Recent({ window: 100, size }, () => now)
        let reference: { key: string; at: number }[] = []
        for (const { key, pass } of operations) {
          now += pass
          recent.add(key)
          reference = [...reference.filter((each) => each.key !== key), { key, at: now }].slice(-size)
          for (const each of ['a', 'b', 'c', 'd']) {
            const isKnown = reference.some(({ key: known, at }) => known === each && now - at < 100)
            assert.equal(recent.has(each), isKnown)
          }
          assert.ok(recent.size <= size)
        }
      }),
    )
  })
})
