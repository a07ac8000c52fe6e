/** Between ends that keep what they confirm nothing is lost when the relay between them is killed under load. */
import { before, describe, test } from 'node:test'
import { scaled } from '../faults/support/scale.ts'
import { type DurableBrokers, needDurable, pairsOf, startDurableBrokers } from './durable.ts'
import { Pairs } from './pairs.ts'

const SOME = scaled(60, 2_000)

describe('every pair of ends that keep what they confirm loses nothing', { skip: needDurable }, () => {
  let brokers: DurableBrokers

  before(async () => {
    brokers = await startDurableBrokers()
  })

  // All of them in one relay would be more than two cores have time for.
  for (const what of ['brokers', 'others'] as const) {
    test(`when the relay is killed: ${what}`, async (t) => {
      const pairs = await Pairs.start(t, brokers, pairsOf(what))
      await pairs.flows(SOME)
      await pairs.crash(pairs.relay)
      await pairs.flows(SOME)
      await pairs.verify(t, { isLedgerExact: false })
    })
  }
})
