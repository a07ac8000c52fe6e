import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { errors } from '../../lib/errors.ts'
import { Parts } from '../../lib/delivery/stage.ts'
import { codeOf, laneOf, step } from './support.ts'

describe('split', () => {
  it('makes a message of each element, in order, with an id that is the same each time', () => {
    const { target, feed, bodies } = laneOf([step.split('body.items')])
    feed({ items: ['a', { b: 1 }, null] }, { id: 'm', topic: 't', key: 'k', headers: { h: 'x' }, time: 5 })
    feed({ items: ['a'] }, { id: 'm' })
    assert.deepEqual(bodies(), ['a', { b: 1 }, null, 'a'])
    assert.deepEqual(
      target.sent.map(({ id }) => id),
      ['m/0', 'm/1', 'm/2', 'm/0'],
    )
    const [{ topic, key, headers, time } = assert.fail()] = target.sent
    assert.deepEqual([topic, key, headers['h'], time], ['t', 'k', 'x', 5])
  })

  it('lets the steps after it see one part each', () => {
    const { target, bodies, feed } = laneOf([
      step.split(),
      step.when('body > 1.0'),
      step.map('body * 2.0'),
      step.key('string(body)'),
    ])
    feed([1, 2, 3])
    assert.deepEqual(bodies(), [4, 6])
    assert.deepEqual(
      target.sent.map(({ key }) => key),
      ['4', '6'],
    )
  })

  it('counts each part, and settles the message when all have come to their end', () => {
    const { ledger, feed, answers, settled } = laneOf([step.split()], { confirm: true })
    feed([1, 2, 3], { key: 'one' })
    assert.equal(answers.length, 1)
    answers[0]?.(null)
    answers[1]?.(null)
    assert.deepEqual([ledger.received, ledger.delivered, ledger.waiting, settled.length], [3, 2, 1, 0])
    answers[2]?.(null)
    assert.deepEqual(
      settled.map(({ error }) => error),
      [null],
    )
  })

  it('filters a message whose list is empty', () => {
    const { ledger, feed, settled, outcomes } = laneOf([step.split()])
    feed([])
    assert.deepEqual([ledger.received, ledger.filtered, settled.length, outcomes], [1, 1, 1, ['filtered']])
  })

  it('fails for what is no list, and for a list that is too long: such a message goes to the dead letters, whole', () => {
    for (const body of [5, { a: 1 }, 'text', null, [1, 2, 3, 4]]) {
      const { ledger, dead, feed, settled } = laneOf([step.split('body', 3)], { withDeadLetters: true })
      feed(body)
      assert.deepEqual([ledger.received, ledger.deadLettered, ledger.waiting], [1, 1, 0])
      assert.equal(dead.sent[0]?.headers['araldo-error-code'], 'ARALDO_ERR_EXPRESSION_FAILED')
      assert.deepEqual(dead.sent[0]?.body, body)
      assert.equal(settled[0]?.error, null)
    }
    const { ledger, feed, errors: dropped } = laneOf([step.split('body', 3)])
    feed([1, 2, 3, 4])
    assert.equal(ledger.dropped.invalid, 1)
    assert.match(String(dropped[0]), /it gives 4 elements, more than 3/)
  })

  it('lets a dead letter say which step failed on what others had made', () => {
    const { feed, dead } = laneOf([step.split(), step.map('body.no.such'), step.key('"k"')], { withDeadLetters: true })
    feed([1], { id: 'm', headers: { 'araldo-step': 'forged' } })
    feed(5, { headers: { 'araldo-step': 'forged' } })
    const early = laneOf([step.map('body.no.such'), step.split()], { withDeadLetters: true })
    early.feed(1, { headers: { 'araldo-step': 'forged' } })
    assert.deepEqual(
      [...dead.sent, ...early.dead.sent].map(({ headers, body }) => [headers['araldo-step'], body]),
      [
        ['1/map', 1],
        ['0/split', 5],
        [undefined, 1],
      ],
    )
  })

  it('says that a message may succeed where any of its parts may', () => {
    const [gone, later] = [new errors.TOO_LARGE('out', 1, 2), new errors.OVERFLOW('out', 1)]
    for (const [ends, expected] of [
      [[gone, later, null], later],
      [[later, gone, null], later],
      [[null, null, gone], gone],
      [[null, null, null], null],
    ] as const) {
      const settled: unknown[] = []
      const parts = new Parts({ settle: (error) => void settled.push(error) }, ends.length)
      for (const error of ends) parts.settle(error)
      assert.deepEqual(settled, [expected])
    }
  })

  it('says how a message ended by how its parts did', () => {
    for (const [ends, expected] of [
      [['filtered', undefined], undefined],
      [['filtered', 'filtered'], 'filtered'],
      [[undefined, 'dead-lettered'], 'dead-lettered'],
      [['filtered', 'stored'], 'stored'],
    ] as const) {
      const settled: unknown[] = []
      const parts = new Parts({ settle: (_error, as) => void settled.push(as) }, ends.length)
      for (const as of ends) parts.settle(null, as)
      assert.deepEqual(settled, [expected])
    }
  })

  it('refuses a whole message, and no part of one, when a lane that blocks is full', () => {
    const buffer = { messages: 4, bytes: 1_000 }
    const { source, target, feed, lane, ledger, settled } = laneOf([step.split()], {
      source: { pause: true, ack: true, replay: true },
      delivery: { overflow: 'block', buffer },
    })
    target.saturate()
    feed([1, 2, 3])
    assert.deepEqual(source.asked, ['suspend'])
    feed([4, 5, 6])
    assert.equal(lane.messages, 6)
    feed([7, 8])
    assert.deepEqual([lane.messages, ledger.dropped.overflow, settled.length], [6, 1, 1])
    assert.equal(codeOf(settled[0]?.error), 'ARALDO_ERR_OVERFLOW')
    target.saturate(false)
    assert.deepEqual([ledger.delivered, ledger.waiting, settled.length], [6, 0, 3])
    assert.deepEqual(source.asked, ['suspend', 'resume'])
  })

  it('may stand twice in a list of steps', () => {
    const { bodies, feed, target } = laneOf([step.split(), step.split()])
    feed([[1, 2], [3]], { id: 'm' })
    assert.deepEqual(bodies(), [1, 2, 3])
    assert.deepEqual(
      target.sent.map(({ id }) => id),
      ['m/0/0', 'm/0/1', 'm/1/0'],
    )
  })

  it('settles each message once, after its last part, and keeps the ledger whole, whatever the target does', () => {
    const answer = fc.constantFrom('confirm', 'fail', 'fail for good')
    const event = fc.oneof(
      fc.record({ feed: fc.array(fc.nat(9), { maxLength: 5 }), key: fc.constantFrom('a', 'b') }),
      fc.record({ answer, at: fc.nat() }),
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), fc.boolean(), (events, withDeadLetters) => {
        const { feed, answers, settled, ledger, check, target } = laneOf([step.split(), step.when('body != 0.0')], {
          confirm: true,
          withDeadLetters,
        })
        const open = new Map<string, number>()
        const fed: string[] = []
        const parts: string[] = []
        target.onSend = (message, settle) => {
          parts.push(message.id)
          answers.push(settle as never)
          const [whole = ''] = message.id.split('/')
          open.set(whole, (open.get(whole) ?? 0) + 1)
        }
        const give = (at: number, as: typeof answer extends fc.Arbitrary<infer Value> ? Value : never): void => {
          const index = at % answers.length
          const [settle] = answers.splice(index, 1)
          const [id = ''] = parts.splice(index, 1)
          const [whole = ''] = id.split('/')
          open.set(whole, (open.get(whole) as number) - 1)
          settle?.(as === 'confirm' ? null : as === 'fail' ? new Error('no') : new errors.TOO_LARGE('out', 1, 2))
          check()
        }
        for (const each of events) {
          if ('feed' in each) fed.push(feed(each.feed, { key: each.key }).id)
          else if (answers.length > 0) give(each.at, each.answer)
          for (const { id } of settled) assert.equal(open.get(id) ?? 0, 0, 'settled before its last part')
        }
        while (answers.length > 0) give(0, 'confirm')
        assert.deepEqual(settled.map(({ id }) => id).toSorted(), fed.toSorted())
        assert.equal(ledger.waiting, 0)
      }),
    )
  })
})
