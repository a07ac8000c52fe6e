/** Real PostgreSQL servers, each with a data folder of its own. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Certificate } from './certificate.ts'
import { onFreePort } from './port.ts'
import type { Exit, Owner } from './process.ts'
import { runOrThrow, startProcess, temporaryFolder } from './process.ts'
import { find } from './require.ts'
import { Server } from './server.ts'

export interface PostgresServerOptions {
  /** More settings: `{ max_connections: '10' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Speak TLS, too, with this certificate. */
  readonly certificate?: Certificate
  /** Who is let in, as lines of pg_hba.conf; everybody if left out. */
  readonly hba?: readonly string[]
  /** The test that it ends with; the test file if left out. */
  readonly t?: Owner
}

export class PostgresServer extends Server {
  /** Runs a statement with psql; returns its rows, one a line, columns separated by `|`. */
  async sql(statement: string): Promise<string> {
    const rows = await runOrThrow(find('psql'), ['--no-psqlrc', '-q', '-A', '-t', '-c', statement, this.url])
    return rows.trimEnd()
  }

  /** Its connections have processes in groups of their own, which would live on for a moment. */
  override kill(): Promise<Exit> {
    const children = this.#children()
    const killed = super.kill()
    signal(children, 'SIGKILL')
    return killed
  }

  /** With its connections. */
  override pause(): void {
    super.pause()
    signal(this.#children(), 'SIGSTOP')
  }

  override resume(): void {
    signal(this.#children(), 'SIGCONT')
    super.resume()
  }

  #children(): number[] {
    if (!this.process.running) return []
    const pids = execFileSync('ps', ['-o', 'pid=', '--ppid', String(this.process.pid)], { encoding: 'utf8' })
    return pids.trim().split(/\s+/).map(Number)
  }
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Nothing is synchronised to disk: what a crash of the machine would lose, tests can lose. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off' }

export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const { settings = {}, certificate, hba, t } = options
  const user = serverUser()
  const folder = temporaryFolder('postgres')
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  await runOrThrow(find('initdb'), ['-D', data, '-A', 'trust', '-U', 'postgres', '-N', '--locale=C', '-E', 'UTF8'], {
    cwd: folder,
    ...user,
  })
  const tls = certificate === undefined ? {} : installCertificate(certificate, data, user)
  if (hba !== undefined) writeFileSync(join(data, 'pg_hba.conf'), `${hba.join('\n')}\n`)
  return onFreePort(async (port) => {
    const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...FAST, ...tls, ...settings }
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

/** The server wants a key of its own that nobody else can read. @returns its settings. */
function installCertificate(
  { certFile, keyFile, caFile }: Certificate,
  data: string,
  user: ReturnType<typeof serverUser>,
): Record<string, string> {
  const files = { ssl_cert_file: certFile, ssl_key_file: keyFile, ssl_ca_file: caFile }
  for (const [name, file] of Object.entries(files)) {
    const copy = join(data, name)
    copyFileSync(file, copy)
    chmodSync(copy, 0o600)
    if (user !== undefined) chownSync(copy, user.uid, user.gid)
  }
  return { ssl: 'on', ...Object.fromEntries(Object.keys(files).map((name) => [name, name])) }
}

/** PostgreSQL refuses to run as root: then the package's own user runs it. */
function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8').match(/^postgres:[^:]*:(\d+):(\d+):/m)
  if (line === null) throw new Error("PostgreSQL cannot run as root, and there is no user 'postgres' to run it as")
  return { uid: Number(line[1]), gid: Number(line[2]) }
}
