/** A process that is killed while it writes to a journal: everything that it announced is there. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { report, scaled } from '../faults/support/scale.ts'
import { ManagedProcess, type Owner, temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'
import { openJournal, randomOf, readAll, recordOf, sequencesOf } from './rig.ts'

const KILLS = scaled(15, 200)
/** Journals that are written to at the same time. */
const JOURNALS = 3
const APPENDER = fileURLToPath(new URL('appender.ts', import.meta.url))

/** What a process said before it was killed. */
interface Said {
  readonly durable: number
  readonly done: number
}

/** Runs a process on a journal and kills it after it has said something so many times, and then a moment. */
async function runAndKill(t: Owner, path: string, lines: number, delay: number): Promise<Said> {
  const args = ['--import', 'tsx', APPENDER, path]
  const appender = new ManagedProcess({ t, command: process.execPath, args, ready: /^open$/m, timeout: 60_000 })
  await appender.start()
  await until(() => appender.stdout.split('durable').length > lines, { timeout: 60_000, interval: 2 })
  await new Promise((resolve) => setTimeout(resolve, delay))
  const { signal } = await appender.kill()
  assert.equal(signal, 'SIGKILL', appender.stderr)
  // Not a last line that the kill has cut short.
  const said = (what: string): number => {
    const numbers = Array.from(appender.stdout.matchAll(new RegExp(`^${what} (\\d+)\\n`, 'gm')), ([, text]) =>
      Number(text),
    )
    return numbers.at(-1) ?? 0
  }
  return { durable: said('durable'), done: said('done') }
}

/** @returns up to which sequence everything is done then */
async function check(t: Owner, path: string, { durable, done }: Said): Promise<number> {
  const journal = await openJournal(t, { path, maxBytes: 32 * 1024 * 1024 })
  assert.deepEqual([journal.recovery.lost, journal.recovery.unreadable, journal.recovery.markDamaged], [0, 0, false])
  assert.ok(journal.next > durable)
  const records = await readAll(journal)
  const sequences = sequencesOf(records)
  for (const { sequence, record } of records) assert.deepEqual(record, recordOf(sequence, (sequence * 37) % 3000))
  assert.deepEqual(
    sequences,
    sequences.toSorted((a, b) => a - b),
  )
  const found = new Set(sequences)
  assert.equal(found.size, sequences.length)
  for (let sequence = done + 1; sequence <= durable; sequence++) {
    assert.ok(sequence % 3 === 0 || found.has(sequence), `record ${sequence} of ${durable} is missing`)
  }
  for (const sequence of sequences) journal.done(sequence)
  assert.equal(journal.pending, 0)
  await journal.close()
  return journal.next - 1
}

describe('a process that is killed', () => {
  test('has lost nothing of what its journal announced', { timeout: 3_600_000 }, async (t) => {
    const random = randomOf(KILLS)
    let left = KILLS
    let records = 0
    const chain = async (): Promise<void> => {
      const path = temporaryFolder('journal')
      let before = 0
      while (left-- > 0) {
        const said = await runAndKill(t, path, 1 + Math.floor(random() * 40), random() * 5)
        records += said.durable - before
        before = await check(t, path, { durable: said.durable, done: Math.max(before, said.done) })
      }
    }
    await Promise.all(Array.from({ length: JOURNALS }, chain))
    report(t, { kills: KILLS, 'records announced': records, lost: 0 })
  })
})
