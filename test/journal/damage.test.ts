/**
 * A journal whose files were damaged: bits flipped, files cut short. Whatever was announced is handed out or counted as
 * lost, and nothing that was not a record is taken for one.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Journal } from '../../lib/journal/journal.ts'
import { report, scaled } from '../faults/support/scale.ts'
import { temporaryFolder } from '../support/process.ts'
import { SimulatedDisk } from './disk.ts'
import { durable, randomOf, readAll, recordOf } from './rig.ts'

const TRIALS = scaled(60, 1_000)
const OPEN_WITHIN = 5_000

const path = temporaryFolder('journal')

/** A disk as a crash leaves it, and what the journal on it had said. */
interface Image {
  readonly disk: SimulatedDisk
  readonly announced: number
  readonly pending: ReadonlySet<number>
}

/** Several segments, some removed in between, some records done, some done before they were written. */
async function imageOf(seed: number): Promise<Image> {
  const random = randomOf(seed)
  const disk = new SimulatedDisk()
  const journal = await Journal.open({ path, files: disk, maxBytes: 2 ** 20, segmentBytes: 4096, random: () => 0 })
  const pending = new Set<number>()
  const done = (sequence: number): void => {
    journal.done(sequence)
    pending.delete(sequence)
  }
  for (let round = 0; round < 25; round++) {
    for (let count = Math.floor(random() * 12); count >= 0; count--) {
      pending.add(journal.append(recordOf(journal.next, Math.floor(random() * 300))))
      if (random() < 0.2) done(journal.next - 1)
    }
    await durable(journal)
    for (const sequence of [...pending]) if (random() < 0.1 || (sequence > 40 && sequence < 90)) done(sequence)
  }
  await durable(journal)
  while (journal.bytes !== (await settledBytes(journal)));
  if (random() < 0.5) {
    await journal.close()
    return { disk, announced: journal.durable, pending }
  }
  // It is killed with some more records on their way.
  for (let count = 0; count < 3; count++) journal.append(recordOf(journal.next))
  for (let turn = Math.floor(random() * 6); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
  const announced = journal.durable
  for (let sequence = announced; sequence > announced - 3; sequence--) {
    if (sequence > journal.next - 4 && sequence < journal.next) pending.add(sequence)
  }
  const copy = disk.copy()
  await journal.close()
  return { disk: copy, announced, pending }
}

async function settledBytes(journal: Journal): Promise<number> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  return journal.bytes
}

interface Damage {
  readonly what: string
  readonly paths: readonly string[]
}

function flip(disk: SimulatedDisk, target: string, random: () => number): void {
  const content = Buffer.from(disk.content(target))
  if (content.length === 0) return
  const at = Math.floor(random() * content.length)
  content[at] = (content[at] as number) ^ (1 << Math.floor(random() * 8))
  disk.put(target, content)
}

function damage(disk: SimulatedDisk, random: () => number): Damage {
  const { paths } = disk
  const any = (): string => paths[Math.floor(random() * paths.length)] as string
  const kind = random()
  if (kind < 0.4) {
    const target = any()
    disk.put(target, disk.content(target).subarray(0, Math.floor(random() * disk.content(target).length)))
    return { what: 'truncation', paths: [target] }
  }
  if (kind < 0.7) {
    const target = any()
    flip(disk, target, random)
    return { what: 'flip', paths: [target] }
  }
  if (kind < 0.8) {
    const target = any()
    const content = Buffer.from(disk.content(target))
    const from = Math.floor(random() * content.length)
    content.subarray(from, from + 512).fill(0)
    disk.put(target, content)
    return { what: 'zeros', paths: [target] }
  }
  const targets = Array.from({ length: 1 + Math.floor(random() * 20) }, any)
  for (const target of targets) flip(disk, target, random)
  return { what: 'flips', paths: targets }
}

/** @returns how many records were lost */
async function check(image: Image, seed: number): Promise<number> {
  const disk = image.disk.copy()
  const { what, paths } = damage(disk, randomOf(seed))
  const label = `${what} of ${paths.join(', ')} (seed ${seed})`
  const journal = await Journal.open({ path, files: disk, maxBytes: 2 ** 20, segmentBytes: 4096 })
  const { recovery } = journal
  assert.ok(recovery.milliseconds < OPEN_WITHIN, `${label}: ${recovery.milliseconds} ms`)
  const records = await readAll(journal)
  assert.equal(records.length, recovery.pending, label)
  let previous = 0
  for (const { sequence, record } of records) {
    assert.ok(sequence > previous && sequence < journal.next, label)
    assert.deepEqual(record, recordOf(sequence, record.length), label)
    previous = sequence
  }
  const found = new Set(records.map(({ sequence }) => sequence))
  const missing = [...image.pending].filter((sequence) => !found.has(sequence)).length
  const again = [...found].filter((sequence) => sequence <= image.announced && !image.pending.has(sequence)).length
  const isSingle = new Set(paths).size === 1
  const areDonesWhole = !paths.some((each) => each.endsWith('.done'))
  if (isSingle && areDonesWhole) {
    assert.equal(recovery.lost, missing, label)
    assert.equal(again, 0, label)
  } else if (isSingle) {
    // Dones are forgotten: records are handed out again, none is lost.
    assert.deepEqual([recovery.lost, missing], [0, 0], label)
  } else if (!recovery.markDamaged) {
    // A record that was done counts as lost where both it and that it was done cannot be read.
    assert.ok(recovery.lost >= missing && recovery.lost <= recovery.unreadable, label)
    if (areDonesWhole) assert.equal(recovery.lost, missing, label)
  } else {
    assert.ok(recovery.lost <= recovery.unreadable, label)
  }
  if (!recovery.markDamaged) assert.ok(journal.next > image.announced, label)
  await journal.close()
  // What is lost is counted once.
  const second = await Journal.open({ path, files: disk, maxBytes: 2 ** 20, segmentBytes: 4096 })
  assert.deepEqual([second.recovery.lost, second.recovery.pending], [0, recovery.pending], label)
  await second.close()
  assert.deepEqual(disk.opened, [])
  return recovery.lost
}

