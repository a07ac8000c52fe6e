import assert from 'node:assert/strict'
import { describe, it, mock, type TestContext } from 'node:test'
import { laneOf, type Setup, step } from './support.ts'

const START = 1_000_000

function setUp(t: Pick<TestContext, 'after'>, setup: Setup = {}, deadLetter = false) {
  mock.timers.reset()
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: START })
  t.after(() => mock.timers.reset())
  return laneOf([step.expire(1_000, deadLetter)], setup)
}

describe('expire', () => {
  it('drops what is too old when it comes, and the source is to forget it', (t) => {
    const { feed, bodies, ledger, settled, outcomes } = setUp(t)
    feed('young', { time: START - 1_000 })
    feed('old', { time: START - 1_001 })
    assert.deepEqual([bodies(), ledger.dropped.expired, outcomes], [['young'], 1, ['delivered', 'expired']])
    assert.deepEqual(
      settled.map(({ error }) => error),
      [null, null],
    )
  })

  it('drops what has become too old when its turn comes', (t) => {
    const { feed, answers, bodies, ledger, settled } = setUp(t, { confirm: true })
    feed(1)
    feed(2)
    mock.timers.setTime(START + 1_001)
    answers[0]?.(null)
    assert.deepEqual([bodies(), ledger.delivered, ledger.dropped.expired, ledger.waiting], [[1], 1, 1, 0])
    assert.equal(settled[1]?.error, null)
  })

  it('drops what becomes too old while its target takes nothing, so that a paused source goes on', (t) => {
    const { feed, target, source, ledger, settled, check } = setUp(t, {
      source: { pause: true, ack: true, replay: true },
      delivery: { overflow: 'block', buffer: { messages: 4, bytes: 1_000 } },
    })
    target.saturate()
    for (const time of [START, START + 300, START + 600]) feed('x', { time })
    assert.deepEqual(source.asked, ['suspend'])
    mock.timers.tick(1_001)
    check()
    assert.deepEqual([ledger.dropped.expired, ledger.waiting, source.asked], [1, 2, ['suspend', 'resume']])
    mock.timers.tick(600)
    assert.deepEqual([ledger.dropped.expired, ledger.waiting, settled.length], [3, 0, 3])
  })

  it('has what is too old go to the dead letters where it is told to, and only there', (t) => {
    for (const deadLetter of [true, false]) {
      const { feed, answers, dead, ledger } = setUp(t, { confirm: true, withDeadLetters: true }, deadLetter)
      feed('old', { time: START - 5_000 })
      feed('young')
      feed('younger')
      mock.timers.setTime(START + 2_000)
      answers[0]?.(null)
      assert.deepEqual([ledger.deadLettered, ledger.dropped.expired], deadLetter ? [2, 0] : [0, 2])
      for (const { headers } of dead.sent) assert.equal(headers['araldo-error-code'], 'ARALDO_ERR_EXPIRED')
      mock.timers.setTime(START)
    }
  })

  it('is no reason not to send what is sent at once', (t) => {
    const { feed, bodies, lane } = setUp(t)
    feed(1)
    assert.deepEqual([bodies(), lane.messages], [[1], 0])
  })
})
