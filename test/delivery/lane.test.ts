import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { errors } from '../../lib/errors.ts'
import type { DeliveryConfig } from '../../lib/delivery/guarantee.ts'
import { Lane, type LaneInit, type Outcome } from '../../lib/delivery/lane.ts'
import { Message } from '../../lib/message.ts'
import type { DropReason, Settle } from '../../lib/types.ts'
import { type ContextChange, contextOf, counting, deliveryOf, TestEndpoint } from '../support/core.ts'

interface Setup extends ContextChange {
  readonly steps?: LaneInit['steps']
  readonly delivery?: Partial<DeliveryConfig>
  readonly deadLetters?: TestEndpoint
  readonly clock?: NonNullable<LaneInit['clock']>
}

function setUp({ steps = [], delivery, deadLetters, source: sourceChange, ...change }: Setup = {}) {
  const source = new TestEndpoint(contextOf('in', sourceChange === undefined ? {} : { source: sourceChange }))
  const target = new TestEndpoint(contextOf('out', change))
  target.start()
  const drops: { reason: DropReason; error: unknown }[] = []
  const onDrop: LaneInit['onDrop'] = (_lane, reason, error) => drops.push({ reason, error })
  const { clock = { random: () => 0 } } = change
  const config = deliveryOf(delivery)
  const lane = new Lane({ source, target, steps, optional: false, delivery: config, deadLetters, onDrop, clock })
  const traced: Outcome[] = []
  lane.trace = (_lane, _message, outcome) => traced.push(outcome)
  const settled: (Error | null)[] = []
  const settlement = { settle: (error: Error | null) => void settled.push(error) }
  const accept = (text = '{}', topic = ''): Message => {
    const message = new Message({ source: 'in', marshaller: counting(), payload: Buffer.from(text), topic })
    lane.accept(message, settlement)
    assert.equal(lane.ledger.waiting, lane.messages)
    return message
  }
  return { source, target, lane, drops, traced, settled, accept }
}

function codes(settled: readonly (Error | null)[]): (string | null)[] {
  return settled.map((error) => (error === null ? null : (error as Error & { code: string }).code))
}

describe('a lane to a target that does not confirm', () => {
  it('has delivered when send returns, and counts the bytes', () => {
    const { target, lane, traced, settled, accept } = setUp()
    const message = accept('[1,2]')
    assert.deepEqual(target.sent, [message])
    assert.deepEqual([lane.ledger.delivered, lane.ledger.bytes], [1, 5])
    assert.deepEqual([traced, settled], [['delivered'], [null]])
  })

  it('counts what was encoded for the target where that is another format', () => {
    const { target, lane } = setUp({ marshaller: counting('other') })
    target.onSend = (message) => void message.encode(target.marshaller)
    lane.accept(new Message({ source: 'in', marshaller: counting(), body: 'abc' }), undefined)
    assert.equal(lane.ledger.bytes, 5)
  })

  it('drops what the target throws at, under the reason of the error, when it is not to be tried again', () => {
    const cases: [unknown, DropReason, string][] = [
      [new errors.TOO_LARGE('out', 1, 2), 'invalid', 'ARALDO_ERR_TOO_LARGE'],
      [Object.assign(new Error('no'), { code: 'E_THEIRS' }), 'failed', 'ARALDO_ERR_GIVEN_UP'],
      ['a text', 'failed', 'ARALDO_ERR_GIVEN_UP'],
      [undefined, 'failed', 'ARALDO_ERR_GIVEN_UP'],
    ]
    for (const [thrown, reason, code] of cases) {
      const { target, lane, drops, traced, settled, accept } = setUp()
      target.onSend = () => {
        throw thrown
      }
      accept()
      assert.deepEqual(
        drops.map((drop) => drop.reason),
        [reason],
      )
      assert.equal(lane.ledger.dropped[reason], 1)
      assert.deepEqual(traced, [reason])
      assert.deepEqual(codes(settled), [code])
    }
  })

  it('says what was thrown, even if it was no error', () => {
    const { target, settled, accept } = setUp()
    target.onSend = () => {
      // oxlint-disable-next-line typescript/only-throw-error, no-throw-literal -- JavaScript's authors may
      throw 'a text'
    }
    accept()
    assert.match(settled[0]?.message ?? '', /'out' gave the message up: a text/)
  })

  it('survives a type whose send is async: it waits for it, and a rejection is a drop', async () => {
    const { target, lane, drops, settled, accept } = setUp()
    target.onSend = async () => {}
    accept('1', 'a')
    assert.equal(lane.messages, 1)
    target.onSend = async () => {
      throw new Error('later')
    }
    accept('2', 'b')
    target.onSend = () => Promise.reject()
    accept('3', 'c')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([lane.messages, lane.ledger.delivered, lane.ledger.dropped.failed], [0, 1, 2])
    assert.equal(drops.length, 2)
    assert.equal(settled.length, 3)
  })
})

