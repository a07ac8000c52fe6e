/** What may happen to a relay, in any order: as fast-check makes it up, and as it is done to the world. */
import fc from 'fast-check'
import { OVERFLOWS } from '../../lib/delivery/guarantee.ts'
import { settleDown } from './clock.ts'
import { ANSWER_NAMES, BEHAVIOURS } from './ends.ts'
import type { LaneSetup } from './reference.ts'
import type { Setup, World } from './world.ts'

const TARGETS = 3
const SOURCES = 2

const target = fc.record({ confirms: fc.boolean(), otherFormat: fc.boolean(), pipelined: fc.boolean() })

const lane = fc.record({
  to: fc.nat(TARGETS - 1),
  optional: fc.boolean(),
  atLeastOnce: fc.boolean(),
  overflow: fc.constantFrom(...OVERFLOWS),
  messages: fc.integer({ min: 1, max: 8 }),
  bytes: fc.integer({ min: 20, max: 80 }),
  concurrency: fc.integer({ min: 1, max: 3 }),
  attempts: fc.constantFrom(1, 2, 3, Infinity),
  deadLetters: fc.boolean(),
  step: fc.constantFrom<LaneSetup['step'][]>('none', 'none', 'filter', 'fail', 'map'),
})

const source = fc.record({
  replays: fc.boolean(),
  lanes: fc.uniqueArray(lane, { selector: ({ to }) => to, minLength: 1, maxLength: TARGETS }),
})

export const setups: fc.Arbitrary<Setup> = fc
  .record({
    sources: fc.array(source, { minLength: SOURCES, maxLength: SOURCES }),
    // The last one is for dead letters.
    targets: fc.array(target, { minLength: TARGETS + 1, maxLength: TARGETS + 1 }),
    chance: fc.constantFrom(0.5, 0.999),
  })
  .map(({ sources, targets, chance }) => ({
    chance,
    // A target that does not confirm is handed what comes at once, whatever its format.
    targets: targets.map((each) => ({ ...each, otherFormat: each.otherFormat && each.confirms })),
    sources: sources.map(({ replays, lanes }) => ({
      replays,
      lanes: lanes.map(({ atLeastOnce, ...rest }): LaneSetup => {
        const confirms = targets[rest.to]?.confirms === true
        return { ...rest, guarantee: atLeastOnce && confirms ? 'at-least-once' : 'at-most-once' }
      }),
    })),
  }))

const at = fc.nat(TARGETS)
const feed = fc.record({
  kind: fc.constant('feed'),
  source: fc.nat(SOURCES - 1),
  key: fc.constantFrom('a', 'b', undefined, undefined),
  topic: fc.constantFrom('', 't', 'a'),
  size: fc.nat(14),
  isValid: fc.boolean(),
  settles: fc.boolean(),
})
const answer = fc.constantFrom(...ANSWER_NAMES)
const milliseconds = fc.constantFrom(1, 60, 100, 1_000, 10_000)

const operation = fc.oneof(
  { weight: 12, arbitrary: feed },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('behave'), at, as: fc.constantFrom(...BEHAVIOURS) }) },
  { weight: 7, arbitrary: fc.record({ kind: fc.constant('answer'), which: fc.nat(), as: answer }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('answer late'), which: fc.nat(), as: answer }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('break'), at }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('heal'), at }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('saturate'), at, is: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('pass'), milliseconds }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('calm'), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reload') }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('hook'), when: fc.constantFrom('send', 'settle'), feed }),
  },
)
/** What comes to an end, and how. At most one of them in a sequence, so that much comes before it. */
const end = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('nothing') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop'), at: fc.nat(TARGETS - 1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('close') }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('hook close'), when: fc.constantFrom('send', 'settle') }) },
)
type ValueOf<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never
export type Operation = ValueOf<typeof operation> | ValueOf<typeof end>

const some = fc.array(operation, { maxLength: 60, size: 'max' })
export const sequences: fc.Arbitrary<Operation[]> = fc
  .tuple(some, end, fc.array(operation, { maxLength: 12, size: 'max' }))
  .map(([before, last, after]) => (before as Operation[]).concat(last, after))

export async function perform(world: World, each: Operation): Promise<void> {
  if (each.kind === 'feed') world.feed(each.source, each)
  else if (each.kind === 'behave') world.behaves[each.at] = each.as
  else if (each.kind === 'answer') {
    const flight = world.flights[each.which % world.flights.length]
    if (flight !== undefined) world.answer(flight, each.as)
  } else if (each.kind === 'answer late') {
    const flight = world.old[each.which % world.old.length]
    if (flight !== undefined) world.answerLate(flight, each.as)
  } else if (each.kind === 'break') await world.break(each.at)
  else if (each.kind === 'heal') world.isDown[each.at] = false
  else if (each.kind === 'saturate') world.saturate(each.at, each.is)
  else if (each.kind === 'reload') world.reload()
  else if (each.kind === 'calm') {
    world.behaves[each.at] = 'take'
    world.isDown[each.at] = false
    world.saturate(each.at, false)
    await world.pass(12_000)
  } else if (each.kind === 'pass') await world.pass(each.milliseconds)
  else if (each.kind === 'stop') await world.stop(each.at)
  else if (each.kind === 'close') world.close()
  else if (each.kind === 'hook') {
    world.hook = { when: each.when, run: () => world.feed(each.feed.source, each.feed) }
  } else if (each.kind === 'hook close') world.hook = { when: each.when, run: () => world.close() }
  await settleDown()
}
