import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { errors } from '../../lib/errors.ts'
import { temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'
import { SimulatedDisk } from './disk.ts'
import { appendMany, durable, openJournal, readAll, recordOf, sequencesOf } from './rig.ts'

describe('a journal', () => {
  test('gives back after a restart what was not done, in order, byte by byte', async (t) => {
    const journal = await openJournal(t)
    appendMany(journal, 10)
    await durable(journal)
    for (const sequence of [2, 3, 7]) journal.done(sequence)
    await journal.close()
    const again = await openJournal(t, { path: journal.path })
    assert.equal(again.pending, 7)
    assert.equal(again.next, 11)
    const records = await readAll(again)
    assert.deepEqual(sequencesOf(records), [1, 4, 5, 6, 8, 9, 10])
    for (const { sequence, record } of records) assert.deepEqual(record, recordOf(sequence))
    assert.deepEqual(
      { ...again.recovery, milliseconds: 0 },
      {
        ...{ pending: 7, lost: 0, unreadable: 0, truncatedBytes: 0, markDamaged: false, milliseconds: 0 },
      },
    )
  })

  test('takes records of any size, also empty ones and ones larger than a segment', async (t) => {
    const sizes = [0, 1, 300_000, 4096, 0, 100_000]
    const journal = await openJournal(t, { segmentBytes: 4096 })
    for (const size of sizes) journal.append(recordOf(journal.next, size))
    await durable(journal)
    await journal.close()
    const again = await openJournal(t, { path: journal.path, segmentBytes: 4096 })
    const records = await readAll(again)
    assert.deepEqual(
      records.map(({ record }) => record),
      sizes.map((size, index) => recordOf(index + 1, size)),
    )
  })

  test('announces what is durable, many records with one sync', async (t) => {
    const announced: number[] = []
    const journal = await openJournal(t, { onDurable: (through) => announced.push(through) })
    appendMany(journal, 500)
    assert.equal(journal.durable, 0)
    await durable(journal)
    assert.deepEqual(announced, [500])
    assert.equal(journal.syncs, 2)
  })

  test('keeps nothing of a record that was done before it was written but its header', async (t) => {
    const journal = await openJournal(t)
    appendMany(journal, 100, 1000)
    for (let sequence = 1; sequence <= 99; sequence++) journal.done(sequence)
    await durable(journal)
    assert.ok(journal.diskBytes < 2000, `${journal.diskBytes}`)
    await journal.close()
    const again = await openJournal(t, { path: journal.path })
    assert.deepEqual(sequencesOf(await readAll(again)), [100])
  })

  test('knows what is done also of a record that was done while it was being written', async (t) => {
    const journal = await openJournal(t)
    appendMany(journal, 3)
    await new Promise((resolve) => setImmediate(resolve))
    journal.done(2)
    await durable(journal)
    assert.equal(journal.pending, 2)
    await journal.close()
    const again = await openJournal(t, { path: journal.path })
    assert.deepEqual(sequencesOf(await readAll(again)), [1, 3])
  })

  test('takes a second done of a record, and one of no record, for nothing', async (t) => {
    const journal = await openJournal(t)
    appendMany(journal, 3)
    await durable(journal)
    for (const sequence of [2, 2, 99, 0]) journal.done(sequence)
    assert.equal(journal.pending, 2)
    assert.equal(journal.oldest, 1)
    journal.done(1)
    assert.equal(journal.oldest, 3)
  })

  test('says that nothing more is taken after its end, and can be closed twice', async (t) => {
    const journal = await openJournal(t)
    appendMany(journal, 5)
    await Promise.all([journal.close(), journal.close()])
    assert.equal(journal.durable, 5)
    assert.equal(journal.state, 'closed')
    assert.throws(() => journal.append(recordOf(6)), errors.CLOSING)
    await assert.rejects(journal.read({ maxMessages: 1, maxBytes: 1 }), errors.CLOSING)
  })

  test('lets nobody but its own user read what is in it', async (t) => {
    const path = join(temporaryFolder('journal'), 'a', 'b')
    const journal = await openJournal(t, { path })
    appendMany(journal, 1)
    await durable(journal)
    journal.done(1)
    appendMany(journal, 1)
    await durable(journal)
    assert.equal(statSync(path).mode & 0o777, 0o700)
    for (const name of readdirSync(path).filter((each) => !each.startsWith('lock-'))) {
      assert.equal(statSync(join(path, name)).mode & 0o777, 0o600, name)
    }
  })

  test('cannot be opened where there can be no folder, and says why', async (t) => {
    const opening = openJournal(t, { path: '/dev/null/journal' })
    await assert.rejects(opening, (error: Error) => {
      return error instanceof errors.JOURNAL_UNUSABLE && /\/dev\/null\/journal.*ENOTDIR/.test(error.message)
    })
  })
})

describe('the cursor of a journal', () => {
  test('reads on from where it stands, within the bounds, and skips what is done', async (t) => {
    const journal = await openJournal(t, { segmentBytes: 1000 })
    appendMany(journal, 30)
    await durable(journal)
    const read = async (maxMessages: number, maxBytes: number): Promise<number[]> =>
      sequencesOf(await journal.read({ maxMessages, maxBytes }))
    assert.deepEqual(await read(3, 1000), [1, 2, 3])
    assert.deepEqual(await read(10, 250), [4, 5])
    assert.deepEqual(await read(10, 1), [6])
    for (const sequence of [7, 8, 20]) journal.done(sequence)
    assert.deepEqual(await read(3, 1000), [9, 10, 11])
    assert.equal(journal.cursor, 12)
    assert.deepEqual(await read(100, 10_000), [
      12,
      13,
      14,
      15,
      16,
      17,
      18,
      19,
      ...[21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
    ])
    assert.deepEqual(await read(100, 10_000), [])
    assert.equal(journal.cursor, journal.next)
  })

  test('also hands out what is not durable yet', async (t) => {
    const journal = await openJournal(t)
    appendMany(journal, 3)
    journal.done(2)
    assert.deepEqual(sequencesOf(await journal.read({ maxMessages: 10, maxBytes: 1000 })), [1, 3])
    assert.equal(journal.cursor, 4)
  })

  test('passes over what the caller keeps in memory, and reads the rest later, in order', async (t) => {
    const journal = await openJournal(t)
    const inMemory: number[] = []
    for (let count = 0; count < 20; count++) {
      const sequence = appendMany(journal, 1)
      if (journal.cursor !== sequence || inMemory.length >= 5) continue
      journal.skip()
      inMemory.push(sequence)
    }
    assert.deepEqual(inMemory, [1, 2, 3, 4, 5])
    assert.equal(journal.cursor, 6)
    await durable(journal)
    assert.deepEqual(
      sequencesOf(await readAll(journal)),
      Array.from({ length: 15 }, (_, index) => index + 6),
    )
    const next = appendMany(journal, 1)
    assert.equal(journal.cursor, next)
    journal.skip()
    assert.throws(() => journal.skip())
  })

  test('can pass over a record that is appended while an empty read is on its way', async (t) => {
    const journal = await openJournal(t)
    const reading = journal.read({ maxMessages: 10, maxBytes: 1000 })
    appendMany(journal, 1)
    journal.skip()
    assert.deepEqual(await reading, [])
    assert.equal(journal.cursor, 2)
  })

  test('finds a record in a large segment without reading what is before it', async (t) => {
    const journal = await openJournal(t, { maxBytes: 2 ** 24, segmentBytes: 2 ** 24 })
    for (let count = 0; count < 50; count++) {
      appendMany(journal, 100)
      await durable(journal)
    }
    for (let sequence = 1; sequence <= 4_900; sequence++) journal.done(sequence)
    const [record] = await journal.read({ maxMessages: 1, maxBytes: 1000 })
    assert.deepEqual(record, { sequence: 4_901, record: recordOf(4_901) })
  })
})

describe('the space of a journal', () => {
  test('is never more than its bound, and comes back when whole segments are done', async (t) => {
    let spaces = 0
    const path = temporaryFolder('journal')
    const journal = await openJournal(t, { path, maxBytes: 64 * 1024, segmentBytes: 4096, onSpace: () => spaces++ })
    assert.throws(() => {
      for (;;) appendMany(journal, 1)
    }, errors.JOURNAL_FULL)
    assert.ok(!journal.fits(100) && journal.level > 0.99 && journal.level <= 1)
    const stored = journal.next - 1
    await durable(journal)
    const size = (): number => readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
    assert.ok(size() <= 64 * 1024 + 16 * 1024, `${size()}`)
    // Every second one: the costliest way to say it.
    for (let sequence = 1; sequence <= stored; sequence += 2) {
      journal.done(sequence)
      await new Promise((resolve) => setImmediate(resolve))
    }
    while (journal.fits(100)) appendMany(journal, 1)
    await durable(journal)
    assert.ok(size() <= 64 * 1024 + 16 * 1024, `${size()}`)
    const last = journal.next - 1
    for (let sequence = 2; sequence <= 60; sequence += 2) journal.done(sequence)
    await until(() => spaces > 0)
    assert.ok(journal.fits(100))
    for (let sequence = 2; sequence <= last; sequence++) journal.done(sequence)
    assert.equal(journal.pending, 0)
    await until(() => journal.fits(60 * 1024))
    await journal.close()
    const again = await openJournal(t, { path })
    assert.equal(again.recovery.lost, 0)
    assert.equal(again.next, last + 1)
  })

  test('is what one record needs when all others are done, whatever segment they are in', async (t) => {
    const journal = await openJournal(t, { maxBytes: 10_000, segmentBytes: 8_000 })
    appendMany(journal, 1, 5_000)
    await durable(journal)
    journal.done(1)
    assert.ok(!journal.fits(9_000))
    await until(() => journal.fits(9_000))
  })

  test('is refused at once to what never fits', async (t) => {
    const journal = await openJournal(t, { maxBytes: 10_000 })
    assert.throws(() => journal.append(Buffer.alloc(10_000)), errors.JOURNAL_TOO_LARGE)
  })

  test('in memory is bounded, too', async (t) => {
    const journal = await openJournal(t, { maxUnwrittenBytes: 1_300 })
    appendMany(journal, 10)
    assert.throws(() => appendMany(journal, 1), /ARALDO_ERR_JOURNAL_FULL.*1240 of 1300 bytes wait to be written/)
    assert.equal(journal.unwrittenBytes, 1_240)
    await durable(journal)
    appendMany(journal, 10)
  })

  test('is not taken by a segment that is removed while a reader stands in it', async (t) => {
    const disk = new SimulatedDisk()
    const journal = await openJournal(t, { files: disk, segmentBytes: 1_000 })
    appendMany(journal, 20)
    await durable(journal)
    await journal.read({ maxMessages: 3, maxBytes: 1_000 })
    const first = disk.paths.find((path) => path.endsWith('.log')) as string
    assert.ok(disk.opened.includes(first))
    for (let sequence = 1; sequence <= 10; sequence++) journal.done(sequence)
    await until(() => !disk.paths.includes(first))
    assert.ok(!disk.opened.includes(first))
    assert.deepEqual(sequencesOf(await readAll(journal)), [11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
  })

  test('of a segment comes back also when an older one is still needed', async (t) => {
    const journal = await openJournal(t, { segmentBytes: 1_000 })
    appendMany(journal, 100)
    await durable(journal)
    const before = journal.diskBytes
    for (let sequence = 2; sequence <= 100; sequence++) journal.done(sequence)
    await until(() => journal.diskBytes < before / 4)
    await journal.close()
    const again = await openJournal(t, { path: journal.path })
    assert.deepEqual(sequencesOf(await readAll(again)), [1])
    assert.equal(again.recovery.lost, 0)
  })
})