describe('a lane to a target that is not up', () => {
  it('keeps what comes, and sends it in order when the target is there', async () => {
    const { target, lane, settled, accept } = setUp()
    target.break('the cable')
    const messages = [accept('1'), accept('2'), accept('3')]
    assert.deepEqual([lane.messages, lane.bytes, settled.length], [3, 3, 0])
    await target.whenUp(10_000)
    assert.deepEqual(target.sent, messages)
    assert.deepEqual(settled, [null, null, null])
    const last = accept('4')
    assert.equal(target.sent[3], last)
  })

  it('keeps of a message that waits its bytes, and not its body beside them', () => {
    const { target, lane } = setUp()
    const marshaller = counting()
    const accept = (): Message => {
      const message = new Message({ source: 'in', marshaller, payload: Buffer.from('{"a":1}') })
      assert.deepEqual(message.body, { a: 1 })
      lane.accept(message, undefined)
      return message
    }
    const sent = accept()
    target.saturate()
    const waiting = accept()
    assert.equal(marshaller.decodes, 2)
    assert.deepEqual([sent.body, waiting.body], [{ a: 1 }, { a: 1 }])
    assert.equal(marshaller.decodes, 3)
  })

  it('waits for a target that is full, too', () => {
    const { target, lane, accept } = setUp()
    target.saturate()
    accept()
    assert.equal(lane.messages, 1)
    target.saturate(false)
    assert.deepEqual([lane.messages, lane.ledger.delivered], [0, 1])
  })

  it('gives what it has in turns of the event loop, so that others have theirs', async () => {
    const { target, lane, accept } = setUp()
    target.saturate()
    for (let count = 0; count < 1_000; count++) accept()
    target.saturate(false)
    accept()
    assert.equal(target.sent.length, 256)
    await lane.whenEmpty()
    assert.equal(target.sent.length, 1_001)
  })

  it('sends again what the target threw at because its link was lost, though it is not to be tried again', async () => {
    const { target, lane, settled, accept } = setUp()
    target.onSend = () => {
      target.onSend = undefined
      target.break()
      throw new errors.CONNECTION_LOST('out')
    }
    accept('1')
    accept('2')
    assert.deepEqual([lane.messages, settled.length], [2, 0])
    await target.whenUp(10_000)
    assert.equal(target.sent.length, 3)
    assert.deepEqual(settled, [null, null])
  })

  it('asks one that says that it is up and takes nothing again after a while, not in a loop', async () => {
    const { target, lane, accept } = setUp()
    let calls = 0
    target.onSend = () => {
      if (++calls < 4) throw new errors.ENDPOINT_DOWN('out', 'not yet')
    }
    accept()
    accept()
    assert.equal(calls, 1)
    // The timers of a lane keep no process alive.
    const alive = setInterval(() => {}, 1_000)
    await lane.whenEmpty()
    clearInterval(alive)
    assert.equal(lane.ledger.delivered, 2)
  })

  it('asks such a one ever more rarely, until it has refused nothing for ten seconds', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    let now = 0
    const clock = { random: () => 0.999, now: () => now }
    const { target, accept } = setUp({ clock, delivery: { retry: { attempts: 9, minDelay: 100, maxDelay: 30_000 } } })
    const pass = (milliseconds: number): void => {
      now += milliseconds
      t.mock.timers.tick(milliseconds)
    }
    let refusing = true
    target.onSend = () => {
      if (refusing) throw new errors.OVERFLOW('out', 1)
    }
    const asked = (): number => target.sent.length
    accept()
    pass(99)
    assert.equal(asked(), 2)
    refusing = false
    pass(199)
    assert.equal(asked(), 3)
    refusing = true
    accept()
    pass(398)
    assert.equal(asked(), 4)
    refusing = false
    pass(1)
    assert.equal(asked(), 5)
    pass(10_000)
    refusing = true
    accept()
    pass(98)
    assert.equal(asked(), 6)
    pass(1)
    assert.equal(asked(), 7)
  })

  it('leaves such a one alone for what comes next, too, though nothing waits any more', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const deadLetters = new TestEndpoint(contextOf('dead'))
    deadLetters.start()
    const steps = [{ name: 'map', apply: (message: Message) => message.with({ body: message.body }) }]
    const delivery = { overflow: 'drop-oldest', buffer: { messages: 1, bytes: 100 } } as const
    const { target, lane, accept } = setUp({ steps, delivery, deadLetters, clock: { random: () => 0.5 } })
    target.onSend = () => {
      throw new errors.OVERFLOW('out', 1)
    }
    accept('1')
    accept('{')
    assert.deepEqual([lane.messages, lane.ledger.deadLettered, lane.ledger.dropped.overflow], [0, 1, 1])
    accept('2')
    assert.deepEqual([target.sent.length, lane.messages], [1, 1])
    t.mock.timers.tick(50)
    assert.equal(target.sent.length, 2)
  })

  it('tells all who wait when it is empty', async () => {
    const { target, lane, accept } = setUp()
    target.saturate()
    accept()
    const empty = Promise.all([lane.whenEmpty(), lane.whenEmpty()])
    target.saturate(false)
    await empty
  })

  it('drops what waits, and what comes, when the target is closed', async () => {
    const { target, lane, settled, accept } = setUp()
    target.break('the cable')
    accept()
    await target.stop()
    accept()
    assert.deepEqual(codes(settled), ['ARALDO_ERR_CLOSING', 'ARALDO_ERR_CLOSING'])
    assert.deepEqual([lane.ledger.dropped.closing, lane.messages], [2, 0])
    assert.equal(target.sent.length, 0)
  })

  it('still filters', () => {
    const { target, lane, settled, accept } = setUp({ steps: [{ name: 'when', apply: () => null }] })
    target.break()
    accept()
    assert.equal(lane.ledger.filtered, 1)
    assert.deepEqual(settled, [null])
  })
})

