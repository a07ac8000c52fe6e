import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Message } from '../../lib/message.ts'
import type { StepContext, StepFunction } from '../../lib/steps/function.ts'
import { until } from '../support/wait.ts'
import { codeOf, laneOf, type Setup, step } from './support.ts'

/** Calls of an async function, which the test ends. */
interface Held {
  readonly message: Message
  readonly context: StepContext
  resolve(result?: unknown): Promise<void>
  reject(error: unknown): Promise<void>
}

/** Lets promises come to their end. */
async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

function held(setup: Setup = {}, timeout?: number) {
  const calls: Held[] = []
  const run = (message: Message, context: StepContext): Promise<never> =>
    new Promise((resolve, reject) => {
      calls.push({
        message,
        context,
        resolve: (result) => (resolve(result as never), turn()),
        reject: (error) => (reject(error), turn()),
      })
    })
  return { ...laneOf([step.module(run, timeout)], setup), calls }
}

describe("a module's function", () => {
  it('decides what becomes of a message', () => {
    const cases: [unknown, unknown[]][] = [
      [undefined, [{ n: 1 }]],
      [true, [{ n: 1 }]],
      [false, []],
      [null, []],
      [{ body: 2 }, [2]],
      [{}, [{ n: 1 }]],
      [
        [{ body: 1 }, false, { body: 2 }, undefined],
        [1, 2, { n: 1 }],
      ],
      [[], []],
    ]
    for (const [result, expected] of cases) {
      const { bodies, feed, ledger, settled } = laneOf([step.module(() => result as never)])
      feed({ n: 1 })
      assert.deepEqual(bodies(), expected)
      assert.deepEqual([ledger.waiting, settled.length], [0, 1])
    }
  })

  it('may change the topic, the key and the headers', () => {
    const change = { topic: 'there', key: 7 as never, headers: { a: 'b', 'araldo-hops': 'evil/one' } }
    const { target, feed } = laneOf([step.module(() => change)])
    feed(1, { headers: { from: 'x' }, topic: 'here' })
    const [{ topic, key, headers } = assert.fail()] = target.sent
    assert.deepEqual(
      [topic, key, Object.entries(headers)],
      [
        'there',
        '7',
        [
          ['from', 'x'],
          ['a', 'b'],
        ],
      ],
    )
  })

  it('has a copy of its own: what it writes to harms nobody, and what it gives back counts', () => {
    const seen: unknown[] = []
    const { feed, bodies } = laneOf([
      step.module((message) => {
        const body = message.body as { total: number }
        body.total = 5
        ;(message.headers as Record<string, string>)['x'] = 'y'
        seen.push(message.id)
      }),
      step.module((message) => message),
    ])
    const given = feed({ total: 1 }, { id: 'm' })
    assert.deepEqual([bodies(), given.body, given.headers['x'], seen], [[{ total: 1 }], { total: 1 }, undefined, ['m']])
    const bytes = laneOf([step.module((message) => ({ body: message.body }))])
    bytes.feed(undefined, { payload: Buffer.from('{"a":1}'), body: undefined })
    assert.deepEqual(bytes.bodies(), [{ a: 1 }])
  })

  it('makes parts with ids that are the same each time, counted and settled like those of a split', () => {
    const { feed, target, answers, settled, ledger } = laneOf([step.module(() => [{ body: 1 }, { body: 2 }])], {
      confirm: true,
    })
    feed(0, { id: 'm' })
    answers[0]?.(null)
    assert.deepEqual([ledger.received, settled.length], [2, 0])
    answers[1]?.(null)
    assert.deepEqual([target.sent.map(({ id }) => id), settled.length], [['m/0', 'm/1'], 1])
  })

  it('ends the message like an expression that failed where it throws, or gives back what is no result', () => {
    const thrower = (): never => {
      throw new Error('no')
    }
    const odd: unknown[] = [5, 'text', { bdy: 1 }, { topic: null }, { headers: 1 }, { headers: { a: {} } }, () => {}]
    odd.push({ body: () => {} }, Array.from({ length: 10_001 }))
    for (const run of [thrower, ...odd.map((result) => () => result)] as StepFunction[]) {
      const { feed, dead, ledger, settled } = laneOf([step.module(run)], { withDeadLetters: true })
      feed({ a: 1 })
      assert.equal(dead.sent[0]?.headers['araldo-error-code'], 'ARALDO_ERR_MODULE_FAILED')
      assert.deepEqual([dead.sent[0]?.body, ledger.deadLettered, settled[0]?.error], [{ a: 1 }, 1, null])
    }
    const { feed, ledger, errors } = laneOf([step.module(thrower)])
    feed(1, { id: 'm' })
    assert.equal(ledger.dropped.invalid, 1)
    assert.match(String(errors[0]), /\.\/it\.js failed for message 'm': no/)
  })

  it('is called again where its error says that it may be', async () => {
    let calls = 0
    const run: StepFunction = async () => {
      if (++calls < 3) throw Object.assign(new Error('not yet'), { retryable: true })
    }
    const retry = { attempts: Infinity, minDelay: 1, maxDelay: 1 }
    const { feed, lane, ledger } = laneOf([step.module(run)], { delivery: { retry } })
    feed(1)
    await until(() => lane.messages === 0)
    assert.deepEqual([calls, lane.retries, ledger.delivered], [3, 2, 1])
    const tired = laneOf([step.module(() => Promise.reject(Object.assign(new Error('no'), { retryable: true })))])
    tired.feed(1)
    await turn()
    assert.equal(tired.ledger.dropped.failed, 1)
    assert.equal(codeOf(tired.settled[0]?.error), 'ARALDO_ERR_GIVEN_UP')
  })

  it('is called for one message of a key at a time, and for those of other keys meanwhile', async () => {
    const { feed, calls, bodies, lane, ledger } = held()
    for (const body of ['a1', 'a2', 'b1']) feed(body, { key: body.slice(0, 1) })
    assert.deepEqual(
      calls.map(({ message }) => message.body),
      ['a1', 'b1'],
    )
    assert.deepEqual([ledger.waiting, lane.messages], [3, 3])
    await calls[1]?.resolve()
    assert.deepEqual(bodies(), ['b1'])
    await calls[0]?.resolve()
    await calls[2]?.resolve()
    assert.deepEqual(bodies(), ['b1', 'a1', 'a2'])
  })

  it('is called so many times at once as the lane says', async () => {
    const { feed, calls } = held({ delivery: { concurrency: 2 } })
    for (const body of ['a', 'b', 'c']) feed(body, { key: body })
    assert.equal(calls.length, 2)
    await calls[0]?.resolve()
    assert.equal(calls.length, 3)
  })

  it('has a time to come to its end in, after which it is told to stop and its result is too late', async () => {
    const alive = setInterval(() => {}, 1_000)
    const { feed, calls, ledger, bodies, settled } = held({}, 5)
    feed(1)
    const { signal, target } = (calls[0] as Held).context
    assert.deepEqual([signal.aborted, target], [false, 'out'])
    await until(() => ledger.waiting === 0)
    clearInterval(alive)
    assert.deepEqual(
      [signal.aborted, ledger.dropped.failed, codeOf(settled[0]?.error)],
      [true, 1, 'ARALDO_ERR_GIVEN_UP'],
    )
    await calls[0]?.resolve({ body: 'late' })
    assert.deepEqual(bodies(), [])
  })

  it('is told to stop at the end, and what it was called for is dropped', async () => {
    const { feed, calls, lane, ledger, settled, check } = held()
    feed(1)
    const { signal } = (calls[0] as Held).context
    lane.close()
    check()
    assert.deepEqual(
      [signal.aborted, ledger.dropped.closing, codeOf(settled[0]?.error)],
      [true, 1, 'ARALDO_ERR_CLOSING'],
    )
    await calls[0]?.resolve()
    assert.equal((calls[0] as Held).context.signal.aborted, true)
    feed(2)
    assert.deepEqual([ledger.dropped.closing, calls.length], [2, 1])
  })

  it('is waited for by an orderly end', async () => {
    const { feed, calls, lane, ledger } = held()
    feed(1)
    let isEmpty = false
    const empty = lane.whenEmpty().then(() => (isEmpty = true))
    await turn()
    assert.equal(isEmpty, false)
    await calls[0]?.resolve()
    await empty
    assert.equal(ledger.delivered, 1)
  })

  it('is not called while the outbox is nearly full, and pauses the source when its own queue is', () => {
    let calls = 0
    const { feed, target, source, ledger, lane } = laneOf([step.module(() => void calls++)], {
      source: { pause: true, ack: true, replay: true },
      delivery: { overflow: 'block', buffer: { messages: 4, bytes: 1_000 } },
    })
    target.saturate()
    for (let number = 0; number < 6; number++) feed(number)
    assert.deepEqual([calls, lane.messages, source.asked], [3, 6, ['suspend']])
    feed(6)
    feed(7)
    assert.deepEqual([ledger.dropped.overflow, lane.messages], [1, 7])
    target.saturate(false)
    assert.deepEqual([ledger.delivered, ledger.waiting, source.asked], [7, 0, ['suspend', 'resume']])
  })

  it('may be any thenable, and may answer more than once', async () => {
    const thenable = { then: (done: (value: unknown) => void) => (done({ body: 1 }), done({ body: 2 })) }
    const { feed, bodies, ledger } = laneOf([step.module(() => thenable as never)])
    feed(0)
    await turn()
    assert.deepEqual([bodies(), ledger.waiting], [[1], 0])
  })

  it('keeps the order of each key and ends every message, whatever it does', async () => {
    const behaviour = fc.constantFrom('now', 'later', 'throw', 'reject', 'parts', 'filter')
    const message = fc.record({ key: fc.constantFrom('a', 'b'), as: behaviour })
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 30 }), async (messages) => {
        const run: StepFunction = ({ body }) => {
          const { as, number } = body as { as: string; number: number }
          if (as === 'throw') throw new Error('no')
          if (as === 'reject') return Promise.reject(new Error('no'))
          if (as === 'later') return turn().then(() => undefined)
          if (as === 'parts') return [{ body: { number } }, { body: { number: number + 0.5 } }]
          return as !== 'filter'
        }
        const { feed, target, lane, ledger, settled, check } = laneOf([step.module(run), step.dedupe()])
        for (const [number, { key, as }] of messages.entries()) feed({ as, number }, { key })
        await lane.whenEmpty()
        check()
        assert.equal(settled.length, messages.length)
        assert.equal(ledger.waiting, 0)
        for (const key of ['a', 'b']) {
          const numbers = target.sent
            .filter((each) => each.key === key)
            .map(({ body }) => (body as { number: number }).number)
          assert.deepEqual(
            numbers,
            numbers.toSorted((one, other) => one - other),
          )
        }
      }),
      { numRuns: 50 },
    )
  })
})
