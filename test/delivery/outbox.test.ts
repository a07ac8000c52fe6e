import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Outbox, OutboxEntry } from '../../lib/delivery/outbox.ts'

describe('an outbox', () => {
  it('gives one entry of a key at a time, and those of other keys meanwhile', () => {
    const outbox = new Outbox<number>({ messages: 10, bytes: 100 })
    const [a1, a2, b1] = [new OutboxEntry(1, 'a', 1), new OutboxEntry(2, 'a', 1), new OutboxEntry(3, 'b', 1)]
    for (const entry of [a1, a2, b1]) outbox.push(entry)
    assert.deepEqual([outbox.take(), outbox.take(), outbox.take()], [a1, b1, undefined])
    outbox.done(a1)
    assert.equal(outbox.take(), a2)
  })

  it('gives an entry that is to be tried again before the others of its key', () => {
    const outbox = new Outbox<number>({ messages: 10, bytes: 100 })
    const [a1, a2] = [new OutboxEntry(1, 'a', 1), new OutboxEntry(2, 'a', 1)]
    outbox.push(a1)
    outbox.push(a2)
    assert.equal(outbox.take(), a1)
    outbox.retry(a1)
    assert.equal(outbox.take(), a1)
    assert.equal(a1.attempts, 2)
  })

  it('gives them their places by age back, so that what is dropped is the oldest', () => {
    const outbox = new Outbox<number>({ messages: 10, bytes: 100 })
    const entries = ['a', 'b', 'c', 'd'].map((key, index) => new OutboxEntry(index, key, 1))
    for (const entry of entries) outbox.push(entry)
    for (let count = 0; count < 3; count++) outbox.take()
    for (const entry of entries.slice(0, 3)) outbox.retry(entry)
    assert.deepEqual(
      entries.map(() => outbox.dropOldest()),
      entries,
    )
  })

  describe('of entries that are pipelined', () => {
    const pipelined = (item: number, key = 'a'): OutboxEntry<number> => new OutboxEntry(item, key, 1, true)

    it('gives one behind the other, without an answer to those before', () => {
      const outbox = new Outbox<number>({ messages: 10, bytes: 100 })
      const entries = [pipelined(1), pipelined(2), pipelined(3)]
      for (const entry of entries) outbox.push(entry)
      assert.deepEqual(
        entries.map(() => outbox.take()),
        entries,
      )
      assert.equal(outbox.take(), undefined)
    })

    it('gives them back in their order, in whichever they come back', () => {
      const outbox = new Outbox<number>({ messages: 10, bytes: 100 })
      const [first, second, third, fourth] = [pipelined(1), pipelined(2), pipelined(3), pipelined(4)]
      for (const entry of [first, second, third]) outbox.push(entry)
      for (let count = 0; count < 3; count++) outbox.take()
      outbox.push(fourth)
      for (const entry of [second, third, first]) outbox.retry(entry)
      const taken = [0, 1, 2, 3].map(() => outbox.take())
      assert.deepEqual(taken, [first, second, third, fourth])
    })

    it('drops the oldest first of any number that came back', () => {
      const count = 1_000
      const outbox = new Outbox<number>({ messages: count + 1, bytes: 2 * count })
      const entries = Array.from({ length: count }, (_, index) => pipelined(index))
      for (const entry of entries) outbox.push(entry)
      for (let number = 0; number < count; number++) outbox.take()
      outbox.push(pipelined(count))
      for (const entry of entries) outbox.retry(entry)
      const dropped = Array.from({ length: count + 1 }, () => outbox.dropOldest()?.item)
      assert.deepEqual(dropped, [...entries.keys(), count])
      assert.ok(outbox.empty)
    })

    it('takes those back that a target loses at once in no more time than any other', () => {
      const count = 100_000
      const outbox = new Outbox<number>({ messages: count, bytes: count })
      const entries = Array.from({ length: count }, (_, index) => pipelined(index))
      for (const entry of entries) outbox.push(entry)
      for (let number = 0; number < count; number++) outbox.take()
      for (const entry of entries) outbox.retry(entry)
      for (const entry of entries) assert.equal(outbox.take(), entry)
    })

    it('gives none while one of the key is held, and goes on with other keys', () => {
      const outbox = new Outbox<number>({ messages: 10, bytes: 100 })
      const [held, behind, other] = [pipelined(1), pipelined(2), pipelined(3, 'b')]
      for (const entry of [held, behind, other]) outbox.push(entry)
      assert.equal(outbox.take(), held)
      outbox.hold(held)
      assert.deepEqual([outbox.take(), outbox.take()], [other, undefined])
      outbox.retry(held)
      assert.deepEqual([outbox.take(), outbox.take()], [held, behind])
    })

    it('gives those of the same key that are not pipelined one at a time', () => {
      const outbox = new Outbox<number>({ messages: 10, bytes: 100 })
      const [strict, next, free] = [new OutboxEntry(1, 'a', 1), new OutboxEntry(2, 'a', 1), pipelined(3)]
      for (const entry of [strict, next, free]) outbox.push(entry)
      assert.deepEqual([outbox.take(), outbox.take(), outbox.take()], [strict, free, undefined])
      outbox.done(strict)
      assert.equal(outbox.take(), next)
    })
  })

  it('counts what will never be sent, and keeps no key waiting for it', () => {
    const outbox = new Outbox<number>({ messages: 2, bytes: 100 })
    const [dead, live] = [new OutboxEntry(1, 'a', 60), new OutboxEntry(2, 'a', 1)]
    outbox.admit(dead)
    outbox.push(live)
    assert.equal(outbox.take(), live)
    assert.deepEqual([outbox.messages, outbox.busy, outbox.bytes, outbox.couldFit(1)], [2, 2, 61, false])
    outbox.done(live)
    assert.deepEqual([outbox.couldFit(41), outbox.couldFit(40), outbox.dropOldest()], [false, true, undefined])
    outbox.done(dead)
    assert.deepEqual([outbox.messages, outbox.bytes, outbox.empty], [0, 0, true])
  })

  it('takes one entry when it is empty, however large', () => {
    const outbox = new Outbox<number>({ messages: 1, bytes: 10 })
    assert.ok(outbox.fits(1_000))
    const large = new OutboxEntry(1, 'a', 1_000)
    outbox.push(large)
    assert.ok(outbox.level > 1)
    assert.ok(!outbox.fits(0) && outbox.couldFit(1))
    outbox.take()
    assert.ok(!outbox.couldFit(1))
  })

  it('drops the oldest of a key that became free last in no more time than any other', () => {
    const count = 100_000
    const outbox = new Outbox<number>({ messages: count * 3, bytes: count * 3 })
    const first = new OutboxEntry(0, 'first', 1)
    outbox.push(first)
    outbox.push(new OutboxEntry(1, 'first', 1))
    outbox.take()
    for (let index = 0; index < count; index++) outbox.push(new OutboxEntry(index, `key ${index}`, 1))
    outbox.done(first)
    for (let index = 0; index <= count; index++) assert.ok(outbox.dropOldest())
    assert.ok(outbox.empty)
    assert.equal(outbox.take(), undefined)
  })
})

