import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import fc from 'fast-check'
import type { LaneConfig, RouteConfig, StepConfig } from '../lib/config.ts'
import { type AraldoError, errors } from '../lib/errors.ts'
import type { Lane } from '../lib/delivery/lane.ts'
import type { Message } from '../lib/message.ts'
import { Router } from '../lib/router.ts'
import type { Settle } from '../lib/types.ts'
import { contextOf, deliveryOf, recordingLog, silentLog, TestEndpoint } from './support/core.ts'

type LaneChange = Partial<LaneConfig> & { readonly confirm?: boolean }

function stepOf(name: 'when' | 'map', evaluate: (message: Message) => unknown): StepConfig {
  return { name, expression: { text: 'given in code', usesBody: true, evaluate } }
}

/** A router of one route, from `in` to `out0`, `out1`, …, all up. */
function routeTo(...changes: LaneChange[]) {
  const source = new TestEndpoint(contextOf('in'))
  const targets = changes.map(({ confirm = false }, index) => new TestEndpoint(contextOf(`out${index}`, { confirm })))
  const endpoints = new Map([source, ...targets].map((endpoint) => [endpoint.name, endpoint]))
  const lanes = changes.map((change, index) =>
    Object.assign({ to: `out${index}`, optional: false, wiretap: false, steps: [], delivery: deliveryOf() }, change),
  )
  const { log, lines } = recordingLog()
  const router = new Router(endpoints, [{ source: 'in', lanes }], log)
  for (const endpoint of endpoints.values()) endpoint.start()
  const settled: (Error | null)[] = []
  const feed = (): void => void source.feed({ body: 1 }, (error) => void settled.push(error))
  return { source, targets, router, lines, settled, feed }
}

describe('a router', () => {
  it('hands one message to every target of the route, in their order, and to nobody else', () => {
    const a = new TestEndpoint(contextOf('a'))
    const b = new TestEndpoint(contextOf('b'))
    const c = new TestEndpoint(contextOf('c'))
    const to = (name: string): LaneConfig => ({
      to: name,
      optional: false,
      wiretap: false,
      steps: [],
      delivery: deliveryOf(),
    })
    const routes: RouteConfig[] = [
      { source: 'a', lanes: [to('b'), to('c'), to('a')] },
      { source: 'b', lanes: [to('c')] },
    ]
    const router = new Router(new Map([a, b, c].map((each) => [each.name, each])), routes, silentLog)
    for (const endpoint of [a, b, c]) endpoint.start()
    const order: string[] = []
    for (const endpoint of [a, b, c]) endpoint.onSend = () => void order.push(endpoint.name)
    const message = a.feed({ body: 1 })
    b.feed({ body: 2 })
    c.feed({ body: 3 })
    assert.deepEqual(order, ['b', 'c', 'a', 'c'])
    assert.equal(b.sent[0], message)
    assert.deepEqual([...router.routes.keys()], ['a', 'b'])
    assert.deepEqual(
      [...router.lanes()].map((lane) => lane.ledger.delivered),
      [1, 1, 1, 1],
    )
  })

  it('settles the source when the last required lane has come to its end', () => {
    const { targets, router, settled, feed } = routeTo({ confirm: true }, {}, { confirm: true })
    const confirmations: Settle[] = []
    for (const target of targets) target.onSend = (_message, settle) => void (settle && confirmations.push(settle))
    feed()
    assert.equal(router.messages, 2)
    confirmations[1]?.(null)
    assert.deepEqual(settled, [])
    confirmations[0]?.(null)
    assert.deepEqual(settled, [null])
    assert.equal(router.messages, 0)
  })

  it('never lets an optional lane hold the source back, or spoil its message', () => {
    const { targets, settled, feed } = routeTo({ optional: true }, {}, { optional: true, confirm: true })
    ;(targets[0] as TestEndpoint).onSend = () => {
      throw new Error('optional')
    }
    feed()
    assert.deepEqual(settled, [null])
  })

  it('settles at once where every lane is optional', () => {
    const { settled, feed } = routeTo({ optional: true, confirm: true })
    feed()
    assert.deepEqual(settled, [null])
  })

  it('says what failed where, keeps the cause, and calls it permanent only if all of it is', async () => {
    const { targets, settled, feed } = routeTo({}, {}, {})
    const [first, , last] = targets as [TestEndpoint, TestEndpoint, TestEndpoint]
    const tooLarge = new errors.TOO_LARGE('out0', 1, 2)
    first.onSend = () => {
      throw tooLarge
    }
    feed()
    await last.stop()
    feed()
    const [permanent, passing] = settled as [AraldoError, AraldoError]
    assert.equal(permanent.code, 'ARALDO_ERR_UNDELIVERABLE')
    assert.equal(permanent.retryable, false)
    assert.equal(permanent.cause, tooLarge)
    assert.match(permanent.message, /target of 'in': endpoint 'out0' takes at most/)
    assert.equal(passing.code, 'ARALDO_ERR_UNDELIVERED')
    assert.equal(passing.retryable, true)
    assert.ok(passing.cause instanceof AggregateError)
    assert.match(passing.message, /takes at most .*; the relay is shutting down/)
  })

  it('outlives a source whose settle throws', () => {
    const { source, lines, targets } = routeTo({}, {})
    source.feed({ body: 1 }, () => {
      throw new Error('cannot settle')
    })
    assert.equal(targets[1]?.sent.length, 1)
    assert.ok(lines.some((line) => line.msg === 'a source failed to settle a message'))
  })
})

