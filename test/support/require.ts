/** Finds the programs that tests run: brokers, a browser, command-line tools. */
import { accessSync, constants, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Folders that hold servers but are often not in a user's PATH. `*` stands for one folder, newest version first. */
const SERVER_FOLDERS = [
  '/usr/lib/rabbitmq/bin',
  '/usr/lib/erlang/bin',
  '/usr/lib/postgresql/*/bin',
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
]

/** Programs that go by several names; the first that is there is taken. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  chromium: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
}

/** Debian's /usr/sbin/rabbitmq-server changes to another user and folder; the program itself does neither. */
const NOT_FROM_PATH = new Set(['rabbitmq-server', 'rabbitmqctl', 'initdb', 'postgres', 'psql'])

/**
 * For a test's `skip` option: `false` when all programs are there, else a line that says how to get them.
 *
 *     describe('a Redis that dies', { skip: need('redis-server') }, () => { … })
 *
 * Where `CI` is set nothing is skipped: it throws, so that a run on CI cannot pass by testing nothing.
 */
export function need(...programs: string[]): string | false {
  const missing = programs.filter((program) => locate(program) === undefined)
  if (missing.length === 0) return false
  if (process.env.CI) throw new Error(missingMessage(missing))
  return missingMessage(missing)
}

/** The absolute path of a program. Throws, and says how to get it, where it is missing. */
export function find(program: string): string {
  const path = locate(program)
  if (path === undefined) throw new Error(missingMessage([program]))
  return path
}

/** The absolute path of a program, or undefined. */
export function locate(program: string): string | undefined {
  const fromPath = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const fromServers = SERVER_FOLDERS.flatMap(expand)
  const folders = NOT_FROM_PATH.has(program) ? [...fromServers, ...fromPath] : [...fromPath, ...fromServers]
  for (const name of NAMES[program] ?? [program]) {
    for (const folder of folders) {
      const path = join(folder, name)
      if (isExecutable(path)) return path
    }
  }
  return undefined
}

function missingMessage(programs: readonly string[]): string {
  const verb = programs.length === 1 ? 'is' : 'are'
  return `${programs.join(', ')} ${verb} not installed: run 'npm run test:tools' as root (Debian, Ubuntu)`
}

function expand(folder: string): string[] {
  const [parent, rest] = folder.split('/*/')
  if (parent === undefined || rest === undefined) return [folder]
  try {
    const versions = readdirSync(parent).toSorted((a, b) => Number.parseFloat(b) - Number.parseFloat(a))
    return versions.map((version) => join(parent, version, rest))
  } catch {
    return [] // no such folder: nothing is installed there
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
