/**
 * Real processes in tests: started, awaited, killed, frozen, started again.
 *
 * Nothing outlives the tests. A process ends with the test that it was given (`t`), else with the test file; and a
 * small watchdog beside the test file kills what is left and removes the temporary folders, even when the test file
 * itself is killed with SIGKILL.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { chmodSync, mkdtempSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until, within } from './wait.ts'

/** What a process belongs to: a test's context, `t`. */
export interface Owner {
  after(end: () => void | Promise<void>): void
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  readonly command: string
  readonly args?: readonly string[]
  /** Added to the tests' own environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Another user to run as; only root can. */
  readonly uid?: number
  readonly gid?: number
  /** It is up when a line of its output matches, or when the function returns true. At once if left out. */
  readonly ready?: RegExp | ((process: ManagedProcess) => boolean | Promise<boolean>)
  /** Milliseconds until it must be ready; 10,000 if left out. */
  readonly timeout?: number
  /** What {@link ManagedProcess.stop} sends; SIGTERM if left out. */
  readonly stopSignal?: NodeJS.Signals
  /** The test that it ends with; the test file if left out. */
  readonly t?: Owner | undefined
}

/** Output beyond this is forgotten from the beginning (characters). */
const MAX_OUTPUT = 1024 * 1024
/** A process that has not ended this long after being asked to is killed (milliseconds). */
const STOP_TIMEOUT = 10_000

/** Kills the groups and removes the folder when its standard input ends: that is, when the tests have ended. */
const WATCHDOG = `
folder=$1
groups=' '
while read -r action group; do
  case $action in
    add) groups="$groups$group " ;;
    remove) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -9 "-$group" 2>/dev/null; done
rm -rf "$folder"
`

let temporaryRoot: string | undefined
let watchdog: ChildProcess | undefined
let folders = 0

/** A new empty folder that is removed when the test file has ended. Other users may enter it, but not list it. */
export function temporaryFolder(name = 'folder'): string {
  if (temporaryRoot === undefined) {
    temporaryRoot = mkdtempSync(join(tmpdir(), 'araldo-test-'))
    chmodSync(temporaryRoot, 0o711)
    startWatchdog(temporaryRoot)
  }
  return mkdtempSync(join(temporaryRoot, `${name}-${folders++}-`))
}

