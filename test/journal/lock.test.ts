import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { errors } from '../../lib/errors.ts'
import { Lock } from '../../lib/journal/lock.ts'
import { ManagedProcess, type Owner, temporaryFolder } from '../support/process.ts'
import { appendMany, durable, openJournal, readAll } from './rig.ts'

/** Another process that has the journal. */
async function holder(t: Owner, path: string): Promise<ManagedProcess> {
  const script = fileURLToPath(new URL('appender.ts', import.meta.url))
  const args = ['--import', 'tsx', script, path, 'hold']
  return new ManagedProcess({ t, command: process.execPath, args, ready: /^open$/m, timeout: 30_000 }).start()
}

describe('the lock of a journal', () => {
  test('lets no other process in, names the one that has it, and is gone when that is killed', async (t) => {
    const path = temporaryFolder('journal')
    const other = await holder(t, path)
    await assert.rejects(openJournal(t, { path }), (error: Error) => {
      assert.ok(error instanceof errors.JOURNAL_LOCKED)
      assert.equal(
        error.message,
        `the journal in '${path}' is in use by process ${other.pid}: end that one, or give this one another path`,
      )
      return true
    })
    // Also where it does not answer.
    other.pause()
    await assert.rejects(openJournal(t, { path }), errors.JOURNAL_LOCKED)
    await other.kill()
    const journal = await openJournal(t, { path })
    appendMany(journal, 1)
    await durable(journal)
    await journal.close()
    assert.deepEqual(
      readdirSync(path).filter((name) => name.startsWith('lock-')),
      [],
    )
  })

  test('lets no second journal of the same process in', async (t) => {
    const journal = await openJournal(t)
    const { path } = journal
    await assert.rejects(openJournal(t, { path }), /is in use by this process/)
    await journal.close()
    await openJournal(t, { path })
  })

  test('is given to one at most of those that want it at the same moment', async () => {
    for (let round = 0; round < 4; round++) {
      const path = temporaryFolder('journal')
      const contenders = Array.from({ length: 6 }, () => Lock.acquire(path).catch((error: unknown) => error))
      const outcomes = await Promise.all(contenders)
      const locks = outcomes.filter((outcome) => outcome instanceof Lock)
      assert.ok(locks.length <= 1)
      for (const outcome of outcomes) assert.ok(outcome instanceof Lock || outcome instanceof errors.JOURNAL_LOCKED)
      await Promise.all(locks.map((lock) => lock.release()))
      const lock = await Lock.acquire(path)
      await lock.release()
      await lock.release()
    }
  })

  test(
    'works in a folder whose path is longer than that of a socket may be',
    { skip: process.platform === 'linux' ? false : 'only Linux has short names for open folders' },
    async (t) => {
      const path = join(temporaryFolder('journal'), 'a'.repeat(120))
      const journal = await openJournal(t, { path })
      await assert.rejects(openJournal(t, { path }), errors.JOURNAL_LOCKED)
      assert.equal(readdirSync(path).filter((name) => name.startsWith('lock-')).length, 1)
      appendMany(journal, 2)
      await journal.close()
      const again = await openJournal(t, { path })
      assert.equal((await readAll(again)).length, 2)
    },
  )

  test('leaves nothing behind where the journal cannot be opened', async (t) => {
    const path = temporaryFolder('journal')
    mkdirSync(join(path, 'mark'))
    await assert.rejects(openJournal(t, { path }), errors.JOURNAL_UNUSABLE)
    assert.deepEqual(readdirSync(path), ['mark'])
    assert.ok(existsSync(join(path, 'mark')))
  })
})
