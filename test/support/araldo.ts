/** The command itself, as users run it: `dist/cli.js` in a process of its own. `npm test` builds it first. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ManagedProcess, type Owner, type RunResult, run, startProcess, temporaryFolder } from './process.ts'

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Root may do everything: without these rights it may read no file and take no port that its mode does not permit. */
  readonly unprivileged?: boolean
}

/** util-linux's setpriv takes from root what makes it more than any other user. */
const UNPRIVILEGED = ['--bounding-set=-dac_override,-dac_read_search,-net_bind_service', '--inh-caps=-all']

/** Runs the command to its end. */
export function araldo(
  args: readonly string[],
  { unprivileged = false, ...options }: RunOptions = {},
): Promise<RunResult> {
  const command = [process.execPath, CLI, ...args]
  if (!unprivileged || process.getuid?.() !== 0) return run(process.execPath, command.slice(1), options)
  return run('setpriv', [...UNPRIVILEGED, ...command], options)
}

/** A new folder that holds an `araldo.yaml`. */
export async function configFolder(yaml: string): Promise<string> {
  const folder = temporaryFolder('config')
  await writeFile(join(folder, 'araldo.yaml'), yaml)
  return folder
}

export interface RunningAraldo {
  readonly process: ManagedProcess
  readonly folder: string
  /** `127.0.0.1:40123` */
  readonly host: string
  /** The log's lines so far, parsed. */
  log(): Record<string, unknown>[]
}

/** Runs a relay with this config until the test ends. Give it `server-port: 0`. Resolves when it listens. */
export async function startAraldo(
  yaml: string,
  options: Pick<RunOptions, 'env'> & { readonly t: Owner },
): Promise<RunningAraldo> {
  const folder = await configFolder(yaml)
  const { t, env = {} } = options
  const child = await startProcess({
    command: process.execPath,
    args: [CLI],
    cwd: folder,
    env,
    t,
    ready: /listening at http/,
  })
  const [, host = ''] = await child.line(/listening at http:\/\/([^"\s]+)/)
  return {
    process: child,
    folder,
    host,
    log: () =>
      child.stdout
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}
