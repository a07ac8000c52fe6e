/**
 * The load on one server, from the first connection to the figures: a process of its own, so that it has a core of its
 * own. Takes {@link LoadOptions} as JSON in its first argument and prints a {@link LoadResult} as JSON.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { busySeconds, cpuSeconds, Histogram, residentKiB } from '../measure.ts'
import { type Client, connectClients } from './client.ts'
import { type DialectName, dialects } from './dialects.ts'
import { findPlaces, nanosecondsSince, readAt } from './message.ts'
import type { PublisherOptions } from './publisher.ts'

export interface LoadOptions {
  readonly dialect: DialectName
  /** The server's process: its CPU time and memory are read. */
  readonly pid: number
  readonly port: number
  /** Where messages are published. */
  readonly brokerPort: number
  /** The broker's process. */
  readonly brokerPid: number
  readonly clients: number
  /** So many of the clients stop reading before the first message. */
  readonly stalled: number
  /** Messages a second. */
  readonly rate: number
  /** Waited before memory is read, for what is left to do. */
  readonly settleSeconds: number
  /** Published for so long before anything is counted. */
  readonly warmUpSeconds: number
  readonly seconds: number
}

export interface LoadResult {
  /** As measured. */
  readonly seconds: number
  readonly published: number
  readonly deliveries: number
  /** The server's. */
  readonly cpuSeconds: number
  /** The clients': near {@link seconds}, it is they who are measured. */
  readonly loadCpuSeconds: number
  /** Of processes that have nothing to do with it: the less, the better the figures. */
  readonly othersCpuSeconds: number
  /** Milliseconds from publisher to client. */
  readonly p50: number
  readonly p99: number
  /** What the server's memory grew by while the clients connected, a client. */
  readonly kiBPerConnection: number
  /** Messages that clients never got although they got a later one. */
  readonly missed: number
  /** Clients that the server closed, by reason. */
  readonly closed: Readonly<Record<string, number>>
}

/** Counters that only grow, read together. */
interface Moment {
  readonly seconds: number
  readonly cpu: number
  readonly loadCpu: number
  readonly othersCpu: number
  readonly published: number
}

/** Connected and gone before memory is measured, so that the server's code is loaded. */
const FIRST_CLIENTS = 20

export async function measureLoad(options: LoadOptions): Promise<LoadResult> {
  const load = new Load(options)
  try {
    return await load.run()
  } finally {
    load.end()
  }
}

class Load {
  readonly #options: LoadOptions
  readonly #epoch = process.hrtime()[0]
  readonly #latency = new Histogram()
  #clients: Client[] = []
  #publisher: ChildProcess | undefined
  /** Aborts when the publisher ends. */
  readonly #publisherEnd = new AbortController()
  #now = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  async run(): Promise<LoadResult> {
    const { pid, clients, stalled, settleSeconds, warmUpSeconds, seconds } = this.#options
    for (const client of await this.#connect(FIRST_CLIENTS)) client.destroy()
    await sleep(settleSeconds * 1_000)
    const before = residentKiB(pid)
    this.#clients = await this.#connect(clients)
    await sleep(settleSeconds * 1_000)
    const kiBPerConnection = (residentKiB(pid) - before) / clients
    for (const client of this.#clients.slice(0, stalled)) client.stall()

    this.#publisher = this.#publish()
    await this.#published(this.#publisher)
    await sleep(warmUpSeconds * 1_000)
    const start = await this.#mark()
    this.#latency.clear()
    for (const client of this.#clients) client.restart()
    await sleep(seconds * 1_000)
    const end = await this.#mark()
    return {
      seconds: end.seconds - start.seconds,
      published: end.published - start.published,
      cpuSeconds: end.cpu - start.cpu,
      loadCpuSeconds: end.loadCpu - start.loadCpu,
      othersCpuSeconds: Math.max(0, end.othersCpu - start.othersCpu),
      deliveries: sum(this.#clients.map((client) => client.count)),
      p50: this.#latency.percentile(0.5),
      p99: this.#latency.percentile(0.99),
      kiBPerConnection,
      missed: sum(this.#clients.map((client) => client.missed)),
      closed: this.#closed(),
    }
  }

  end(): void {
    for (const client of this.#clients) client.destroy()
    this.#publisher?.kill()
  }

  #connect(count: number): Promise<Client[]> {
    const { dialect: name, port } = this.#options
    const dialect = dialects[name]
    const place = findPlaces(dialect.record).at
    const onRead = (): void => {
      this.#now = nanosecondsSince(this.#epoch)
    }
    const onMessage = (bytes: Buffer, start: number): void => {
      this.#latency.record((this.#now - readAt(bytes, start + place)) / 1_000)
    }
    return connectClients(count, { port, dialect, onRead, onMessage })
  }

  #publish(): ChildProcess {
    const { dialect, brokerPort, rate } = this.#options
    const { greeting, command } = dialects[dialect]
    const options: PublisherOptions = {
      port: brokerPort,
      greeting: greeting.toString('base64'),
      command: command.toString('base64'),
      rate,
      epoch: this.#epoch,
    }
    const publisher = fork(new URL('publisher.ts', import.meta.url), [JSON.stringify(options)])
    publisher.once('exit', () => this.#publisherEnd.abort(new Error('the publisher has ended')))
    return publisher
  }

  async #mark(): Promise<Moment> {
    const publisher = this.#publisher as ChildProcess
    publisher.send('count')
    const published = await this.#published(publisher)
    const { pid, brokerPid } = this.#options
    const [cpu, loadCpu] = [cpuSeconds(pid), cpuSeconds(process.pid)]
    const brokerCpu = brokerPid === pid ? 0 : cpuSeconds(brokerPid)
    const othersCpu = busySeconds() - cpu - loadCpu - brokerCpu - cpuSeconds(publisher.pid as number)
    return { seconds: nanosecondsSince(this.#epoch) / 1e9, cpu, loadCpu, othersCpu, published }
  }

  /** How many messages were published: what the publisher says next. */
  async #published(publisher: ChildProcess): Promise<number> {
    const [published] = (await once(publisher, 'message', { signal: this.#publisherEnd.signal })) as [number]
    return published
  }

  #closed(): Record<string, number> {
    const reasons: Record<string, number> = {}
    for (const { ended } of this.#clients) if (ended !== undefined) reasons[ended] = (reasons[ended] ?? 0) + 1
    return reasons
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = JSON.parse(process.argv[2] ?? '') as LoadOptions
  process.stdout.write(JSON.stringify(await measureLoad(options)))
}