describe('a lane to a target that confirms', () => {
  function held(change: Setup = {}) {
    const all = setUp({ ...change, confirm: true })
    const settles: Settle[] = []
    all.target.onSend = (_message, settle) => void settles.push(settle as Settle)
    return { ...all, settles }
  }

  it('waits for each message, in any order, and hears each answer once', () => {
    const { lane, settles, settled, accept } = held()
    accept('1', 'a')
    accept('2', 'b')
    accept('3', 'c')
    assert.deepEqual([lane.messages, lane.ledger.delivered], [3, 0])
    settles[2]?.(null)
    settles[2]?.(new Error('too late'))
    settles[0]?.(new errors.SEND_FAILED('out', 'refused'))
    settles[0]?.(null)
    assert.deepEqual([lane.messages, lane.ledger.delivered, lane.ledger.dropped.failed], [1, 1, 1])
    assert.deepEqual(codes(settled), [null, 'ARALDO_ERR_GIVEN_UP'])
  })

  it('takes undefined for success, as callbacks of JavaScript do', () => {
    const { lane, settles, accept } = held()
    accept()
    settles[0]?.(undefined as unknown as null)
    assert.equal(lane.ledger.delivered, 1)
  })

  it('counts a target that answers and then throws once, by its answer', () => {
    const { target, lane, accept } = held()
    target.onSend = (_message, settle) => {
      settle?.(null)
      throw new Error('afterwards')
    }
    accept()
    assert.deepEqual([lane.ledger.delivered, lane.ledger.droppedTotal], [1, 0])
  })

  it('counts a target whose send is async and rejects', async () => {
    const { target, lane, accept } = held()
    target.onSend = () => Promise.reject(new Error('no'))
    accept()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(lane.ledger.dropped.failed, 1)
  })

  it('drops what the target could not have encoded, without asking it', () => {
    const { target, lane, settled, accept } = held({ marshaller: counting('other') })
    accept('{')
    assert.equal(lane.ledger.dropped.invalid, 1)
    assert.equal(target.sent.length, 0)
    assert.deepEqual(codes(settled), ['ARALDO_ERR_UNDECODABLE'])
  })

  it('has one message of a key under way, one of each topic where there is no key, and as many as it may in all', () => {
    const { target, settles, accept } = held({ delivery: { concurrency: 3 } })
    accept('1', 'a')
    accept('2', 'a')
    accept('3', 'b')
    assert.equal(target.sent.length, 2)
    accept('4', 'c')
    accept('5', 'd')
    assert.equal(target.sent.length, 3)
    settles[0]?.(null)
    assert.deepEqual(
      target.sent.map(({ payload }) => payload.toString()),
      ['1', '3', '4', '5'],
    )
  })

  it('tries again what failed for now, and holds back its key alone', async () => {
    const { target, lane, settles, accept } = held({ delivery: { retry: { attempts: 3, minDelay: 1, maxDelay: 1 } } })
    accept('1', 'a')
    accept('2', 'a')
    accept('3', 'b')
    settles[0]?.(new Error('busy'))
    assert.equal(target.sent.length, 2)
    settles[1]?.(null)
    const alive = setInterval(() => {}, 1_000)
    target.onSend = (_message, settle) => settle?.(null)
    await lane.whenEmpty()
    clearInterval(alive)
    assert.deepEqual(
      target.sent.map(({ payload }) => payload.toString()),
      ['1', '3', '1', '2'],
    )
    assert.deepEqual([lane.retries, lane.ledger.delivered], [1, 3])
  })

  it('sends again what was under way when the link was lost, where it promises that; old answers do not count', async () => {
    const { target, lane, settles, settled, accept } = held({ delivery: { guarantee: 'at-least-once' } })
    accept()
    target.break()
    settles[0]?.(null)
    assert.deepEqual([lane.messages, settled.length], [1, 0])
    await target.whenUp(10_000)
    settles[0]?.(null)
    assert.equal(lane.messages, 1)
    settles[1]?.(null)
    assert.deepEqual([target.sent.length, lane.ledger.delivered, settled], [2, 1, [null]])
  })

  it('does not send it again where it promises at most once, and counts it', async () => {
    const { target, lane, settled, accept } = held({ delivery: { guarantee: 'at-most-once' } })
    accept()
    target.break()
    assert.deepEqual([lane.ledger.dropped.down, codes(settled)], [1, ['ARALDO_ERR_GIVEN_UP']])
    await target.whenUp(10_000)
    assert.equal(target.sent.length, 1)
  })

  it('says at its end what has no answer, and hears none any more', () => {
    const { lane, settles, settled, accept } = held({ delivery: { guarantee: 'at-least-once' } })
    accept('1')
    accept('2')
    lane.close()
    lane.close()
    settles[0]?.(null)
    accept('3')
    assert.deepEqual(
      codes(settled),
      Array.from({ length: 3 }, () => 'ARALDO_ERR_CLOSING'),
    )
    assert.deepEqual([lane.ledger.dropped.closing, lane.messages, lane.bytes], [3, 0, 0])
  })
})