describe('a source that is fed while it feeds', () => {
  const bodies = ({ sent }: TestEndpoint): unknown[] => sent.map(({ body }) => body)

  it('has what a target answers with handed on after what it answers to, to every lane', () => {
    const { source, targets } = routeTo({}, {})
    const [answering, listening] = targets as [TestEndpoint, TestEndpoint]
    answering.onSend = ({ body }) => {
      if (body === 'question') for (const answer of ['one', 'two']) source.feed({ body: answer })
    }
    source.feed({ body: 'question' })
    source.feed({ body: 'next' })
    assert.deepEqual(bodies(listening), ['question', 'one', 'two', 'next'])
    assert.deepEqual(bodies(answering), ['question', 'one', 'two', 'next'])
  })

  it('hears of a message when every lane has it, so that what it sends then comes after it', () => {
    const { source, targets } = routeTo({}, { optional: true })
    source.feed({ body: 1 }, () => source.feed({ body: 2 }))
    assert.deepEqual(targets.map(bodies), [
      [1, 2],
      [1, 2],
    ])
  })

  it('comes to an end though a target answers everything: too much of that is dropped and counted', () => {
    const { source, targets, router, settled, lines } = routeTo({ optional: true }, {})
    const [echo] = targets as [TestEndpoint]
    echo.onSend = () => void source.feed({ body: 1 }, (error) => void settled.push(error))
    source.feed({ body: 1 })
    assert.equal(echo.sent.length, 10_001)
    for (const { ledger } of router.lanes()) {
      assert.deepEqual([ledger.received, ledger.dropped.overflow, ledger.waiting], [10_002, 1, 0])
    }
    assert.equal(settled.length, 10_001)
    const failed = settled.filter((error) => error !== null) as AraldoError[]
    assert.deepEqual(
      failed.map(({ cause, retryable }) => [(cause as AraldoError).code, retryable]),
      [['ARALDO_ERR_FEEDBACK', false]],
    )
    assert.ok(lines.some((line) => /answer one message with 10000 others/.test(String(line.why))))
    echo.onSend = undefined
    source.feed({ body: 2 })
    assert.equal(echo.sent.at(-1)?.body, 2)
  })
})

describe('watching a router', () => {
  it('shows every end of a message in a lane, to everyone who watches, until they look away', () => {
    const { router, feed } = routeTo({}, { steps: [stepOf('when', () => false)] })
    const seen: string[] = []
    const unwatch = router.watch((lane, _message, outcome) => seen.push(`1:${lane.target.name}:${outcome}`))
    router.watch((lane, _message, outcome) => seen.push(`2:${lane.target.name}:${outcome}`))
    feed()
    unwatch()
    unwatch()
    feed()
    const all = ['1:out0:delivered', '2:out0:delivered', '1:out1:filtered', '2:out1:filtered']
    assert.deepEqual(seen, [...all, '2:out0:delivered', '2:out1:filtered'])
  })

  it('costs nothing while nobody does', () => {
    const { router } = routeTo({})
    const [lane] = router.lanes()
    router.watch(() => {})()
    assert.equal(lane?.trace, undefined)
  })

  it('harms nobody when it throws: it is ended, and the others go on', () => {
    const { router, lines, settled, feed } = routeTo({}, {})
    let calls = 0
    let others = 0
    router.watch(() => {
      calls++
      throw new Error('a bad console')
    })
    router.watch(() => others++)
    feed()
    feed()
    assert.equal(calls, 1)
    assert.equal(others, 4)
    assert.deepEqual(settled, [null, null])
    assert.ok(lines.some((line) => line.msg === 'a trace failed and is ended'))
  })
})

