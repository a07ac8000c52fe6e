/** Which process runs on which core. */
import { availableParallelism } from 'node:os'
import { type ManagedProcess, type ProcessOptions, runOrThrow, startProcess } from '../test/support/process.ts'
import { find } from '../test/support/require.ts'

/** What is measured has a core of its own. */
export const SERVER_CORE = 0
/** The load, the brokers and the benchmark itself share the other one. */
export const LOAD_CORE = 1

/** No measurement takes longer (milliseconds). */
const SCRIPT_TIMEOUT = 10 * 60_000

/** Throws where figures would mean nothing: they need Linux, taskset and two cores. */
export function requireTwoCores(): void {
  if (process.platform !== 'linux') throw new Error('the benchmark needs Linux: it reads /proc and pins processes')
  find('taskset')
  if (availableParallelism() < 2) throw new Error('the benchmark needs two cores: one for the server, one for the load')
}

/** Starts a program on one core; its threads and children stay there, too. */
export function startPinned(core: number, options: ProcessOptions): Promise<ManagedProcess> {
  const { command, args = [] } = options
  return startProcess({ ...options, command: find('taskset'), args: ['-c', String(core), command, ...args] })
}

/** Moves this process, and what it starts from now on. */
export async function pinSelf(core: number): Promise<void> {
  await runOrThrow(find('taskset'), ['-acp', String(core), String(process.pid)])
}

/** Runs a script of the load with its options as JSON, and returns the JSON that it prints. */
export function runOnLoadCore(script: string, options: object): Promise<unknown> {
  return runScript(LOAD_CORE, script, options)
}

/** The same where the script itself is what is measured. */
export function runOnServerCore(script: string, options: object): Promise<unknown> {
  return runScript(SERVER_CORE, script, options)
}

async function runScript(core: number, script: string, options: object): Promise<unknown> {
  const args = ['-c', String(core), process.execPath, '--import', 'tsx', script, JSON.stringify(options)]
  return JSON.parse(await runOrThrow(find('taskset'), args, { timeout: SCRIPT_TIMEOUT }))
}