describe('a lane that is closed in the middle of a send', () => {
  const ends: [string, (message: Message, settle: Settle | undefined) => unknown, string][] = [
    ['throws', () => assert.fail('afterwards'), 'ARALDO_ERR_CLOSING'],
    ['goes on asynchronously', async () => {}, 'ARALDO_ERR_GIVEN_UP'],
    ['fails asynchronously', () => Promise.reject(new Error('afterwards')), 'ARALDO_ERR_GIVEN_UP'],
  ]
  for (const [what, end, code] of ends) {
    it(`tells the source of the message once, if the target ${what}`, async () => {
      const { target, lane, settled, accept } = setUp()
      target.onSend = (message, settle) => {
        lane.close()
        return end(message, settle)
      }
      accept()
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual([lane.messages, lane.ledger.waiting, codes(settled)], [0, 0, [code]])
    })
  }

  it('sets no timer, and asks nobody to send again what the target may have taken from the outbox', (t) => {
    const { target, lane, settled, accept } = setUp({ delivery: { retry: { attempts: 9, minDelay: 1, maxDelay: 1 } } })
    target.saturate()
    accept()
    accept()
    const timers = t.mock.method(globalThis, 'setTimeout')
    target.onSend = () => {
      lane.close()
      throw new Error('afterwards')
    }
    target.saturate(false)
    assert.deepEqual(codes(settled), ['ARALDO_ERR_GIVEN_UP', 'ARALDO_ERR_CLOSING'])
    assert.deepEqual([timers.mock.callCount(), target.sent.length, lane.messages], [0, 1, 0])
  })

  it('ends what a source sends when it hears that another was dropped', () => {
    const buffer = { messages: 1, bytes: 100 }
    const { target, lane, settled } = setUp({ delivery: { overflow: 'drop-oldest', buffer } })
    target.saturate()
    const settle = (error: Error | null): void => {
      settled.push(error)
      lane.close()
    }
    for (const body of [1, 2]) lane.accept(new Message({ source: 'in', marshaller: counting(), body }), { settle })
    assert.deepEqual(codes(settled), ['ARALDO_ERR_OVERFLOW', 'ARALDO_ERR_CLOSING'])
    assert.deepEqual([lane.messages, lane.ledger.waiting], [0, 0])
  })
})

