/** Between ends that keep what they confirm nothing is lost, whichever broker is killed under load. */
import { after, before, describe, test } from 'node:test'
import { scaled } from '../faults/support/scale.ts'
import { DURABLE, type DurableBrokers, needDurable, startDurableBrokers } from './durable.ts'
import { Pairs } from './pairs.ts'

const needs = process.platform === 'linux' ? needDurable : 'fault tests read /proc: Linux only'
const SOME = scaled(100, 2_000)

describe('every pair of ends that keep what they confirm loses nothing', { skip: needs }, () => {
  let brokers: DurableBrokers

  before(async () => {
    brokers = await startDurableBrokers()
  })

  for (const broker of ['redis', 'rabbitmq'] as const) {
    test(`when ${broker} is killed`, async (t) => {
      const concerned = DURABLE.flatMap((source) => DURABLE.map((target) => [source, target] as const)).filter((ends) =>
        ends.some((end) => end.broker === broker),
      )
      const pairs = await Pairs.start(t, brokers, concerned)
      await pairs.flows(SOME)
      await pairs.crash(brokers[broker])
      await pairs.flows(SOME)
      await pairs.verify(t, { isLedgerExact: true })
    })
  }

  test('when the relay is killed', async (t) => {
    const all = DURABLE.flatMap((source) => DURABLE.map((target) => [source, target] as const))
    const pairs = await Pairs.start(t, brokers, all)
    await pairs.flows(SOME)
    await pairs.crash(pairs.relay)
    await pairs.flows(SOME)
    await pairs.verify(t, { isLedgerExact: false })
  })

  after(() => undefined)
})
