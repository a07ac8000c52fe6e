/** From an outbox to a table, by a relay in a process of its own: whoever is killed, nothing is lost. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ManagedProcess, type Owner, startProcess, temporaryFolder } from '../../support/process.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'

const CLI = fileURLToPath(new URL('../../../lib/cli.ts', import.meta.url))
const ROWS = 4_000
const KEYS = 25

/** The command, from its sources. */
async function startRelay(t: Owner, url: string, deduplicate: boolean): Promise<ManagedProcess> {
  const folder = temporaryFolder('relay')
  await writeFile(
    join(folder, 'araldo.yaml'),
    `global: { server-port: 0 }
plugins:
  araldo.endpoints.endpoint:
    - { name: outbox, id: endpoint-postgres, url: '${url}', outbox: outbox, create: true, poll-interval: 100ms, batch: 64 }
    - { name: inbox, id: endpoint-postgres, url: '${url}', table: inbox, create: true, deduplicate: ${deduplicate} }
routes:
  outbox: [inbox]
`,
  )
  return startProcess({
    command: process.execPath,
    args: ['--import', import.meta.resolve('tsx'), CLI],
    cwd: folder,
    ready: /listening at http/,
    timeout: 30_000,
    t,
  })
}

const count = async (server: PostgresServer, table: string): Promise<number> =>
  Number(await server.sql(`SELECT count(*) FROM ${table}`))

async function fill(server: PostgresServer): Promise<void> {
  await server.sql(`INSERT INTO outbox (key, payload)
    SELECT 'k' || n % ${KEYS}, n::text::bytea FROM generate_series(1, ${ROWS}) n`)
}

/** All rows are there once, and those of each key in order. */
async function expectAll(server: PostgresServer): Promise<void> {
  await until(async () => (await count(server, 'outbox')) === 0, { timeout: 60_000 })
  assert.equal(await count(server, 'inbox'), ROWS)
  assert.equal(await server.sql('SELECT count(DISTINCT payload) FROM inbox'), String(ROWS))
  const disorder = `SELECT count(*) FROM (SELECT convert_from(payload, 'UTF8')::int AS n,
    lag(convert_from(payload, 'UTF8')::int) OVER (PARTITION BY key ORDER BY id) AS before FROM inbox) AS ordered WHERE before > n`
  assert.equal(await server.sql(disorder), '0')
}

describe('a relay from an outbox to a table', { skip: need('initdb', 'postgres', 'psql') }, () => {
  // What is committed must be there after a crash.
  const settings = { synchronous_commit: 'on' }

  test('is killed in the middle, again and again: all arrives, in order per key', async (t) => {
    const server = await startPostgres({ t, settings })
    let relay = await startRelay(t, server.url, true)
    await until(
      async () =>
        (await server.sql("SELECT to_regclass('outbox') IS NOT NULL AND to_regclass('inbox') IS NOT NULL")) === 't',
    )
    await fill(server)
    for (const part of [0.2, 0.5]) {
      await until(async () => (await count(server, 'inbox')) > ROWS * part)
      await relay.kill()
      assert.ok((await count(server, 'outbox')) > 0)
      relay = await startRelay(t, server.url, true)
    }
    await expectAll(server)
  })

  test('keeps on when one of two is killed in the middle: the other has its rows', async (t) => {
    const server = await startPostgres({ t, settings })
    const relays = [await startRelay(t, server.url, true), await startRelay(t, server.url, true)]
    const shared = "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
    await until(async () => (await server.sql(shared)) === '2', { timeout: 20_000 })
    await fill(server)
    await until(async () => (await count(server, 'inbox')) > ROWS / 4)
    await relays[0]?.kill()
    await expectAll(server)
  })

  test('loses nothing when the server is killed in the middle', async (t) => {
    const server = await startPostgres({ t, settings })
    await startRelay(t, server.url, true)
    await until(
      async () =>
        (await server.sql("SELECT to_regclass('outbox') IS NOT NULL AND to_regclass('inbox') IS NOT NULL")) === 't',
    )
    await fill(server)
    for (const part of [0.2, 0.5]) {
      await until(async () => (await count(server, 'inbox')) > ROWS * part)
      await server.kill()
      await server.start()
      assert.ok((await count(server, 'outbox')) > 0)
    }
    await expectAll(server)
  })
})
