/** The command in a process that is killed and started again; its ledger, read by its metrics, and its memory. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { busySeconds, cpuSeconds, residentKiB } from '../../../bench/measure.ts'
import { MAX_OTHERS } from '../../../bench/quiet.ts'
import type { ConfigObject } from '../../../lib/plugin.ts'
import { CLI } from '../../support/araldo.ts'
import { parseMetrics, valueOf, type MetricFamily } from '../../support/metrics.ts'
import { onFreePort } from '../../support/port.ts'
import { type Exit, type ManagedProcess, type Owner, startProcess, temporaryFolder } from '../../support/process.ts'
import { until } from '../../support/wait.ts'
import { PATIENCE, scaled } from './scale.ts'

export interface LaneLedger {
  readonly received: number
  readonly delivered: number
  readonly filtered: number
  readonly dropped: number
  /** Of these: what the target had, and had not answered, when its connection was lost. It arrived, or did not. */
  readonly inDoubt: number
  readonly deadLettered: number
  readonly waiting: number
  /** Payload bytes of those that wait. */
  readonly bytes: number
  readonly retries: number
}

/** What the relay says of itself at one moment. Every lane's ledger has been found to add up. */
export class Scrape {
  readonly #families: ReadonlyMap<string, MetricFamily>

  constructor(text: string) {
    this.#families = parseMetrics(text)
    for (const { labels } of this.#families.get('araldo_lane_messages_received_total')?.samples ?? []) {
      const { received, delivered, filtered, dropped, deadLettered, waiting } = this.lane(
        labels.source as string,
        labels.target as string,
      )
      const lane = `${labels.source} -> ${labels.target}`
      assert.equal(received, delivered + filtered + dropped + deadLettered + waiting, `the ledger of ${lane}`)
      assert.ok(waiting >= 0, `the ledger of ${lane}: more has ended than came in`)
    }
  }

  lane(source: string, target: string): LaneLedger {
    const value = (name: string): number => this.value(`lane_${name}`, { source, target })
    const drops = (this.#families.get('araldo_lane_messages_dropped_total')?.samples ?? []).filter(
      ({ labels }) => labels.source === source && labels.target === target,
    )
    return {
      received: value('messages_received_total'),
      delivered: value('messages_delivered_total'),
      filtered: value('messages_filtered_total'),
      dropped: drops.reduce((sum, sample) => sum + sample.value, 0),
      inDoubt: drops.find(({ labels }) => labels.reason === 'down')?.value ?? 0,
      deadLettered: value('messages_dead_lettered_total'),
      waiting: value('messages_waiting'),
      bytes: value('waiting_bytes'),
      retries: value('retries_total'),
    }
  }

  endpoint(endpoint: string, figure: string): number {
    return this.value(`endpoint_${figure}`, { endpoint })
  }

  isUp(endpoint: string): boolean {
    return this.value('endpoint_state', { endpoint, state: 'up' }) === 1
  }

  value(name: string, labels: Readonly<Record<string, string>>): number {
    const value = valueOf(this.#families, `araldo_${name}`, labels)
    if (value === undefined) throw new Error(`no metric araldo_${name} with ${JSON.stringify(labels)}`)
    return value
  }
}

export interface RelayOptions {
  readonly t: Owner
  /** Without a port: it has one of its own, which stays. */
  readonly config: ConfigObject
  /** More files of the config's folder. */
  readonly files?: Readonly<Record<string, string>>
  /** Of Node itself. */
  readonly nodeArgs?: readonly string[]
}

export class RelayProcess {
  readonly process: ManagedProcess
  readonly folder: string
  readonly host: string
  readonly #port: number

  constructor(process: ManagedProcess, folder: string, port: number) {
    this.process = process
    this.folder = folder
    this.#port = port
    this.host = `127.0.0.1:${port}`
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error('the relay is not running')
    return this.process.pid
  }

  /** SIGKILL: a crash. */
  kill(): Promise<Exit> {
    return this.process.kill()
  }

  /** SIGTERM, and the wait for its end. */
  stop(): Promise<Exit> {
    return this.process.stop()
  }

  /** Again, after {@link kill} or {@link stop}: on the same port, with the same config. */
  async start(): Promise<void> {
    await this.process.start()
  }