describe('damage to the files of a journal', () => {
  test(
    'is counted exactly: what was announced is there or counted as lost, and nothing is made up',
    { timeout: 600_000 },
    async (t) => {
      let image = await imageOf(1)
      let lost = 0
      for (let trial = 0; trial < TRIALS; trial++) {
        if (trial % 10 === 9) image = await imageOf(trial)
        lost += await check(image, trial)
      }
      report(t, { 'flips and truncations': TRIALS, 'records lost, all counted': lost })
    },
  )

  test('that took the mark away is survived with all that is in the log', async () => {
    const { disk, pending } = await imageOf(7)
    disk.put(`${path}/mark`, Buffer.alloc(0))
    const journal = await Journal.open({ path, files: disk, maxBytes: 2 ** 20 })
    assert.deepEqual(new Set((await readAll(journal)).map(({ sequence }) => sequence)), pending)
    assert.ok(journal.recovery.markDamaged)
    assert.equal(journal.recovery.lost, 0)
    await journal.close()
  })

  test('to half of the mark loses nothing of it that matters', async () => {
    const disk = new SimulatedDisk()
    const journal = await Journal.open({ path, files: disk, maxBytes: 2 ** 20, segmentBytes: 1_000 })
    for (let count = 0; count < 20; count++) journal.append(recordOf(journal.next))
    await durable(journal)
    // The last thing that happens is that a segment goes.
    for (let sequence = 1; sequence <= 8; sequence++) journal.done(sequence)
    while (journal.bytes !== (await settledBytes(journal)));
    const after = disk.copy()
    await journal.close()
    for (const half of [0, 8192]) {
      const damaged = after.copy()
      const mark = Buffer.from(damaged.content(`${path}/mark`))
      mark.fill(0, half, half + 8192)
      damaged.put(`${path}/mark`, mark)
      const again = await Journal.open({ path, files: damaged, maxBytes: 2 ** 20 })
      const { pending, lost, unreadable, markDamaged } = again.recovery
      assert.deepEqual([pending, lost, unreadable, markDamaged], [12, 0, 0, true])
      await again.close()
    }
  })

  test('to a single bit of the mark does nothing at all', async () => {
    const { disk, announced, pending } = await imageOf(9)
    const size = disk.content(`${path}/mark`).length
    for (let at = 0; at < size; at += at % 4096 < 60 ? 1 : 4036) {
      const damaged = disk.copy()
      const mark = Buffer.from(damaged.content(`${path}/mark`))
      mark[at] = (mark[at] as number) ^ (1 << (at % 8))
      damaged.put(`${path}/mark`, mark)
      const journal = await Journal.open({ path, files: damaged, maxBytes: 2 ** 20 })
      assert.deepEqual([journal.recovery.lost, journal.recovery.markDamaged], [0, false])
      assert.ok(journal.pending >= pending.size && journal.durable >= announced)
      await journal.close()
    }
  })

  test('that took a whole segment away is counted', async () => {
    const { disk, pending } = await imageOf(8)
    const log = disk.paths.filter((each) => each.endsWith('.log'))[1] as string
    await disk.remove(log)
    const journal = await Journal.open({ path, files: disk, maxBytes: 2 ** 20 })
    const found = await readAll(journal)
    assert.ok(found.length < pending.size)
    // Whether some of them were done went with it.
    assert.ok(journal.recovery.lost >= pending.size - found.length)
    await journal.close()
  })

  test('while it runs is noticed when the record is read, and counted', async () => {
    const lost: number[] = []
    const disk = new SimulatedDisk()
    const journal = await Journal.open({
      path,
      files: disk,
      maxBytes: 2 ** 20,
      onLost: (records) => lost.push(records),
    })
    for (let count = 0; count < 10; count++) journal.append(recordOf(journal.next))
    await durable(journal)
    const log = disk.paths.find((each) => each.endsWith('.log')) as string
    const content = disk.content(log)
    content[130] = (content[130] as number) ^ 1
    content.fill(0, 5 * 124, 7 * 124)
    const found = await readAll(journal)
    assert.deepEqual(
      found.map(({ sequence }) => sequence),
      [1, 3, 4, 5, 8, 9, 10],
    )
    assert.deepEqual([lost, journal.lost, journal.pending], [[1, 2], 3, 7])
    await journal.close()
  })

  test('cannot make a message that looks like a record become one', async () => {
    const disk = new SimulatedDisk()
    const open = (): Promise<Journal> => Journal.open({ path, files: disk, maxBytes: 2 ** 20 })
    const first = await open()
    first.append(recordOf(1))
    await durable(first)
    await first.close()
    const log = disk.paths.find((each) => each.endsWith('.log')) as string
    // A peer that has seen another journal's file, or an older segment, sends its content.
    const second = await open()
    second.append(Buffer.concat([disk.content(log), disk.content(log)]))
    await durable(second)
    await second.close()
    const logs = disk.paths.filter((each) => each.endsWith('.log'))
    const newest = logs.at(-1) as string
    const content = Buffer.from(disk.content(newest))
    content[20] = (content[20] as number) ^ 1
    disk.put(newest, content)
    const third = await open()
    assert.deepEqual([third.recovery.pending, third.recovery.lost], [1, 1])
    await third.close()
  })
})
