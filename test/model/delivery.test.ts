/** Router, lanes, outboxes, dead letters and settlement under any sequence of events, against a simple reference. */
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { check, end, heal } from './checks.ts'
import { FakeClock } from './clock.ts'
import { perform, sequences, setups } from './operations.ts'
import { World } from './world.ts'

/** `npm run test:faults` says `ARALDO_FAULTS=long`; `ARALDO_SEQUENCES` is for whoever looks for more. */
const TOTAL = Number(process.env.ARALDO_SEQUENCES ?? (process.env.ARALDO_FAULTS === 'long' ? 10_000 : 300))
/** So many in one test: none of them takes longer than other tests may. */
const AT_ONCE = 1_000

describe('a relay, whatever its sources, its targets, its dead letters and time do', () => {
  for (let first = 1; first <= TOTAL; first += AT_ONCE) {
    const last = Math.min(TOTAL, first + AT_ONCE - 1)
    it(`does what the reference says after every step of sequences ${first} to ${last}`, async (t) => {
      const clock = new FakeClock(t)
      await fc.assert(
        fc.asyncProperty(setups, sequences, async (setup, operations) => {
          clock.reset()
          const world = new World(setup, clock)
          check(world)
          for (const operation of operations) {
            await perform(world, operation)
            check(world)
          }
          await heal(world)
          await end(world)
        }),
        { numRuns: last - first + 1, includeErrorInReport: true },
      )
    })
  }
})