describe('any sequence of operations on an outbox', () => {
  // What has the key 'p' is pipelined.
  const key = fc.constantFrom('a', 'b', 'p', 'p')
  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('push'), key, size: fc.nat(6) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('take') }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('done'), at: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('retry'), at: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('hold'), at: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('dropOldest') }) },
  )

  /** The same as lists that are searched. */
  class Model {
    waiting: OutboxEntry<number>[] = []
    /** Keys that may send, in the order in which they became able to. */
    ready: string[] = []
    busy: OutboxEntry<number>[] = []
    held = new Set<OutboxEntry<number>>()

    list(): void {
      const isReady = (each: string): boolean =>
        this.waiting.some((entry) => entry.key === each) &&
        !this.busy.some((entry) => entry.key === each && (each !== 'p' || this.held.has(entry)))
      this.ready = this.ready.filter(isReady)
      for (const { key: each } of this.waiting) if (isReady(each) && !this.ready.includes(each)) this.ready.push(each)
    }
  }

  it('does what lists would do', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80, size: 'max' }), (operations) => {
        const outbox = new Outbox<number>({ messages: 8, bytes: 20 })
        const model = new Model()
        let number = 0
        for (const each of operations) {
          if (each.kind === 'push') {
            const held = [...model.waiting, ...model.busy]
            const bytes = held.reduce((sum, { size }) => sum + size, 0)
            const fits = held.length === 0 || (held.length < 8 && bytes + each.size <= 20)
            assert.equal(outbox.fits(each.size), fits)
            if (!fits) continue
            const entry = new OutboxEntry(number++, each.key, each.size, each.key === 'p')
            outbox.push(entry)
            model.waiting.push(entry)
          } else if (each.kind === 'take') {
            const next = model.ready.shift()
            const expected = model.waiting.find((entry) => entry.key === next)
            assert.equal(outbox.take(), expected)
            if (expected === undefined) continue
            model.waiting.splice(model.waiting.indexOf(expected), 1)
            model.busy.push(expected)
          } else if (each.kind === 'dropOldest') {
            assert.equal(outbox.dropOldest(), model.waiting.shift())
          } else if (each.kind === 'hold') {
            const entry = model.busy[each.at % Math.max(1, model.busy.length)]
            if (entry === undefined || model.held.has(entry)) continue
            outbox.hold(entry)
            model.held.add(entry)
          } else {
            if (model.busy.length === 0) continue
            const [entry] = model.busy.splice(each.at % model.busy.length, 1) as [OutboxEntry<number>]
            if (each.kind === 'done') outbox.done(entry)
            else {
              outbox.retry(entry)
              model.waiting.push(entry)
              model.waiting.sort((a, b) => a.item - b.item)
            }
            model.held.delete(entry)
          }
          model.list()
          const held = [...model.waiting, ...model.busy]
          assert.equal(outbox.messages, held.length)
          assert.equal(
            outbox.bytes,
            held.reduce((sum, { size }) => sum + size, 0),
          )
          assert.equal(outbox.busy, model.busy.length)
          const busyBytes = model.busy.reduce((sum, { size }) => sum + size, 0)
          assert.equal(outbox.couldFit(5), model.busy.length === 0 || (model.busy.length < 8 && busyBytes + 5 <= 20))
        }
      }),
      { numRuns: 1_000 },
    )
  })
})
