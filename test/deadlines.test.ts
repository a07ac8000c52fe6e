import assert from 'node:assert/strict'
import { describe, it, mock, type TestContext } from 'node:test'
import fc from 'fast-check'
import { Deadlines } from '../lib/deadlines.ts'

/** Deadlines on a clock that the test moves. */
function setUp(t: Pick<TestContext, 'after'>) {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
  let now = 0
  const due: number[] = []
  const deadlines = new Deadlines<number>(
    (item) => due.push(item),
    () => now,
  )
  const pass = (milliseconds: number): void => {
    for (let count = 0; count < milliseconds; count++) {
      now++
      mock.timers.tick(1)
    }
  }
  return { deadlines, due, pass }
}

describe('deadlines', () => {
  it('come in the order of their times, whatever the order in which they were set', (t) => {
    const { deadlines, due, pass } = setUp(t)
    for (const delay of [30, 10, 20, 10.5]) deadlines.add(delay, delay)
    pass(10)
    assert.deepEqual(due, [10])
    pass(1)
    assert.deepEqual(due, [10, 10.5])
    pass(100)
    assert.deepEqual(due, [10, 10.5, 20, 30])
    assert.equal(deadlines.size, 0)
  })

  it('may be set while one comes, and let others have their turn', async () => {
    let calls = 0
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await new Promise<void>((resolve) => {
      const deadlines: Deadlines<number> = new Deadlines(() => {
        if (++calls < 20) deadlines.add(0, 0)
        else resolve()
      })
      deadlines.add(0, 0)
    })
    clearInterval(timer)
    assert.ok(turns > 0)
  })

  it('are forgotten when they are cleared, and can be set anew', (t) => {
    const { deadlines, due, pass } = setUp(t)
    deadlines.add(1, 10)
    deadlines.add(2, 5)
    assert.deepEqual(new Set(deadlines.clear()), new Set([1, 2]))
    pass(20)
    assert.deepEqual(due, [])
    deadlines.add(3, 5)
    pass(5)
    assert.deepEqual(due, [3])
  })

  it('come all, each when it is due and not before, for any of them', (t) => {
    const steps = fc.array(
      fc.oneof(fc.record({ add: fc.nat(30) }), fc.record({ pass: fc.integer({ min: 1, max: 20 }) })),
      { maxLength: 40, size: 'max' },
    )
    fc.assert(
      fc.property(steps, (sequence) => {
        const ends: (() => void)[] = []
        const { deadlines, due, pass } = setUp({ after: (end) => void ends.push(end as () => void) })
        let now = 0
        let next = 0
        const at = new Map<number, number>()
        for (const step of sequence) {
          if ('add' in step) {
            at.set(next, now + step.add)
            deadlines.add(next++, step.add)
          } else {
            pass(step.pass)
            now += step.pass
          }
          // What was set for now comes with the next turn.
          const came = new Set(due)
          for (const [item, time] of at) {
            if (time < now) assert.ok(came.has(item), `${item} is late`)
            if (time > now) assert.ok(!came.has(item), `${item} is early`)
          }
          const times = due.map((item) => at.get(item) as number)
          assert.deepEqual(
            times,
            times.toSorted((a, b) => a - b),
          )
        }
        assert.equal(new Set(due).size, due.length)
        for (const end of ends) end()
      }),
      { numRuns: 200 },
    )
    t.diagnostic('200 sequences')
  })
})