describe('the log of dropped messages', () => {
  it('names the first of a lane at once, and the rest once a second', (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    const { targets, lines, feed } = routeTo({}, {})
    refuse(targets[0])
    const drops = (): unknown[] => lines.filter((line) => line.level === 40 && line.msg !== 'down')
    for (let count = 0; count < 5; count++) feed()
    assert.equal(drops().length, 1)
    assert.deepEqual(pick(drops()[0], 'source', 'target', 'reason', 'why'), [
      'in',
      'out0',
      'invalid',
      "endpoint 'out0' takes at most 1 bytes a message, this one has 2",
    ])
    mock.timers.tick(1_000)
    assert.equal(drops().length, 2)
    assert.deepEqual(pick(drops()[1], 'target', 'count'), ['out0', 4])
    mock.timers.tick(1_000)
    feed()
    assert.equal(drops().length, 3)
  })

  it('sets no timer any more when the router is closed', (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    const { targets, router, feed } = routeTo({})
    refuse(targets[0])
    router.close()
    const timers = t.mock.method(globalThis, 'setTimeout')
    for (let count = 0; count < 5; count++) feed()
    assert.equal(timers.mock.callCount(), 0)
  })

  function refuse(target: TestEndpoint | undefined): void {
    assert.ok(target)
    target.onSend = () => {
      throw new errors.TOO_LARGE(target.name, 1, 2)
    }
  }

  function pick(line: unknown, ...fields: string[]): unknown[] {
    return fields.map((field) => (line as Record<string, unknown>)[field])
  }
})

