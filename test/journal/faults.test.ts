/** Disks that are full or broken. Nothing is announced that is not safe, and when the disk is well again, all goes on. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { errors } from '../../lib/errors.ts'
import { Journal } from '../../lib/journal/journal.ts'
import type { JournalState } from '../../lib/journal/options.ts'
import { temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'
import { type Operation, SimulatedDisk } from './disk.ts'
import { appendMany, durable, openJournal, randomOf, readAll, recordOf, sequencesOf } from './rig.ts'

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}

/** A small file system of its own; undefined where this user may not mount one. */
function smallDisk(t: { after(end: () => void): void }, size: string): string | undefined {
  const path = temporaryFolder('disk')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  t.after(() => void execFileSync('umount', ['-l', path]))
  return path
}

describe('a full disk', () => {
  test('that is a real one: appends are refused, and go on when there is room', async (t) => {
    const disk = smallDisk(t, '2m')
    if (disk === undefined) return t.skip('needs to be root and allowed to mount')
    const states: JournalState[] = []
    const onState = (state: JournalState): number => states.push(state)
    const journal = await openJournal(t, { path: join(disk, 'journal'), maxBytes: 2 ** 30, onState })
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(2 ** 20))
    while (journal.state === 'open') {
      if (journal.unwrittenBytes < 200_000) appendMany(journal, 10, 1024)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.match(journal.failure?.message ?? '', /ENOSPC/)
    assert.throws(() => journal.append(recordOf(1)), errors.JOURNAL_FAILED)
    assert.ok(journal.durable > 0 && journal.durable < journal.next - 1)
    rmSync(join(disk, 'ballast'))
    await durable(journal)
    assert.deepEqual(states, ['failed', 'open'])
    const last = appendMany(journal, 10, 1024)
    await durable(journal)
    await journal.close()
    const again = await openJournal(t, { path: journal.path })
    assert.deepEqual(
      { ...again.recovery, milliseconds: 0 },
      {
        ...{ pending: last, lost: 0, unreadable: 0, truncatedBytes: 0, markDamaged: false, milliseconds: 0 },
      },
    )
    const records = await readAll(again)
    assert.deepEqual(sequencesOf(records), upTo(last))
    for (const { sequence, record } of records) assert.deepEqual(record, recordOf(sequence, 1024))
  })

  test('gets room again from what is delivered meanwhile', async (t) => {
    const disk = new SimulatedDisk()
    const journal = await openJournal(t, { files: disk, segmentBytes: 1_000 })
    const stored = appendMany(journal, 50)
    await durable(journal)
    disk.capacity = disk.used
    appendMany(journal, 5)
    await until(() => journal.state === 'failed')
    assert.deepEqual(sequencesOf(await readAll(journal)), upTo(stored + 5))
    assert.equal(journal.durable, stored)
    for (let sequence = 1; sequence <= 30; sequence++) journal.done(sequence)
    await durable(journal)
    await until(() => journal.state === 'open')
    assert.ok(disk.used < disk.capacity)
  })

  test('at the end: what is not durable was not announced, and the end comes', async (t) => {
    const disk = new SimulatedDisk()
    const journal = await openJournal(t, { files: disk })
    const last = appendMany(journal, 3)
    await durable(journal)
    disk.capacity = disk.used
    appendMany(journal, 3)
    await until(() => journal.state === 'failed')
    await journal.close()
    assert.equal(journal.durable, last)
    const again = await openJournal(t, { files: disk, path: journal.path })
    assert.deepEqual(sequencesOf(await readAll(again)), upTo(last))
  })
})

/** A disk of which an operation on files of some names fails as often as is said. */
function failing(operation: Operation, name: RegExp, times: number): { disk: SimulatedDisk; left: () => number } {
  const disk = new SimulatedDisk()
  let left = times
  disk.fault = (asked, path) => {
    if (left === 0 || asked !== operation || !name.test(path)) return undefined
    left--
    return Object.assign(new Error(`EIO: ${operation}`), { code: 'EIO' })
  }
  return { disk, left: () => left }
}

