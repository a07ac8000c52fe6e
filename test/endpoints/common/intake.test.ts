/** Order per key, whatever the lanes give back. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { InHand, Intake } from '../../../lib/endpoints/common/intake.ts'
import { errors } from '../../../lib/errors.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message } from '../../../lib/message.ts'
import type { Settle } from '../../../lib/types.ts'

const forNow = new errors.SEND_FAILED('test', 'for now')
const forGood = new errors.TOO_LARGE('test', 1, 2)

interface Given {
  readonly item: InHand
  readonly settle: Settle
}

/** A source with an intake, and lanes that take what they are given. */
class World {
  readonly given: Given[] = []
  /** Neither settled nor the peer's again. */
  readonly held = new Set<InHand>()
  readonly released: InHand[] = []
  readonly settled: [InHand, Error | null][] = []
  mayGive = true
  retries = true
  readonly #items = new Map<Message, InHand>()
  readonly intake = new Intake<InHand>({
    mayGive: () => this.mayGive,
    give: (message, settle) => void this.given.push({ item: this.#items.get(message) as InHand, settle }),
    onSettled: (item, error) => {
      item.message = undefined
      this.held.delete(item)
      this.settled.push([item, error])
    },
    onRejected: () => this.retries,
    onReleased: (item) => {
      this.held.delete(item)
      this.released.push(item)
    },
  })

  push(key: string | undefined): InHand {
    const message = new Message({ source: 'test', marshaller: raw, payload: Buffer.from('1'), key })
    const item = new InHand(message)
    this.#items.set(message, item)
    this.held.add(item)
    this.intake.push(item)
    return item
  }

  /** What the lanes have. */
  get open(): Given[] {
    return this.given.filter(({ item }) => item.message !== undefined)
  }
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

test('what has a key never overtakes one of it that was given back before', (t) => {
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
      const here = new World()
      const { given, intake, held } = here
      /** By key, the numbers of those that were given back and are not handed in again. */
      const back = new Map<string, Set<number>>()
      let seen = 0
      const look = (): void => {
        for (const { item } of given.slice(seen)) {
          seen++
          if (item.key === undefined) continue
          const waiting = back.get(item.key) ?? new Set()
          if (item.rejections === 0) assert.equal(waiting.size, 0, `${item.number} overtakes ${[...waiting].join()}`)
          waiting.delete(item.number)
        }
      }
      const done = new Set<Given>()
      for (const step of run) {
        look()
        const pending = here.open.filter((each) => !done.has(each))
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
          const { key, number } = each.item
          if ('reject' in step && key !== undefined) back.set(key, (back.get(key) ?? new Set()).add(number))
          each.settle('reject' in step ? forNow : null)
          // No later word counts.
          each.settle(null)
        }
      }
      // All of it comes to an end.
      here.mayGive = true
      intake.resume()
      for (let round = 0; round < 2_000 && held.size > 0; round++) {
        pass(31_000)
        for (const each of here.open.filter((one) => !done.has(one))) {
          done.add(each)
          each.settle(null)
        }
      }
      assert.equal(held.size, 0)
    }),
    { numRuns: 300 },
  )
})

test('what is closed gives back all but what the lanes have', (t) => {
  const pass = mockTime(t)
  const here = new World()
  const [first, second, third] = [here.push('a'), here.push('a'), here.push(undefined)]
  for (const { settle } of [...here.given]) settle(forNow)
  const [behind] = [here.push('a')]
  here.mayGive = false
  const waiting = here.push('b')
  here.intake.close()
  assert.deepEqual(new Set(here.released), new Set([first, second, third, behind, waiting]))
  pass(60_000)
  assert.equal(here.given.length, 3)
  assert.equal(first?.rejections, 1)
  const late = here.push('c')
  assert.equal(here.released.at(-1), late)
})

test('what the lanes have when it is closed can still be settled; rejected for now, it is given back', () => {
  const here = new World()
  const [one, other] = [here.push('a'), here.push('b')]
  here.intake.close()
  here.given[0]?.settle(null)
  here.given[1]?.settle(forNow)
  assert.deepEqual([here.settled, here.released], [[[one, null]], [other]])
})

test('what is rejected for good is settled with the reason, and the next of its key goes on', () => {
  const here = new World()
  const [one] = [here.push('a'), here.push('a')]
  here.given[0]?.settle(forGood)
  assert.deepEqual(here.settled, [[one, forGood]])
  assert.equal(here.given.length, 2)
})

test('what its source does not want handed in again is forgotten', (t) => {
  const pass = mockTime(t)
  const here = new World()
  here.retries = false
  here.push('a')
  here.given[0]?.settle(forNow)
  here.push('a')
  pass(60_000)
  assert.equal(here.given.length, 2)
})
