/** The small parts of a journal, each against the plainest thing that does the same. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Bitmap } from '../../lib/journal/bitmap.ts'
import { HEADER_BYTES, Salt } from '../../lib/journal/format.ts'
import { Gaps, MAX_GAPS } from '../../lib/journal/gaps.ts'
import { Scanner } from '../../lib/journal/scanner.ts'
import { Segment } from '../../lib/journal/segment.ts'
import { UnwrittenRecords } from '../../lib/journal/unwritten.ts'
import { SimulatedDisk } from './disk.ts'
import { recordOf } from './rig.ts'

describe('a bitmap', () => {
  test('is a set of numbers', () => {
    const step = fc.record({ add: fc.boolean(), index: fc.nat(600) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.nat(700), (steps, from) => {
        const bitmap = new Bitmap()
        const model = new Set<number>()
        for (const { add, index } of steps) {
          if (add) assert.equal(bitmap.add(index), !model.has(index))
          else bitmap.delete(index)
          if (add) model.add(index)
          else model.delete(index)
        }
        assert.equal(bitmap.count, model.size)
        const after = [...model].filter((index) => index >= from).toSorted((a, b) => a - b)
        assert.equal(bitmap.firstIn(from), after[0])
        let out = from
        while (model.has(out)) out++
        assert.equal(bitmap.firstOut(from), out)
        assert.equal(bitmap.has(from), model.has(from))
      }),
    )
  })
})

describe('gaps', () => {
  test('are the numbers of all ranges, in as few ranges as there can be', () => {
    const range = fc.tuple(fc.nat(60), fc.nat(8)).map(([first, more]) => ({ first, last: first + more }))
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), range, (ranges, asked) => {
        const gaps = new Gaps()
        const model = new Set<number>()
        for (const each of ranges) {
          assert.ok(gaps.add(each))
          for (let at = each.first; at <= each.last; at++) model.add(at)
        }
        for (let at = 0; at < 80; at++) assert.equal(gaps.has(at), model.has(at))
        const starts = [...model].filter((at) => !model.has(at - 1)).toSorted((a, b) => a - b)
        assert.deepEqual(
          gaps.ranges.map(({ first }) => first),
          starts,
        )
        assert.equal(
          gaps.firstAfter(asked.first),
          starts.find((start) => start > asked.first),
        )
        const outside = gaps.outside(asked).flatMap(({ first, last }) => {
          return Array.from({ length: last - first + 1 }, (_, index) => first + index)
        })
        const expected = Array.from({ length: asked.last - asked.first + 1 }, (_, index) => asked.first + index)
        assert.deepEqual(
          outside,
          expected.filter((at) => !model.has(at)),
        )
      }),
    )
  })

  test('are no more than a mark has room for', () => {
    const gaps = new Gaps()
    for (let index = 1; index <= MAX_GAPS; index++) assert.ok(gaps.add({ first: index * 10, last: index * 10 }))
    assert.ok(!gaps.add({ first: 5, last: 5 }))
    assert.equal(gaps.ranges.length, MAX_GAPS)
    // One that touches a neighbour, or closes the way between two, needs no place.
    assert.ok(gaps.add({ first: 11, last: 19 }))
    assert.ok(gaps.add({ first: 5, last: 5 }))
  })
})

describe('a scanner', () => {
  /** A file of records whose sequences are 1, 2, …, between what is no record. */
  function fileOf(disk: SimulatedDisk, salt: Salt, parts: readonly (number | Buffer)[]): number {
    let sequence = 0
    const bytes = parts.map((part) => {
      if (typeof part !== 'number') return part
      sequence++
      const record = recordOf(sequence, part)
      const header = Buffer.alloc(HEADER_BYTES)
      salt.writeHeader(header, 0, sequence, record)
      return Buffer.concat([header, record])
    })
    disk.put('file', Buffer.concat(bytes))
    return sequence
  }

  async function scan(disk: SimulatedDisk, salt: Salt): Promise<number[]> {
    const file = await disk.open('file', 'read')
    const scanner = new Scanner(file, salt, await file.size())
    const found: number[] = []
    for (let next = scanner.next(); next !== 'end'; next = scanner.next()) {
      if (next === 'more') {
        await scanner.fill()
        continue
      }
      assert.deepEqual(scanner.record, recordOf(scanner.sequence, scanner.record.length))
      found.push(scanner.sequence)
    }
    return found
  }

  test('finds every whole record, whatever is between them', async () => {
    const salt = new Salt()
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.nat(40).map((length) => Buffer.concat([Buffer.alloc(length), salt.magic])),
    )
    const part = fc.oneof(fc.nat(200), fc.constantFrom(0, 100_000, 300_000), noise)
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 12 }), async (parts) => {
        const disk = new SimulatedDisk()
        const records = fileOf(disk, salt, parts)
        assert.deepEqual(
          await scan(disk, salt),
          Array.from({ length: records }, (_, index) => index + 1),
        )
      }),
    )
  })

  test('finds a record that begins where one part of the file that is read ends', async () => {
    const salt = new Salt()
    for (let back = 0; back < HEADER_BYTES + 4; back++) {
      const disk = new SimulatedDisk()
      fileOf(disk, salt, [Buffer.alloc(256 * 1024 - back), 10, Buffer.alloc(5), 20])
      assert.deepEqual(await scan(disk, salt), [1, 2])
    }
  })

  test('takes nothing for a record that another file has written', async () => {
    const disk = new SimulatedDisk()
    const salt = new Salt()
    fileOf(disk, salt, [10, 20, 30])
    assert.deepEqual(await scan(disk, new Salt()), [])
    assert.deepEqual(await scan(disk, salt.complement), [])
    assert.deepEqual(await scan(disk, salt.complement.complement), [1, 2, 3])
  })
})

