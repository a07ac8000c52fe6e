/** A target that has stopped answering slows its sources, and costs its bound: of all that can be paused, to all that confirm. */
import { before, describe, test } from 'node:test'
import { scaled } from '../faults/support/scale.ts'
import { KEYS } from './feed.ts'
import { Lines } from './lines.ts'
import { type ConfirmingTarget, needPressure, type PressureBrokers, startPressureBrokers } from './pausable.ts'

/** Messages for each source: more than 100 MiB for all of them. */
const COUNT = scaled(9, 32) * KEYS

export function holdSources(targets: readonly ConfirmingTarget[]): void {
  describe('every source is slowed, and nothing is lost,', { skip: needPressure }, () => {
    let brokers: PressureBrokers

    before(async () => {
      brokers = await startPressureBrokers()
    })

    for (const target of targets) {
      test(`while nobody answers at a target of ${target.name}`, async (t) => {
        const lines = await Lines.start(t, brokers, target)
        await lines.press(t, COUNT)
      })
    }
  })
}
