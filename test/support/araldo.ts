/** The command itself, as users run it: `dist/cli.js` in a process of its own. `npm test` builds it first. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ManagedProcess, type Owner, type RunResult, run, startProcess, temporaryFolder } from './process.ts'

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Another user to run as; only root can. */
  readonly uid?: number
  readonly gid?: number
}

/** Runs the command to its end. */
export function araldo(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run(process.execPath, [CLI, ...args], options)
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