describe("a lane's outbox that is full", () => {
  const buffer = { messages: 4, bytes: 100 }
  const texts = ({ sent }: TestEndpoint): string[] => sent.map(({ payload }) => payload.toString())
  function full(delivery: Partial<DeliveryConfig>, source: ContextChange['source'] = {}) {
    const all = setUp({ delivery: { buffer, ...delivery }, source })
    all.target.saturate()
    return all
  }

  it('drops the oldest', () => {
    const { target, lane, settled, accept } = full({ overflow: 'drop-oldest' })
    for (const text of ['1', '2', '3', '4', '5', '6']) accept(text)
    assert.deepEqual(
      [lane.ledger.dropped.overflow, codes(settled)],
      [2, ['ARALDO_ERR_OVERFLOW', 'ARALDO_ERR_OVERFLOW']],
    )
    target.saturate(false)
    assert.deepEqual(texts(target), ['3', '4', '5', '6'])
  })

  it('drops the newest', () => {
    const { target, lane, accept } = full({ overflow: 'drop-newest' })
    for (const text of ['1', '2', '3', '4', '5', '6']) accept(text)
    assert.equal(lane.ledger.dropped.overflow, 2)
    target.saturate(false)
    assert.deepEqual(texts(target), ['1', '2', '3', '4'])
  })

  it('drops nothing that waits for one that is larger than all of it', () => {
    const { lane, accept } = full({ overflow: 'drop-oldest' })
    accept('1')
    accept('x'.repeat(101))
    assert.deepEqual([lane.messages, lane.ledger.dropped.overflow], [1, 1])
  })

  it('counts bytes, those of bodies that are yet to be encoded included', () => {
    const { lane } = full({ overflow: 'drop-newest' })
    const body = 'x'.repeat(38)
    for (let count = 0; count < 4; count++) {
      lane.accept(new Message({ source: 'in', marshaller: counting(), body }), undefined)
    }
    assert.deepEqual([lane.messages, lane.bytes, lane.ledger.dropped.overflow], [2, 80, 2])
  })

  it('counts headers, topic and key, which a peer may make as long as it likes', () => {
    const { lane } = full({ overflow: 'drop-newest' })
    const init = { source: 'in', marshaller: counting(), payload: Buffer.from('12'), topic: 'abc', key: 'defg' }
    lane.accept(new Message({ ...init, headers: { hop: '7' } }), undefined)
    assert.equal(lane.bytes, 2 + 3 + 4 + 4)
    lane.accept(new Message({ ...init, headers: { long: 'x'.repeat(90) } }), undefined)
    assert.deepEqual([lane.messages, lane.ledger.dropped.overflow], [1, 1])
  })

  it('keeps the order of a source that answers a drop with the next message', () => {
    const { target, lane, accept } = full({ overflow: 'drop-oldest' })
    for (const text of ['1', '2', '3', '4']) accept(text)
    const settle = (): void => void accept('6')
    const dropped = new Message({ source: 'in', marshaller: counting(), payload: Buffer.from('-') })
    target.saturate(false)
    target.saturate()
    lane.accept(dropped, { settle })
    for (const text of ['1', '2', '3']) accept(text)
    accept('5')
    assert.deepEqual([lane.messages, lane.ledger.dropped.overflow], [4, 2])
    target.saturate(false)
    assert.deepEqual(texts(target).slice(4), ['2', '3', '5', '6'])
  })

  it('pauses the source at three quarters, and lets it go on at half', () => {
    const { source, target, lane, accept } = full({ overflow: 'block' })
    accept()
    accept()
    assert.deepEqual(source.asked, [])
    accept()
    assert.deepEqual(source.asked, ['suspend'])
    accept()
    accept()
    assert.deepEqual([lane.messages, lane.ledger.dropped.overflow], [4, 1])
    target.onSend = () => {
      if (target.sent.length === 2) assert.deepEqual(source.asked, ['suspend', 'resume'])
    }
    target.saturate(false)
    assert.deepEqual(source.asked, ['suspend', 'resume'])
  })

  it('tells a source that would send it again that what was to be dropped is dropped', () => {
    const { settled, accept } = full({ overflow: 'drop-newest' }, { replay: true })
    for (let count = 0; count < 5; count++) accept()
    assert.deepEqual(codes(settled), ['ARALDO_ERR_GIVEN_UP'])
  })

  it('lets the source go on when the lane is closed', () => {
    const { source, lane, accept } = full({ overflow: 'block' })
    for (let count = 0; count < 4; count++) accept()
    lane.close()
    assert.deepEqual(source.asked, ['suspend', 'resume'])
  })
})

