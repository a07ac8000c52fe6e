import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Backoff } from '../lib/retry.ts'

describe('a backoff', () => {
  it('doubles its ceiling from 100 ms to 30 s', () => {
    const backoff = new Backoff({ random: () => 0.999_999_999 })
    const waits = Array.from({ length: 11 }, () => backoff.next() + 1)
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000])
  })

  it('begins anew after a reset', () => {
    const backoff = new Backoff({ random: () => 0.5 })
    backoff.next()
    backoff.next()
    assert.equal(backoff.attempts, 2)
    backoff.reset()
    assert.equal(backoff.attempts, 0)
    assert.equal(backoff.next(), 50)
  })

  it('spreads a crowd over the whole of its ceiling', () => {
    const waits = Array.from({ length: 2_000 }, () => new Backoff({ minDelay: 1_000 }).next())
    for (let tenth = 0; tenth < 10; tenth++) {
      const there = waits.filter((wait) => Math.floor(wait / 100) === tenth).length
      assert.ok(there > 100 && there < 320, `${there} of 2,000 wait ${tenth}00 ms or a little more`)
    }
  })

  it('never waits longer than it may, whatever it is given and however often it is asked', () => {
    const delay = fc.integer({ min: 0, max: 1e9 })
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(delay, delay, random, fc.integer({ min: 1, max: 2_000 }), (minDelay, maxDelay, value, tries) => {
        const backoff = new Backoff({ minDelay, maxDelay, random: () => value })
        let before = -1
        for (let attempt = 0; attempt < tries; attempt++) {
          const wait = backoff.next()
          assert.ok(Number.isInteger(wait) && wait >= 0 && wait <= maxDelay)
          assert.ok(attempt > 31 || wait <= minDelay * 2 ** attempt)
          assert.ok(wait >= before, 'for the same luck, a later try never waits less')
          before = wait
        }
      }),
    )
  })
})
