/** Lanes with any steps in any order, under any sequence of events, against what must hold at every moment. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { StepConfig } from '../../lib/config/steps.ts'
import { errors } from '../../lib/errors.ts'
import type { Message } from '../../lib/message.ts'
import type { Settle } from '../../lib/types.ts'
import { laneOf, step } from './support.ts'

/** Fails for one in six bodies, asks for another try once for some, answers now or later, makes several of some. */
function moody(): StepConfig {
  const seen = new Set<string>()
  return step.module((message: Message) => {
    const number = Number(message.body) || 0
    if (number % 6 === 5) throw new Error('never')
    if (number % 6 === 4 && !seen.has(message.id)) {
      seen.add(message.id)
      throw Object.assign(new Error('not yet'), { retryable: true })
    }
    const result = number % 6 === 3 ? [{ body: number }, { body: number + 1 }] : number % 6 !== 2
    return number % 2 === 0 ? result : Promise.resolve(result)
  })
}

const STEPS: Readonly<Record<string, () => StepConfig>> = {
  when: () => step.when('type(body) == list || body != 7.0'),
  dedupe: () => step.dedupe('type(body) == list ? "list" : string(body)'),
  module: moody,
  split: () => step.split('type(body) == list ? body : [body, body]', 4),
  map: () => step.map('type(body) == list ? body : body + 1.0'),
  key: () => step.key('type(body) == list ? "list" : string(body)'),
  expire: () => step.expire(1_000_000),
  throttle: () => ({ name: 'throttle', rate: 1_000_000, per: 1, burst: 1_000_000, by: undefined, excess: 'wait' }),
}

const body = fc.oneof(fc.nat(12), fc.array(fc.nat(12), { maxLength: 6 }))
const event = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('feed'), body, key: fc.constantFrom('a', 'b') }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('answer'), at: fc.nat(), as: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('saturate'), is: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break') }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turn') }) },
)
const setup = fc.record({
  names: fc.array(fc.constantFrom(...Object.keys(STEPS)), { minLength: 1, maxLength: 5 }),
  confirm: fc.boolean(),
  overflow: fc.constantFrom('block', 'drop-oldest', 'drop-newest'),
  withDeadLetters: fc.boolean(),
  isClosed: fc.boolean(),
})

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

describe('a lane with any steps', () => {
  it('ends each message once, and its ledger adds up at every moment', async () => {
    const property = fc.asyncProperty(setup, fc.array(event, { maxLength: 40 }), async (given, events) => {
      const { names, confirm, overflow, withDeadLetters, isClosed } = given
      const { lane, ledger, source, target, feed, settled, check } = laneOf(
        names.map((name) => (STEPS[name] as () => StepConfig)()),
        {
          confirm,
          withDeadLetters,
          source: { pause: true, ack: true, replay: true },
          delivery: {
            overflow,
            buffer: { messages: 6, bytes: 1_000_000 },
            concurrency: 3,
            retry: { attempts: 3, minDelay: 1, maxDelay: 1 },
          },
        },
      )
      const flights: { readonly message: Message; readonly settle: Settle }[] = []
      if (confirm) target.onSend = (message, settle) => void flights.push({ message, settle: settle as Settle })
      target.onState((state) => {
        if (state !== 'up') flights.length = 0
      })
      const fed: string[] = []
      for (const [number, each] of events.entries()) {
        if (each.kind === 'feed') fed.push(feed(each.body, { key: each.key, id: `m${number}` }).id)
        else if (each.kind === 'saturate') target.saturate(each.is)
        else if (each.kind === 'break') target.break()
        else if (each.kind === 'turn') await turn()
        else if (flights.length > 0) {
          const [flight] = flights.splice(each.at % flights.length, 1)
          flight?.settle([null, null, new Error('no'), new errors.TOO_LARGE('out', 1, 2)][each.as] as Error | null)
        }
        check()
        const ids = settled.map(({ id }) => id)
        assert.equal(new Set(ids).size, ids.length, 'settled twice')
      }
      if (isClosed) lane.close()
      else {
        target.saturate(false)
        const alive = setInterval(() => {
          target.saturate(false)
          for (const { settle } of flights.splice(0)) settle(null)
        }, 1)
        await lane.whenEmpty()
        clearInterval(alive)
      }
      check()
      assert.equal(lane.messages, 0)
      assert.deepEqual(settled.map(({ id }) => id).toSorted(), fed.toSorted())
      assert.equal(ledger.waiting, 0)
      const asks = source.asked
      assert.ok(asks.every((ask, index) => ask === (index % 2 === 0 ? 'suspend' : 'resume')))
      assert.equal(asks.length % 2, 0, 'the source is still paused')
    })
    await fc.assert(property, { numRuns: 300 })
  })
})