describe('the dead letters of a lane', () => {
  /** `confirm` is of both the target and the dead-letter endpoint. */
  function withDeadLetters(setup: Setup = {}) {
    const { confirm = false } = setup
    const deadLetters = new TestEndpoint(contextOf('dead', { confirm, marshaller: counting('bytes') }))
    deadLetters.start()
    return { deadLetters, ...setUp({ ...setup, deadLetters }) }
  }

  it('get what the target refuses for good, as it was, and why', () => {
    const { deadLetters, target, lane, traced, settled } = withDeadLetters()
    target.onSend = () => {
      throw new errors.TOO_LARGE('out', 1, 2)
    }
    const init = { source: 'in', marshaller: counting(), payload: Buffer.from('{'), topic: 'orders', key: 'k', id: 'i' }
    const settlement = { settle: (error: Error | null) => void settled.push(error) }
    lane.accept(new Message({ ...init, headers: { own: '1' } }), settlement)
    const [letter] = deadLetters.sent
    assert.ok(letter)
    assert.equal(letter.encode(deadLetters.marshaller).toString(), '{')
    assert.deepEqual(
      { ...letter.headers },
      {
        own: '1',
        'araldo-route': 'in',
        'araldo-target': 'out',
        'araldo-error-code': 'ARALDO_ERR_TOO_LARGE',
        'araldo-error': "endpoint 'out' takes at most 1 bytes a message, this one has 2",
        'araldo-attempts': '1',
        'araldo-topic': 'orders',
        'araldo-id': 'i',
      },
    )
    assert.deepEqual([letter.topic, letter.key, letter.id], ['orders', 'k', 'i'])
    assert.deepEqual([lane.ledger.deadLettered, lane.ledger.droppedTotal, settled], [1, 0, [null]])
    assert.deepEqual(traced, ['dead-lettered'])
  })

  it('get what was tried as often as it may, once', () => {
    const { deadLetters, target, accept } = withDeadLetters()
    target.onSend = () => {
      throw new Error('busy')
    }
    accept()
    assert.equal(deadLetters.sent.length, 1)
    assert.equal(deadLetters.sent[0]?.headers['araldo-error-code'], 'ARALDO_ERR_SEND_FAILED')
  })

  it('get what a step fails on, and what the target could not have encoded', () => {
    const steps = [{ name: 'map', apply: (message: Message) => message.with({ body: message.body }) }]
    const step = withDeadLetters({ steps })
    step.accept('{')
    assert.deepEqual([step.deadLetters.sent.length, step.lane.ledger.deadLettered], [1, 1])
    assert.equal(step.deadLetters.sent[0]?.headers['araldo-attempts'], '0')
    const format = withDeadLetters({ marshaller: counting('other'), confirm: true })
    format.deadLetters.onSend = (_message, settle) => settle?.(null)
    format.accept('{')
    assert.deepEqual([format.target.sent.length, format.lane.ledger.deadLettered], [0, 1])
  })

  it('get at once what can never be sent, though its target is down and its key waits, and never drop it', async () => {
    const steps = [{ name: 'map', apply: (message: Message) => message.with({ body: message.body }) }]
    const buffer = { messages: 2, bytes: 100 }
    const { deadLetters, target, lane, settled, accept } = withDeadLetters({
      steps,
      delivery: { overflow: 'drop-oldest', buffer },
    })
    target.break()
    accept('1')
    accept('{')
    assert.deepEqual([deadLetters.sent.length, lane.messages, lane.ledger.deadLettered, settled], [1, 1, 1, [null]])
    deadLetters.saturate()
    for (const text of ['{', '{', '2']) accept(text)
    assert.deepEqual([lane.messages, lane.ledger.dropped.overflow], [2, 2])
    deadLetters.saturate(false)
    assert.equal(lane.ledger.deadLettered, 3)
  })

  it('are told to send nothing again that the target may have, when the lane is closed meanwhile', () => {
    const { deadLetters, target, lane, settled, accept } = withDeadLetters({
      confirm: true,
      delivery: { guarantee: 'at-most-once' },
    })
    target.onSend = () => {}
    deadLetters.onSend = () => {}
    accept('1', 'a')
    accept('2', 'b')
    target.break()
    assert.deepEqual([deadLetters.sent.length, lane.messages], [2, 2])
    deadLetters.break()
    lane.close()
    assert.deepEqual(codes(settled), ['ARALDO_ERR_GIVEN_UP', 'ARALDO_ERR_GIVEN_UP'])
  })

  it('hold a message until they are written, and its key, and drop nothing', async () => {
    const { deadLetters, target, lane, settled, accept } = withDeadLetters({ confirm: true })
    const settles: Settle[] = []
    target.onSend = (_message, settle) => settle?.(new errors.TOO_LARGE('out', 1, 2))
    deadLetters.onSend = (_message, settle) => void settles.push(settle as Settle)
    accept('1', 'a')
    accept('2', 'a')
    accept('3', 'b')
    assert.deepEqual([target.sent.length, deadLetters.sent.length, lane.messages], [2, 2, 3])
    deadLetters.break()
    settles[0]?.(null)
    settles[1]?.(null)
    assert.deepEqual([lane.messages, settled.length], [3, 0])
    deadLetters.onSend = (_message, settle) => settle?.(null)
    await lane.whenEmpty()
    assert.deepEqual([lane.ledger.deadLettered, settled], [3, [null, null, null]])
  })
})

