/** What must be so after each step, when all is well again, and at the end. */
import assert from 'node:assert/strict'
import type { Lane } from '../../lib/delivery/lane.ts'
import { settleDown } from './clock.ts'
import type { Fed, ReferenceLane } from './reference.ts'
import type { World } from './world.ts'

/** Long enough for whatever is to be tried again (milliseconds). */
const LONGEST_DELAY = 31_000

export function check(world: World): void {
  world.rest()
  world.lanes.forEach((lanes, at) => {
    const route = world.router.routes.get(`s${at}`) ?? assert.fail()
    lanes.forEach((lane, place) => checkLane(world, route.lanes[place] as Lane, lane))
    const isPaused = world.sources[at]?.asked.at(-1) === 'suspend'
    assert.equal(
      isPaused,
      lanes.some(({ holds }) => holds),
      'the source is paused, or is not',
    )
  })
  world.targets.forEach(({ state, ready }, at) => {
    assert.equal(ready, state === 'up' && world.isFull[at] === false, 'a target is ready, or is not')
  })
  for (const fed of world.fed) checkSettled(world, fed)
}

function checkLane(world: World, { ledger, messages, bytes, retries }: Lane, lane: ReferenceLane): void {
  const { received, delivered, filtered, dropped, deadLettered, waiting } = ledger.snapshot()
  const counts = { received, retries, delivered, filtered, 'dead-lettered': deadLettered, ...dropped }
  assert.deepEqual(counts, lane.counts)
  assert.equal(received, delivered + filtered + deadLettered + ledger.droppedTotal + waiting, 'the ledger')
  assert.deepEqual([waiting, messages], [lane.items.length, lane.items.length])
  assert.equal(bytes, lane.bytes)
  assert.ok(messages <= lane.setup.messages, 'more messages than it may hold')
  assert.ok(bytes <= lane.setup.bytes || messages === 1, 'more bytes than it may hold')
  lane.checkNothingIdles(world.isReady(lane.setup.to), world.isReady(world.dead))
}

function checkSettled({ lanes: all }: World, { source, arrived, ends, settles, settled }: Fed): void {
  const lanes = all[source] ?? assert.fail()
  assert.equal(arrived.size, lanes.length)
  const isOver = lanes.every((lane) => lane.setup.optional || ends.has(lane))
  assert.equal(settled.length, settles && isOver ? 1 : 0, `settled ${settled.length} times`)
}

/** Everything is well again, and has time: all that was taken comes to its end. */
export async function heal(world: World): Promise<void> {
  world.hook = undefined
  world.behaves.fill('take')
  world.isDown.fill(false)
  for (let rounds = 0; rounds < 4; rounds++) {
    world.targets.forEach((_target, at) => world.saturate(at, false))
    for (const flight of [...world.flights]) world.answer(flight, 'confirm')
    await settleDown()
    await world.pass(LONGEST_DELAY)
  }
  check(world)
  for (const lane of world.lanes.flat()) assert.deepEqual(lane.items, [], 'not delivered')
  for (const { settles, settled } of world.fed) assert.equal(settled.length, settles ? 1 : 0)
}

/** Nothing is left of the lanes: no listeners, no timers. */
export async function end(world: World): Promise<void> {
  if (!world.isClosed) world.close()
  check(world)
  for (const target of world.targets) assert.equal(target.listeners, 0, 'a lane that has ended listens')
  await Promise.all([...world.sources, ...world.targets].map((endpoint) => endpoint.stop()))
  assert.equal(world.clock.timers, 0, 'timers are left')
}
