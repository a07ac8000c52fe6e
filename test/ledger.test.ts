import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Ledger } from '../lib/ledger.ts'
import { DROP_REASONS } from '../lib/types.ts'

describe('a ledger', () => {
  it('starts with every reason at 0', () => {
    const dropped = { down: 0, overflow: 0, invalid: 0, failed: 0, expired: 0, lost: 0, closing: 0 }
    const expected = { received: 0, delivered: 0, filtered: 0, dropped, deadLettered: 0, waiting: 0, bytes: 0 }
    assert.deepEqual(new Ledger().snapshot(), expected)
  })

  it('gives snapshots that stay as they were', () => {
    const ledger = new Ledger()
    const before = ledger.snapshot()
    ledger.received++
    ledger.dropped.down++
    assert.equal(before.received, 0)
    assert.equal(before.dropped.down, 0)
  })

  it('adds up at every moment', () => {
    const ends = fc.constantFrom('delivered' as const, 'filtered' as const, 'deadLettered' as const, ...DROP_REASONS)
    fc.assert(
      fc.property(fc.array(fc.option(ends)), (events) => {
        const ledger = new Ledger()
        let waiting = 0
        for (const end of events) {
          if (end === null || waiting === 0) {
            ledger.received++
            waiting++
          } else {
            if (end === 'delivered' || end === 'filtered' || end === 'deadLettered') ledger[end]++
            else ledger.dropped[end]++
            waiting--
          }
          const { received, delivered, filtered, dropped, deadLettered, waiting: waits } = ledger.snapshot()
          const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0)
          assert.equal(received, delivered + filtered + lost + deadLettered + waits)
          assert.equal(waits, waiting)
        }
      }),
    )
  })
})