  /** Writes another config into its file. */
  async configure(config: ConfigObject): Promise<void> {
    await writeConfig(this.folder, config, this.#port)
  }

  async scrape(): Promise<Scrape> {
    const response = await fetch(`http://${this.host}/metrics`)
    if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`)
    return new Scrape(await response.text())
  }

  /** Waits until what the relay says of itself is so. */
  until(
    predicate: (scrape: Scrape) => boolean,
    message: string,
    { timeout = PATIENCE, interval = 50 }: { readonly timeout?: number; readonly interval?: number } = {},
  ): Promise<Scrape> {
    const ask = async (): Promise<Scrape | undefined> => {
      const scrape = await this.scrape()
      return predicate(scrape) ? scrape : undefined
    }
    return until(ask, { timeout, message, interval })
  }
}

/** Resolves when it listens; what it is connected to may still be down. */
export function startRelay({ t, config, files = {}, nodeArgs = [] }: RelayOptions): Promise<RelayProcess> {
  const folder = temporaryFolder('relay')
  return onFreePort(async (port) => {
    await writeConfig(folder, config, port)
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const live = `http://127.0.0.1:${port}/health/live`
    const child = await startProcess({
      command: process.execPath,
      args: [...nodeArgs, CLI],
      cwd: folder,
      t,
      ready: async ({ running }) => running && (await fetch(live)).ok,
      timeout: PATIENCE,
    })
    return new RelayProcess(child, folder, port)
  })
}

/** JSON is YAML, too. */
function writeConfig(folder: string, config: ConfigObject, port: number): Promise<void> {
  const global = { 'log-level': 'warning', ...config.global, 'server-port': port }
  return writeFile(join(folder, 'araldo.yaml'), JSON.stringify({ ...config, global }))
}

/** Looks at the relay again and again: its ledgers must add up each time, and what waits is remembered at its most. */
export class Watch {
  readonly #relay: RelayProcess
  readonly #timer: NodeJS.Timeout
  readonly #most = new Map<string, { messages: number; bytes: number }>()
  readonly #lanes: readonly (readonly [string, string])[]
  #looking: Promise<void> | undefined
  #failure: Error | undefined
  looks = 0

  constructor(t: Owner, relay: RelayProcess, lanes: readonly (readonly [source: string, target: string])[]) {
    this.#relay = relay
    this.#lanes = lanes
    this.#timer = setInterval(
      () => {
        this.#looking ??= this.#look()
      },
      scaled(100, 500),
    )
    t.after(() => clearInterval(this.#timer))
  }

  /** @returns what waited in the lane at most, as far as it was seen. */
  most(source: string, target: string): { messages: number; bytes: number } {
    return this.#most.get(`${source} ${target}`) ?? { messages: 0, bytes: 0 }
  }

  /** Ends it, and throws if a ledger did not add up. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
    if (this.#failure !== undefined) throw this.#failure
    assert.ok(this.looks > 0, 'the ledger was looked at')
  }

  async #look(): Promise<void> {
    try {
      const scrape = await this.#relay.scrape()
      this.looks++
      for (const [source, target] of this.#lanes) {
        const { waiting, bytes } = scrape.lane(source, target)
        const most = this.most(source, target)
        this.#most.set(`${source} ${target}`, {
          messages: Math.max(most.messages, waiting),
          bytes: Math.max(most.bytes, bytes),
        })
      }
    } catch (error) {
      // A relay that is down, or going, shows nothing.
      if (error instanceof assert.AssertionError) this.#failure ??= error
    } finally {
      this.#looking = undefined
    }
  }
}

/** How much more memory a process has taken at any moment since a given one. */
export class Memory {
  readonly #pid: number
  readonly #before: number

  /** Begins now: Linux forgets the peak that the process has had. */
  constructor({ pid }: { readonly pid: number }) {
    this.#pid = pid
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
    this.#before = residentKiB(pid)
  }

  /** Bytes. */
  get growth(): number {
    const [, peak] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8')) ?? []
    if (peak === undefined) throw new Error(`process ${this.#pid} has no memory: it has ended`)
    return Math.max(0, Number(peak) - this.#before) * 1024
  }
}

/** What other programs use of the machine since a given moment: where they use much, a figure of time is theirs. */
export class Others {
  readonly #pids: readonly number[]
  readonly #began = performance.now()
  readonly #busy: number

  /** @param processes all that the test has started and that has work to do. */
  constructor(...processes: readonly { readonly pid: number | undefined }[]) {
    this.#pids = [process, ...processes].flatMap(({ pid }) => pid ?? [])
    this.#busy = this.#measure()
  }

  /** Of one core. */
  get share(): number {
    return Math.max(0, ((this.#measure() - this.#busy) * 1_000) / (performance.now() - this.#began))
  }

  #measure(): number {
    return busySeconds() - this.#pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  }
}

/** Whether a figure of time that was measured beside them counts. */
export function isQuiet(share: number): boolean {
  return share <= MAX_OTHERS
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} % of a core`
}
