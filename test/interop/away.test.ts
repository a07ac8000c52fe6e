/** Nothing is lost either when Mosquitto ends under load, in order, or the receivers of webhooks are not there. */
import { before, describe, test } from 'node:test'
import { scaled } from '../faults/support/scale.ts'
import { type DurableBrokers, needDurable, pairsAt, startDurableBrokers } from './durable.ts'
import { Pairs } from './pairs.ts'

const SOME = scaled(60, 2_000)

describe('every pair of ends that keep what they confirm loses nothing', { skip: needDurable }, () => {
  let brokers: DurableBrokers

  before(async () => {
    brokers = await startDurableBrokers()
  })

  for (const broker of ['mosquitto', 'web'] as const) {
    test(`when ${broker} is away`, async (t) => {
      const pairs = await Pairs.start(t, brokers, pairsAt(broker))
      await pairs.flows(SOME)
      await pairs.crash(brokers[broker])
      await pairs.flows(SOME)
      await pairs.verify(t, { isLedgerExact: true })
    })
  }
})
