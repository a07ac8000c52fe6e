import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { errors } from '../lib/errors.ts'
import { Lane, type LaneInit, type Outcome } from '../lib/lane.ts'
import { Message } from '../lib/message.ts'
import type { DropReason, Settle } from '../lib/types.ts'
import { type ContextChange, contextOf, counting, TestEndpoint } from './support/core.ts'

interface Setup extends ContextChange {
  readonly steps?: LaneInit['steps']
}

function setUp({ steps = [], ...change }: Setup = {}) {
  const target = new TestEndpoint(contextOf('out', change))
  target.start()
  const drops: { reason: DropReason; error: unknown }[] = []
  const onDrop: LaneInit['onDrop'] = (_lane, reason, error) => drops.push({ reason, error })
  const lane = new Lane({ source: 'in', target, steps, optional: false, onDrop })
  const traced: Outcome[] = []
  lane.trace = (_lane, _message, outcome) => traced.push(outcome)
  const settled: (Error | null)[] = []
  const settlement = { settle: (error: Error | null) => void settled.push(error) }
  const accept = (text = '{}'): Message => {
    const message = new Message({ source: 'in', marshaller: counting(), payload: Buffer.from(text) })
    lane.accept(message, settlement)
    assert.equal(lane.ledger.waiting, lane.unconfirmed)
    return message
  }
  return { target, lane, drops, traced, settled, accept }
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

  it('drops what the target throws at, under the reason of the error', () => {
    const cases: [unknown, DropReason, string][] = [
      [new errors.TOO_LARGE('out', 1, 2), 'invalid', 'ARALDO_ERR_TOO_LARGE'],
      [new errors.OVERFLOW('out', 1), 'overflow', 'ARALDO_ERR_OVERFLOW'],
      [Object.assign(new Error('no'), { code: 'E_THEIRS' }), 'failed', 'E_THEIRS'],
      ['a text', 'failed', 'ARALDO_ERR_SEND_FAILED'],
      [undefined, 'failed', 'ARALDO_ERR_ENDPOINT_DOWN'],
    ]
    for (const [thrown, reason, code] of cases) {
      const { target, lane, drops, traced, settled, accept } = setUp()
      target.onSend = () => {
        throw thrown
      }
      accept()
      assert.deepEqual(drops, [{ reason, error: thrown }])
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
    assert.match(settled[0]?.message ?? '', /'out' could not send: a text/)
  })

  it('survives a type whose send is async: it waits for it, and a rejection is a drop', async () => {
    const { target, lane, drops, settled, accept } = setUp()
    target.onSend = async () => {}
    accept()
    assert.equal(lane.unconfirmed, 1)
    target.onSend = async () => {
      throw new Error('later')
    }
    accept()
    target.onSend = () => Promise.reject()
    accept()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([lane.unconfirmed, lane.ledger.delivered, lane.ledger.dropped.failed], [0, 1, 2])
    assert.equal(drops.length, 2)
    assert.equal(settled.length, 3)
  })
})

describe('a lane to a target that is not up', () => {
  it('drops without asking it, and says why it is down', async () => {
    const { target, lane, settled, accept } = setUp()
    target.break('the cable')
    accept()
    assert.deepEqual(codes(settled), ['ARALDO_ERR_ENDPOINT_DOWN'])
    assert.match(settled[0]?.message ?? '', /the cable/)
    await target.stop()
    accept()
    assert.equal(codes(settled)[1], 'ARALDO_ERR_CLOSING')
    assert.deepEqual([lane.ledger.dropped.down, lane.ledger.dropped.closing], [1, 1])
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
    accept()
    accept()
    accept()
    assert.deepEqual([lane.unconfirmed, lane.ledger.delivered], [3, 0])
    settles[2]?.(null)
    settles[2]?.(new Error('too late'))
    settles[0]?.(new errors.SEND_FAILED('out', 'refused'))
    settles[0]?.(null)
    assert.deepEqual([lane.unconfirmed, lane.ledger.delivered, lane.ledger.dropped.failed], [1, 1, 1])
    assert.deepEqual(codes(settled), [null, 'ARALDO_ERR_SEND_FAILED'])
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

  it('never has more than 10,000 messages under way', () => {
    const { lane, settles, settled, accept } = held()
    for (let count = 0; count < 10_002; count++) accept()
    assert.deepEqual([lane.unconfirmed, lane.ledger.dropped.overflow], [10_000, 2])
    assert.deepEqual(codes(settled), ['ARALDO_ERR_OVERFLOW', 'ARALDO_ERR_OVERFLOW'])
    settles[0]?.(null)
    accept()
    assert.equal(lane.ledger.dropped.overflow, 2)
  })

  it('never has many more than 64 MiB under way, bodies that are yet to be encoded included', () => {
    const { lane, settles } = held()
    const body = 'x'.repeat(16 * 1024 * 1024)
    for (let count = 0; count < 6; count++) {
      lane.accept(new Message({ source: 'in', marshaller: counting(), body }), undefined)
    }
    assert.deepEqual([lane.unconfirmed, lane.ledger.dropped.overflow], [4, 2])
    for (const settle of settles) settle(null)
    assert.equal(lane.unconfirmed, 0)
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
