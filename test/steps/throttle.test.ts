import assert from 'node:assert/strict'
import { describe, it, mock, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { StepConfig, ThrottleConfig } from '../../lib/config/steps.ts'
import { Rates } from '../../lib/steps/rate.ts'
import { cel, laneOf, type Setup } from './support.ts'

function throttle(change: Partial<ThrottleConfig> = {}): StepConfig {
  return { name: 'throttle', rate: 10, per: 1_000, burst: 1, by: undefined, excess: 'wait', ...change }
}

/** A lane whose time the test lets pass; `times` has when each message was sent. */
function setUp(t: Pick<TestContext, 'after'>, change: Partial<ThrottleConfig> = {}, setup: Setup = {}) {
  mock.timers.reset()
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
  let now = 0
  const all = laneOf([throttle(change)], { now: () => now, ...setup })
  const times: number[] = []
  all.target.onSend = () => void times.push(now)
  const pass = (milliseconds: number): void => {
    for (let left = milliseconds; left > 0; left--) {
      now++
      mock.timers.tick(1)
    }
    all.check()
  }
  return { ...all, times, pass }
}

describe('throttle', () => {
  it('lets messages go at its rate; those that are too many wait, in order', (t) => {
    const { feed, times, pass, bodies, ledger } = setUp(t)
    for (let number = 0; number < 5; number++) feed(number)
    assert.deepEqual([times.length, ledger.waiting], [1, 4])
    pass(500)
    assert.deepEqual(times, [0, 100, 200, 300, 400])
    assert.deepEqual(bodies(), [0, 1, 2, 3, 4])
    feed(5)
    pass(100)
    feed(6)
    assert.deepEqual(times.slice(5), [500, 600])
  })

  it('lets a burst go after a while without any', (t) => {
    const { feed, times, pass } = setUp(t, { burst: 3 })
    for (let number = 0; number < 5; number++) feed(number)
    pass(250)
    assert.deepEqual(times, [0, 0, 0, 100, 200])
    pass(10_000)
    for (let number = 0; number < 4; number++) feed(number)
    assert.deepEqual(times.slice(5), [10_250, 10_250, 10_250])
  })

  it('has a rate for each key, and lets one wait without the others', (t) => {
    const { feed, bodies, times, pass } = setUp(t, { by: cel('body', 'string') })
    for (const key of ['a', 'a', 'b', 'a', 'b']) feed(key, { key })
    assert.deepEqual(bodies(), ['a', 'b'])
    pass(250)
    assert.deepEqual(bodies(), ['a', 'b', 'a', 'b', 'a'])
    assert.deepEqual(times, [0, 0, 100, 100, 200])
  })

  it('keeps the order of the lane where a rate has another key than the order', (t) => {
    const { feed, bodies, pass } = setUp(t, { by: cel('body', 'string') })
    for (const body of ['a', 'a', 'b']) feed(body, { key: 'one' })
    assert.deepEqual(bodies(), ['a'])
    pass(100)
    assert.deepEqual(bodies(), ['a', 'a', 'b'])
  })

  it('lets none go at once after an outage that would not have gone at its rate', async (t) => {
    const { feed, times, pass, target } = setUp(t, { by: cel('"all"', 'string') })
    target.saturate()
    for (let number = 0; number < 5; number++) feed(number, { key: String(number) })
    pass(10_000)
    target.saturate(false)
    pass(350)
    assert.deepEqual(times, [10_000, 10_100, 10_200, 10_300])
  })

  it('counts each try: what is tried again waits for its time, too', (t) => {
    const { feed, times, target, pass, ledger } = setUp(
      t,
      {},
      { delivery: { retry: { attempts: 3, minDelay: 1, maxDelay: 1 } } },
    )
    const { onSend } = target
    target.onSend = (message, settle) => {
      onSend?.(message, settle)
      if (times.length < 3) throw new Error('not yet')
    }
    feed(1)
    pass(300)
    assert.deepEqual([times, ledger.delivered], [[0, 100, 200], 1])
  })

  it('pauses a source that can be paused, and loses nothing', (t) => {
    const { feed, source, pass, ledger } = setUp(
      t,
      {},
      {
        source: { pause: true },
        delivery: { overflow: 'block', buffer: { messages: 4, bytes: 1_000 } },
      },
    )
    for (let number = 0; number < 4; number++) feed(number)
    assert.deepEqual(source.asked, ['suspend'])
    pass(400)
    assert.deepEqual([source.asked, ledger.delivered, ledger.waiting], [['suspend', 'resume'], 4, 0])
  })

  it('drops the oldest that wait where the lane drops the oldest', (t) => {
    const { feed, pass, bodies, ledger } = setUp(
      t,
      {},
      { delivery: { overflow: 'drop-oldest', buffer: { messages: 2, bytes: 1_000 } } },
    )
    for (let number = 0; number < 6; number++) feed(number, { key: String(number) })
    pass(1_000)
    assert.deepEqual([bodies(), ledger.dropped.overflow], [[0, 4, 5], 3])
  })

  it('filters what is too much where it is told to drop', (t) => {
    const { feed, pass, bodies, ledger } = setUp(t, { excess: 'drop', burst: 2 })
    for (let number = 0; number < 4; number++) feed(number)
    pass(100)
    feed(4)
    feed(5)
    assert.deepEqual([bodies(), ledger.filtered, ledger.waiting], [[0, 1, 4], 3, 0])
  })

  it('gives a message up whose key cannot be told', (t) => {
    for (const excess of ['wait', 'drop'] as const) {
      const { feed, dead, ledger } = setUp(t, { by: cel('body.key', 'string'), excess }, { withDeadLetters: true })
      feed({})
      assert.equal(dead.sent[0]?.headers['araldo-error-code'], 'ARALDO_ERR_EXPRESSION_FAILED')
      assert.deepEqual([ledger.deadLettered, ledger.waiting], [1, 0])
    }
  })

  it('drops what still waits at the end', (t) => {
    const { feed, lane, pass, times, ledger } = setUp(t, { by: cel('body', 'string') })
    for (const body of ['a', 'a', 'b']) feed(body, { key: body })
    lane.close()
    pass(1_000)
    assert.deepEqual([times.length, ledger.dropped.closing, ledger.waiting], [2, 1, 0])
  })

  it('never lets more go than its rate and burst, of any key, and lets all go in the end', (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    const event = fc.record({ key: fc.constantFrom('a', 'b', 'c'), pass: fc.nat(60), saturate: fc.boolean() })
    const settings = fc.record({
      rate: fc.integer({ min: 1, max: 40 }),
      burst: fc.integer({ min: 1, max: 4 }),
      isKeyed: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), settings, (events, { rate, burst, isKeyed }) => {
        let now = 0
        const by = isKeyed ? cel('body', 'string') : undefined
        const { feed, target, check, ledger } = laneOf([throttle({ rate, burst, by })], { now: () => now })
        const sent = new Map<string, number[]>()
        target.onSend = ({ body }) => {
          const key = isKeyed ? (body as string) : ''
          sent.set(key, [...(sent.get(key) ?? []), now])
        }
        const pass = (milliseconds: number): void => {
          for (let left = milliseconds; left > 0; left--) {
            now++
            mock.timers.tick(1)
          }
          check()
        }
        for (const { key, pass: time, saturate } of events) {
          target.saturate(saturate)
          feed(key, { key: String(events.length) })
          pass(time)
        }
        target.saturate(false)
        pass(Math.ceil((1_000 / rate) * events.length) + events.length)
        assert.deepEqual([ledger.delivered, ledger.waiting], [events.length, 0])
        for (const times of sent.values()) {
          for (let first = 0; first < times.length; first++) {
            for (let last = first; last < times.length; last++) {
              const span = (times[last] as number) - (times[first] as number)
              const allowed = burst + (span * rate) / 1_000
              assert.ok(last - first + 1 <= allowed + 1e-6, `${last - first + 1} in ${span} ms`)
            }
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('rates', () => {
  it('are forgotten when they are as good as new, and are at most ten thousand', () => {
    let now = 0
    const rates = new Rates({ rate: 1, per: 1_000, burst: 1 }, () => now)
    for (let key = 0; key < 100; key++) rates.count(String(key))
    now = 2_000
    rates.count('other')
    assert.equal(rates.size, 1)
    for (let key = 0; key < 20_000; key++) rates.count(String(key))
    assert.equal(rates.size, 10_000)
  })
})