describe('any routes, any messages, and endpoints that do anything', () => {
  const SIZE = 4
  const names = Array.from({ length: SIZE }, (_, index) => `e${index}`)
  const name = fc.integer({ min: 0, max: SIZE - 1 })
  const laneSpec = fc.record({
    to: name,
    optional: fc.boolean(),
    step: fc.constantFrom('none', 'filter', 'throw', 'map', 'read'),
  })
  const routes = fc.uniqueArray(
    fc.record({ source: name, lanes: fc.array(laneSpec, { minLength: 1, maxLength: 4 }) }),
    {
      selector: (route) => route.source,
      minLength: 1,
    },
  )
  const behaviour = fc.constantFrom('take', 'throw', 'throw permanently', 'confirm late', 'fail late', 'answer twice')
  const incoming = fc.record({ kind: fc.constant('message'), at: name, valid: fc.boolean(), settles: fc.boolean() })
  const event = fc.oneof(
    { weight: 6, arbitrary: incoming },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('behave'), at: name, as: behaviour }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('answer'), at: fc.nat() }) },
  )
  const confirms = fc.array(fc.boolean(), { minLength: SIZE, maxLength: SIZE })
  type Behaviour = typeof behaviour extends fc.Arbitrary<infer Value> ? Value : never
  type LaneSpec = typeof laneSpec extends fc.Arbitrary<infer Value> ? Value : never

  /** How a message must end in a lane, judged from this lane and its target alone. */
  type End = 'delivered' | 'filtered' | 'invalid' | 'failed' | 'later'

  function expectedEnd({ step }: LaneSpec, valid: boolean, as: Behaviour, confirming: boolean): End {
    if (step === 'filter') return 'filtered'
    if (step === 'throw' || (step === 'read' && !valid)) return 'invalid'
    if (as === 'throw') return 'failed'
    if (as === 'throw permanently') return 'invalid'
    return confirming && as !== 'take' && as !== 'answer twice' ? 'later' : 'delivered'
  }

  function configOf({ to, optional, step }: LaneSpec): LaneConfig {
    const fail = (): never => {
      throw new Error('step')
    }
    const steps: Record<LaneSpec['step'], StepConfig[]> = {
      none: [],
      filter: [stepOf('when', () => false)],
      throw: [stepOf('when', fail)],
      map: [stepOf('map', () => 1)],
      read: [stepOf('when', ({ body }) => body === 1)],
    }
    return { to: names[to] as string, optional, wiretap: false, steps: steps[step], delivery: deliveryOf() }
  }

  it('leave every ledger exact after every step, every lane to itself, and settle each message exactly once', () => {
    fc.assert(
      fc.property(routes, confirms, fc.array(event, { maxLength: 60, size: 'max' }), (specs, confirming, events) => {
        const endpoints = names.map(
          (each, at) => new TestEndpoint(contextOf(each, { confirm: confirming[at] === true })),
        )
        const configs = specs.map(({ source, lanes }) => ({
          source: names[source] as string,
          lanes: lanes.map(configOf),
        }))
        const router = new Router(new Map(endpoints.map((each) => [each.name, each])), configs, silentLog)
        const behaviours: Behaviour[] = names.map(() => 'take')
        const answers: (() => void)[] = []
        let keys = 0
        endpoints.forEach((endpoint, at) => {
          endpoint.start()
          endpoint.onSend = (_message, settle) => {
            const as = behaviours[at]
            if (as === 'throw') throw new Error('refused')
            if (as === 'throw permanently') throw new errors.TOO_LARGE(endpoint.name, 1, 2)
            if (settle === undefined) return
            if (as === 'confirm late') answers.push(() => settle(null))
            else if (as === 'fail late') answers.push(() => settle(new Error('late')))
            else settle(null)
            if (as === 'answer twice') settle(new Error('twice'))
          }
        })
        // The model: what each lane must have counted, and what each message is still waiting for.
        const expected = new Map<Lane, Record<string, number>>()
        for (const lane of router.lanes()) expected.set(lane, {})
        const add = (lane: Lane, end: string, by = 1): void => {
          const counts = expected.get(lane) as Record<string, number>
          counts[end] = (counts[end] ?? 0) + by
        }
        const open: { waits: number; failed: boolean; settled: number }[] = []
        const pending: { lane: Lane; fails: boolean; message: (typeof open)[number]; required: boolean }[] = []

        for (const each of events) {
          if (each.kind === 'behave') behaviours[each.at] = each.as
          else if (each.kind === 'answer') {
            if (answers.length === 0) continue
            const at = each.at % answers.length
            const [answer] = answers.splice(at, 1)
            const [late] = pending.splice(at, 1)
            assert.ok(late)
            add(late.lane, 'later', -1)
            add(late.lane, late.fails ? 'failed' : 'delivered')
            if (late.required) {
              late.message.waits--
              late.message.failed ||= late.fails
            }
            answer?.()
          } else {
            const spec = specs.find(({ source }) => source === each.at)
            if (spec === undefined) continue
            const lanes = router.routes.get(names[each.at] as string)?.lanes as readonly Lane[]
            const message = { waits: 0, failed: false, settled: 0 }
            spec.lanes.forEach((lane, index) => {
              const as = behaviours[lane.to] as Behaviour
              const end = expectedEnd(lane, each.valid, as, confirming[lane.to] === true)
              add(lanes[index] as Lane, end)
              const late = { lane: lanes[index] as Lane, fails: as === 'fail late', message, required: !lane.optional }
              if (end === 'later') pending.push(late)
              if (lane.optional) return
              if (end === 'later') message.waits++
              else if (end !== 'delivered' && end !== 'filtered') message.failed = true
            })
            const settle: Settle = (error) => {
              message.settled++
              assert.equal(message.waits, 0, 'not before the last required lane')
              assert.equal(error !== null, message.failed)
            }
            if (each.settles) open.push(message)
            const payload = Buffer.from(each.valid ? '1' : '{')
            // A key of its own: what one is doing, others need not wait for.
            endpoints[each.at]?.feed({ payload, key: String(keys++) }, each.settles ? settle : undefined)
          }
          for (const [lane, counts] of expected) {
            const { received, delivered, filtered, dropped, waiting } = lane.ledger.snapshot()
            assert.equal(waiting, counts.later ?? 0)
            assert.equal(lane.messages, waiting)
            const ends = [delivered, filtered, dropped.invalid, dropped.failed]
            const wanted = (['delivered', 'filtered', 'invalid', 'failed'] as const).map((end) => counts[end] ?? 0)
            assert.deepEqual(ends, wanted)
            assert.equal(
              received,
              [...ends, waiting].reduce((sum, count) => sum + count, 0),
            )
          }
          for (const message of open) assert.equal(message.settled, message.waits === 0 ? 1 : 0)
        }
        router.close()
      }),
      { numRuns: 200 },
    )
  })
})