describe('a broken disk', () => {
  for (const [operation, name] of [
    ['write', /\.log$/],
    ['sync', /\.log$/],
    ['truncate', /\.log$/],
    ['open', /\.log$/],
    ['syncFolder', /./],
    ['write', /mark$/],
    ['sync', /mark$/],
  ] as const) {
    test(`whose ${operation} of ${name.source} fails: no record is lost or doubled, also when the power goes`, async (t) => {
      for (let seed = 0; seed < 20; seed++) {
        const path = temporaryFolder('journal')
        const { disk, left } = failing(operation, name, 0)
        const journal = await openJournal(t, { path, files: disk })
        let last = 0
        if (seed % 2 === 0) {
          last = appendMany(journal, 5)
          await durable(journal)
        }
        const done = seed % 4 === 0 ? last : 0
        for (let sequence = 1; sequence <= done; sequence++) journal.done(sequence)
        const broken = failing(operation, name, 1 + (seed % 3))
        disk.fault = broken.disk.fault
        if (operation === 'truncate') {
          // It is only asked for after something else has failed.
          let failures = 1
          disk.fault = (asked, at) => {
            if (asked === 'write' && failures-- > 0) return new Error('EIO: write')
            return broken.disk.fault(asked, at)
          }
        }
        last = appendMany(journal, 5)
        await durable(journal)
        await until(() => journal.state === 'open')
        if (broken.left() > 0 && (operation === 'write' || operation === 'sync')) assert.fail('nothing has failed')
        assert.equal(left(), 0)
        disk.losePower(randomOf(seed))
        const after = disk.copy()
        await journal.close()
        const again = await openJournal(t, { path, files: after })
        assert.equal(again.recovery.lost, 0)
        const records = await readAll(again)
        assert.equal(again.recovery.pending, records.length)
        // What was done may have been forgotten.
        const sequences = sequencesOf(records).filter((sequence) => sequence > done)
        assert.deepEqual(sequences, upTo(last).slice(done))
        for (const { sequence, record } of records) assert.deepEqual(record, recordOf(sequence))
        await again.close()
      }
    })
  }

  test('announces nothing while it does not sync, whatever is appended and read', async (t) => {
    const { disk } = failing('sync', /\.log$/, Infinity)
    const announced: number[] = []
    const journal = await openJournal(t, { files: disk, onDurable: (through) => announced.push(through) })
    appendMany(journal, 5)
    await until(() => journal.state === 'failed')
    assert.deepEqual(sequencesOf(await readAll(journal)), upTo(5))
    journal.done(1)
    assert.equal(journal.pending, 4)
    await until(() => journal.state === 'failed')
    assert.deepEqual(announced, [])
    disk.fault = () => undefined
    await durable(journal)
    assert.deepEqual(announced, [5])
  })

  test('on which only the mark of what is over fails: it takes records again as soon as that works', async (t) => {
    const disk = new SimulatedDisk()
    const states: JournalState[] = []
    const onState = (state: JournalState): number => states.push(state)
    const journal = await openJournal(t, { files: disk, segmentBytes: 1_000, onState })
    appendMany(journal, 20)
    await durable(journal)
    disk.fault = failing('sync', /mark$/, 1).disk.fault
    for (let sequence = 1; sequence <= 8; sequence++) journal.done(sequence)
    await until(() => states.length === 2)
    assert.deepEqual(states, ['failed', 'open'])
    appendMany(journal, 1)
  })

  test('that cannot be read makes a read fail, and the next one begin where that one did', async (t) => {
    const { disk } = failing('read', /\.log$/, 1)
    const journal = await openJournal(t, { files: disk })
    appendMany(journal, 5)
    await durable(journal)
    await assert.rejects(journal.read({ maxMessages: 10, maxBytes: 10_000 }), errors.JOURNAL_UNREADABLE)
    assert.equal(journal.cursor, 1)
    assert.deepEqual(sequencesOf(await readAll(journal)), upTo(5))
  })

  test('on which dones cannot be written: they are written later, and nothing is refused', async (t) => {
    const { disk, left } = failing('write', /\.done$/, 2)
    const path = temporaryFolder('journal')
    const journal = await openJournal(t, { path, files: disk })
    appendMany(journal, 5)
    await durable(journal)
    journal.done(2)
    await until(() => left() === 1)
    journal.done(3)
    await until(() => left() === 0)
    assert.equal(journal.state, 'open')
    await journal.close()
    const again = await openJournal(t, { path, files: disk })
    assert.deepEqual(sequencesOf(await readAll(again)), [1, 4, 5])
  })

  test('from which a segment that is over cannot be removed: the next start does it', async (t) => {
    const { disk } = failing('remove', /\.log$/, Infinity)
    const journal = await openJournal(t, { files: disk, segmentBytes: 1_000 })
    appendMany(journal, 20)
    await durable(journal)
    const first = disk.paths.find((path) => path.endsWith('.log')) as string
    for (let sequence = 1; sequence <= 8; sequence++) journal.done(sequence)
    await journal.close()
    assert.ok(disk.paths.includes(first))
    disk.fault = () => undefined
    const again = await openJournal(t, { path: journal.path, files: disk })
    assert.ok(!disk.paths.includes(first))
    assert.deepEqual([again.recovery.pending, again.recovery.lost], [12, 0])
  })

  test('that cannot be read at the start is an error that says so', async () => {
    const { disk } = failing('read', /mark$/, 1)
    const opening = Journal.open({ path: temporaryFolder('journal'), files: disk, maxBytes: 2 ** 20 })
    await assert.rejects(opening, errors.JOURNAL_UNUSABLE)
    assert.deepEqual(disk.opened, [])
  })
})
