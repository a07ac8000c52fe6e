/** Journals for tests: on a simulated disk, or on a real one. */
import { createHash } from 'node:crypto'
import { Journal } from '../../lib/journal/journal.ts'
import type { JournalOptions } from '../../lib/journal/options.ts'
import type { JournalRecord } from '../../lib/journal/reader.ts'
import { temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'

/** What a record of that sequence holds: so that a wrong one is seen. */
export function recordOf(sequence: number, size = 100): Buffer {
  const record = Buffer.alloc(size)
  const hash = createHash('sha256').update(`record ${sequence}`).digest()
  for (let at = 0; at < size; at += hash.length) hash.copy(record, at)
  return record
}

/** Numbers in [0, 1) that are the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Opens a journal in a new folder, if none is given, that closes with the test. Pauses between tries take no time. */
export async function openJournal(
  t: { after(end: () => Promise<void>): void },
  options: Partial<JournalOptions> = {},
): Promise<Journal> {
  const journal = await Journal.open({
    path: temporaryFolder('journal'),
    maxBytes: 2 ** 20,
    random: () => 0,
    ...options,
  })
  t.after(() => journal.close())
  return journal
}

/** Appends records to it, of {@link recordOf}. @returns the last one's sequence */
export function appendMany(journal: Journal, count: number, size?: number): number {
  let last = 0
  for (let left = count; left > 0; left--) last = journal.append(recordOf(journal.next, size))
  return last
}

/** Resolves when everything that was appended is durable. */
export async function durable(journal: Journal): Promise<void> {
  await until(() => journal.durable === journal.next - 1, {
    timeout: 20_000,
    message: 'all to be durable',
    interval: 1,
  })
}

/** Reads all there is, a few at a time. */
export async function readAll(journal: Journal): Promise<JournalRecord[]> {
  const all: JournalRecord[] = []
  for (;;) {
    const some = await journal.read({ maxMessages: 100, maxBytes: 2 ** 20 })
    if (some.length === 0) return all
    all.push(...some)
  }
}

export function sequencesOf(records: readonly JournalRecord[]): number[] {
  return records.map(({ sequence }) => sequence)
}
