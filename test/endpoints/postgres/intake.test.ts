/** Order per key, whatever the lanes give back. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { Hands, type Held } from '../../../lib/endpoints/postgres/hands.ts'
import { Intake } from '../../../lib/endpoints/postgres/intake.ts'
import { errors } from '../../../lib/errors.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message } from '../../../lib/message.ts'
import type { Settle } from '../../../lib/types.ts'

const forNow = new errors.SEND_FAILED('test', 'for now')

interface World {
  readonly intake: Intake
  readonly hands: Hands
  readonly given: { readonly held: Held; readonly settle: Settle }[]
  readonly settled: Held[]
  readonly push: (key: string | undefined) => Held
  mayGive: boolean
}

function world(): World {
  const hands = new Hands({ messages: 1_000, bytes: 1_000_000 })
  const byMessage = new Map<Message, Held>()
  let position = 0
  const state: World = {
    hands,
    given: [],
    settled: [],
    mayGive: true,
    intake: new Intake({
      hands,
      mayGive: () => state.mayGive,
      give: (message, settle) => state.given.push({ held: byMessage.get(message) as Held, settle }),
      onSettled: (held) => {
        state.settled.push(held)
        hands.release(held)
      },
      onLetGo: () => {},
      onRejected: () => {},
    }),
    push: (key) => {
      const message = new Message({ source: 'test', marshaller: raw, payload: Buffer.from(String(position)) })
      const held: Held = { id: String(position), slot: 0, key, position: position++, message, size: 1, rejections: 0 }
      byMessage.set(message, held)
      hands.take(held)
      state.intake.push(held)
      return held
    },
  }
  return state
}

/** @returns a function that lets so many milliseconds pass. */
function mockTime(t: TestContext): (milliseconds: number) => void {
  let now = 0
  t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] })
  t.mock.method(performance, 'now', () => now)
  return (milliseconds) => {
    now += milliseconds
    t.mock.timers.tick(milliseconds)
  }
}

test('rows of a key never overtake one that was given back before they were handed in', (t) => {
  const pass = mockTime(t)
  const steps = fc.oneof(
    { weight: 4, arbitrary: fc.record({ push: fc.constantFrom('a', 'b', undefined) }) },
    { weight: 4, arbitrary: fc.record({ settle: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.record({ reject: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ pause: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ pass: fc.nat(2_000) }) },
  )
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 80 }), (run) => {
      const here = world()
      const { given, intake, hands } = here
      /** Positions of rows, by key, that were given back and are not handed in again. */
      const back = new Map<string, Set<number>>()
      let seen = 0
      const look = (): void => {
        for (const { held } of given.slice(seen)) {
          seen++
          if (held.key === undefined) continue
          const waiting = back.get(held.key) ?? new Set()
          if (held.rejections === 0) assert.equal(waiting.size, 0, `${held.position} overtakes ${[...waiting].join()}`)
          waiting.delete(held.position)
        }
      }
      const open = (): World['given'] => given.filter(({ held }) => held.message !== undefined)
      const done = new Set<World['given'][number]>()
      for (const step of run) {
        look()
        const pending = open().filter((each) => !done.has(each))
        if ('push' in step) here.push(step.push)
        else if ('pause' in step) {
          here.mayGive = !step.pause
          if (here.mayGive) intake.resume()
        } else if ('pass' in step) pass(step.pass)
        else {
          const index = 'settle' in step ? step.settle : step.reject
          const each = pending[index]
          if (each === undefined) continue
          done.add(each)
          const { key, position } = each.held
          if ('reject' in step && key !== undefined) back.set(key, (back.get(key) ?? new Set()).add(position))
          each.settle('reject' in step ? forNow : null)
          // No later word counts.
          each.settle(null)
        }
      }
      // All of it comes to an end.
      here.mayGive = true
      intake.resume()
      for (let round = 0; round < 2_000 && hands.count > 0; round++) {
        pass(31_000)
        for (const each of open().filter((one) => !done.has(one))) {
          done.add(each)
          each.settle(null)
        }
      }
      assert.equal(hands.count, 0)
      assert.equal(hands.bytes, 0)
    }),
    { numRuns: 300 },
  )
})

test('what is closed holds nothing but what the lanes have', (t) => {
  const pass = mockTime(t)
  const here = world()
  const [first] = [here.push('a'), here.push('a'), here.push(undefined)]
  for (const { settle } of [...here.given]) settle(forNow)
  here.push('a')
  here.mayGive = false
  here.push('b')
  here.intake.close()
  assert.equal(here.hands.count, 0)
  pass(60_000)
  assert.equal(here.given.length, 3)
  assert.equal(first?.rejections, 1)
})
