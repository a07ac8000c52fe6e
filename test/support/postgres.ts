/** Real PostgreSQL servers, each with a data folder of its own. */
import { chownSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { onFreePort } from './port.ts'
import type { Owner } from './process.ts'
import { runOrThrow, startProcess, temporaryFolder } from './process.ts'
import { find } from './require.ts'
import { Server } from './server.ts'

export interface PostgresServerOptions {
  /** More settings: `{ max_connections: '10' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** The test that it ends with; the test file if left out. */
  readonly t?: Owner
}

export class PostgresServer extends Server {
  /** Runs a statement with psql; returns its rows, one a line, columns separated by `|`. */
  async sql(statement: string): Promise<string> {
    const rows = await runOrThrow(find('psql'), ['--no-psqlrc', '-q', '-A', '-t', '-c', statement, this.url])
    return rows.trimEnd()
  }
}

/** Nothing is synchronised to disk: what a crash of the machine would lose, tests can lose. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off' }

export async function startPostgres({ settings = {}, t }: PostgresServerOptions = {}): Promise<PostgresServer> {
  const user = serverUser()
  const folder = temporaryFolder('postgres')
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  await runOrThrow(find('initdb'), ['-D', data, '-A', 'trust', '-U', 'postgres', '-N', '--locale=C', '-E', 'UTF8'], {
    cwd: folder,
    ...user,
  })
  return onFreePort(async (port) => {
    const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...FAST, ...settings }
    const server = await startProcess({
      command: find('postgres'),
      args: [
        '-D',
        data,
        '-p',
        String(port),
        ...Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
      ],
      cwd: folder,
      ready: /database system is ready to accept connections/,
      stopSignal: 'SIGINT', // end without waiting for clients
      t,
      ...user,
    })
    return new PostgresServer(server, port, `postgres://postgres@127.0.0.1:${port}/postgres`)
  })
}

/** PostgreSQL refuses to run as root: then the package's own user runs it. */
function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8').match(/^postgres:[^:]*:(\d+):(\d+):/m)
  if (line === null) throw new Error("PostgreSQL cannot run as root, and there is no user 'postgres' to run it as")
  return { uid: Number(line[1]), gid: Number(line[2]) }
}