describe("a lane's steps", () => {
  it('change what the target gets, and leave the message as it was', () => {
    const { target, accept } = setUp({ steps: [{ name: 'topic', apply: (message) => message.with({ topic: 'x' }) }] })
    const message = accept()
    assert.equal(target.sent[0]?.topic, 'x')
    assert.equal(message.topic, '')
  })

  it('drop what they throw at as invalid, and the target is not asked', () => {
    const apply = (message: Message): Message => {
      void message.body
      return message
    }
    const { target, lane, settled, accept } = setUp({ steps: [{ name: 'map', apply }] })
    accept('{')
    assert.equal(lane.ledger.dropped.invalid, 1)
    assert.deepEqual(codes(settled), ['ARALDO_ERR_UNDECODABLE'])
    assert.equal(target.sent.length, 0)
  })
})

describe('a lane at rest', () => {
  it('sends nothing more, and waits for what the target has in hand: that is not to be sent again', async () => {
    const { target, lane, settled, accept } = setUp({ confirm: true })
    const settles: Settle[] = []
    target.onSend = (_message, settle) => void settles.push(settle as Settle)
    accept('1', 'a')
    accept('2', 'a')
    let isAtRest = false
    const resting = lane.rest().then(() => (isAtRest = true))
    accept('3', 'b')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([isAtRest, target.sent.length], [false, 1])
    settles[0]?.(null)
    await resting
    lane.close()
    assert.deepEqual([target.sent.length, codes(settled)], [1, [null, 'ARALDO_ERR_CLOSING', 'ARALDO_ERR_CLOSING']])
  })

  it('does not wait for a target that is closed under it', async () => {
    const { target, lane, accept } = setUp({ confirm: true })
    target.onSend = () => {}
    accept('1', 'a')
    const resting = lane.rest()
    lane.close()
    await resting
    assert.equal(lane.messages, 0)
  })
})

describe('a lane to a target that keeps the order of what follows without waiting', () => {
  it('sends no more, once as much is in flight as may be, until half of it is answered', () => {
    const { target, lane, accept } = setUp({ confirm: true, pipelined: true, delivery: { concurrency: 4 } })
    const answers: (() => void)[] = []
    target.onSend = (_message, settle) => void answers.push(() => settle?.(null))
    const answer = (): void => answers.shift()?.()
    for (let number = 0; number < 10; number++) accept()
    assert.equal(target.sent.length, 4)
    answer()
    assert.equal(target.sent.length, 4)
    answer()
    assert.equal(target.sent.length, 6)
    while (answers.length > 0) answer()
    assert.deepEqual([target.sent.length, lane.ledger.delivered, lane.messages], [10, 10, 0])
  })
})