describe('a segment', () => {
  test('is known by its name', () => {
    const usage = { disk: 0, charged: 0 }
    const segment = new Segment({ ordinal: 300, first: 2 ** 40, salt: new Salt(), usage })
    const same = Segment.named(segment.logName, usage)
    assert.deepEqual([same?.ordinal, same?.first, same?.salt.text], [300, 2 ** 40, segment.salt.text])
    assert.equal(same?.doneName, segment.doneName)
    for (const name of ['mark', 'x.log', segment.doneName]) assert.equal(Segment.named(name, usage), undefined)
  })

  test('remembers where records begin, near enough', () => {
    const usage = { disk: 0, charged: 0 }
    const segment = new Segment({ ordinal: 1, first: 1, salt: new Salt(), usage })
    for (let sequence = 1; sequence <= 1000; sequence++) segment.index(sequence, (sequence - 1) * 1000)
    for (const sequence of [1, 2, 65, 66, 67, 500, 1000, 5000]) {
      const position = segment.positionBefore(sequence)
      assert.equal(position % 1000, 0)
      assert.ok(position <= (sequence - 1) * 1000)
      assert.ok(position > (Math.min(sequence, 1000) - 1) * 1000 - 66_000)
    }
  })
})

describe('records that are not written yet', () => {
  test('leave in the order in which they came', () => {
    const step = fc.record({ kind: fc.constantFrom('push', 'done', 'shift'), size: fc.nat(50) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const unwritten = new UnwrittenRecords(1)
        let model: { sequence: number; size: number; isDone: boolean }[] = []
        let next = 1
        for (const { kind, size } of steps) {
          if (kind === 'push') {
            model.push({ sequence: next++, size, isDone: false })
            unwritten.push(Buffer.alloc(size))
          } else if (kind === 'done' && model.length > 0) {
            const each = model[size % model.length]!
            assert.equal(unwritten.done(each.sequence), !each.isDone)
            each.isDone = true
          } else if (kind === 'shift') {
            const batch = unwritten.batch(size % 5, 100)
            assert.deepEqual(
              batch.map((record) => record?.length),
              model.slice(0, batch.length).map((each) => (each.isDone ? undefined : each.size)),
            )
            unwritten.shift(batch.length)
            model = model.slice(batch.length)
          }
          const pending = model.filter(({ isDone }) => !isDone)
          assert.deepEqual(
            [unwritten.next, unwritten.length, unwritten.pending, unwritten.bytes, unwritten.nextPending(1)],
            [
              next,
              model.length,
              pending.length,
              model.reduce((sum, each) => sum + each.size + HEADER_BYTES, 0),
              pending[0]?.sequence,
            ],
          )
        }
      }),
    )
  })
})