function startWatchdog(folder: string): void {
  watchdog = spawn('sh', ['-c', WATCHDOG, 'watchdog', folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watchdog.unref()
  ;(watchdog.stdin as Socket).unref()
}

function watch(action: 'add' | 'remove', group: number): void {
  if (watchdog === undefined) temporaryFolder()
  watchdog?.stdin?.write(`${action} ${group}\n`)
}

/** One program, whose process can be ended and started again. Not running until {@link start}. */
export class ManagedProcess {
  readonly #options: ProcessOptions
  readonly #lines = new EventEmitter().setMaxListeners(0)
  #child: ChildProcess | undefined
  #exited: Promise<Exit> | undefined
  #stdout = ''
  #stderr = ''

  constructor(options: ProcessOptions) {
    this.#options = options
    options.t?.after(() => this.kill().then(() => undefined))
  }

  /** What the running, or the last, process wrote. At most 1 MiB of its end. */
  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get running(): boolean {
    const child = this.#child
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** How the running, or the last, process ends. The test file stays alive until then. */
  get exited(): Promise<Exit> {
    if (this.#exited === undefined) throw new Error(`${this.#options.command} was never started`)
    if (this.running) this.#hold('ref')
    return this.#exited
  }

  /** Resolves when it is ready. Throws, with its output, when it ends before or is not ready in time. */
  async start(): Promise<this> {
    if (this.running) throw new Error(`${this.#options.command} is running already`)
    const { ready, timeout = 10_000 } = this.#options
    this.#stdout = ''
    this.#stderr = ''
    this.#spawn()
    if (ready === undefined) return this
    const isReady = ready instanceof RegExp ? this.line(ready, timeout) : this.#probe(ready, timeout)
    try {
      await isReady
    } catch (cause) {
      await this.kill()
      throw new Error(`${this.#options.command} did not start:\n${this.#stdout}${this.#stderr}`, { cause })
    }
    return this
  }

  /**
   * The first line of its output, past or to come, that matches. Throws when it ends without one or the time is over.
   * @param timeout milliseconds
   */
  async line(pattern: RegExp, timeout = 5_000): Promise<RegExpExecArray> {
    const search = (): RegExpExecArray | null => pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr)
    const found = search()
    if (found !== null) return found
    let listener: ((line: string) => void) | undefined
    const line = new Promise<RegExpExecArray>((resolve, reject) => {
      listener = () => {
        const match = search()
        if (match !== null) resolve(match)
      }
      this.#lines.on('output', listener)
      void this.#exited?.then((exit) => reject(new Error(`ended with ${describeExit(exit)} and wrote no ${pattern}`)))
    })
    try {
      return await within(line, { timeout, message: `${this.#options.command} to write ${pattern}` })
    } finally {
      if (listener !== undefined) this.#lines.off('output', listener)
    }
  }

  /** Ends it at once with SIGKILL, its children too: a crash. */
  kill(): Promise<Exit> {
    return this.#end('SIGKILL')
  }

  /** Asks it, not its children, to end; kills all of them when it has not after 10 s. */
  async stop(signal: NodeJS.Signals = this.#options.stopSignal ?? 'SIGTERM'): Promise<Exit> {
    if (this.running) this.resume()
    return this.#end(signal)
  }

  /** Freezes it: connections stay open, nobody answers. */
  pause(): void {
    this.signal('SIGSTOP')
  }

  resume(): void {
    this.signal('SIGCONT')
  }

  /** Sends a signal to it and to its children. */
  signal(signal: NodeJS.Signals): void {
    const pid = this.pid
    if (pid === undefined || !this.running) throw new Error(`${this.#options.command} is not running`)
    process.kill(-pid, signal)
  }

  #killGroup(): void {
    if (this.pid !== undefined) killGroup(this.pid)
  }

  #spawn(): void {
    const { command, args = [], env, cwd, uid, gid } = this.#options
    const child = spawn(command, args, {
      detached: true, // a group of its own, so that its children can be signalled with it
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    })
    this.#child = child
    if (child.pid !== undefined) watch('add', child.pid)
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#stderr += String(error)
        resolve({ code: null, signal: null })
      })
      // 'close', not 'exit': by then all of its output has been read.
      child.once('close', (code, signal) => resolve({ code, signal }))
      child.once('exit', () => {
        if (child.pid === undefined) return
        killGroup(child.pid) // children that it left behind, which may hold its output open
        watch('remove', child.pid)
      })
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-MAX_OUTPUT)
      this.#lines.emit('output')
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_OUTPUT)
      this.#lines.emit('output')
    })
    this.#hold('unref')
  }

  /** A process that is merely there must not keep the test file from ending; one whose end is awaited must. */
  #hold(how: 'ref' | 'unref'): void {
    this.#child?.[how]()
    for (const output of [this.#child?.stdout, this.#child?.stderr]) (output as Socket | undefined)?.[how]()
  }

  async #probe(ready: (process: ManagedProcess) => boolean | Promise<boolean>, timeout: number): Promise<void> {
    const message = `${this.#options.command} to be ready`
    await until(async () => !this.running || (await ready(this)), { timeout, interval: 20, message })
    if (!this.running) throw new Error(`ended with ${describeExit(await this.exited)}`)
  }

  async #end(signal: NodeJS.Signals): Promise<Exit> {
    if (this.#exited === undefined) return { code: null, signal: null }
    if (!this.running) return this.#exited
    // Asked to end, a server ends its children itself; a crash takes all of them.
    // It may have ended by itself this very moment, of which Node has not told yet.
    if (signal === 'SIGKILL') this.#killGroup()
    else this.#child?.kill(signal)
    try {
      return await within(this.#exited, { timeout: STOP_TIMEOUT, message: `${this.#options.command} to end` })
    } catch (error) {
      if (!this.running) throw error
      this.#killGroup()
      return within(this.#exited, { timeout: STOP_TIMEOUT, message: `${this.#options.command} to be killed` })
    }
  }
}

/** Makes a {@link ManagedProcess} and waits until it is ready. */
export function startProcess(options: ProcessOptions): Promise<ManagedProcess> {
  return new ManagedProcess(options).start()
}

export interface RunResult extends Exit {
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program to its end. A failure is a result, not an error; it is killed and an error thrown when it takes
 * longer than `timeout` milliseconds (30,000 if left out).
 */
export async function run(
  command: string,
  args: readonly string[] = [],
  options: Pick<ProcessOptions, 'env' | 'cwd' | 'uid' | 'gid' | 'timeout'> = {},
): Promise<RunResult> {
  const child = await startProcess({ command, args, ...options })
  try {
    const message = `${command} ${args.join(' ')} to end`
    const exit = await within(child.exited, { timeout: options.timeout ?? 30_000, message })
    return { ...exit, stdout: child.stdout, stderr: child.stderr }
  } finally {
    await child.kill()
  }
}

/** Like {@link run}, but throws with the output unless it exits with 0. Returns what it wrote to stdout. */
export async function runOrThrow(...args: Parameters<typeof run>): Promise<string> {
  const result = await run(...args)
  if (result.code === 0) return result.stdout
  const [command, parameters = []] = args
  throw new Error(
    `${[command, ...parameters].join(' ')} ended with ${describeExit(result)}:\n${result.stdout}${result.stderr}`,
  )
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // none was left
  }
}

function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`
}
