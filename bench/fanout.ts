/** WebSocket fan-out: every message that is published goes to every client; araldo beside other servers. */
import { fileURLToPath } from 'node:url'
import { startRedis } from '../test/support/redis.ts'
import type { LoadOptions, LoadResult } from './load/measure.ts'
import { median } from './measure.ts'
import { runOnLoadCore, SERVER_CORE } from './pinned.ts'
import { measureQuietly } from './quiet.ts'
import { type Broker, type Peer, peers, presentPeers } from './servers/index.ts'
import { count, figure, type Row, table } from './table.ts'

export interface FanoutOptions {
  readonly rounds: number
  /** Messages a second. */
  readonly rates: readonly number[]
  readonly clients: number
  /** How long a measurement waits for the machine to be quiet (seconds). */
  readonly patience: number
  /** Waited before memory is read. */
  readonly settleSeconds: number
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Names of {@link peers}. */
  readonly peers: readonly string[]
  /** Told what is going on, a line at a time. */
  readonly progress: (line: string) => void
}

const LOAD = fileURLToPath(new URL('load/measure.ts', import.meta.url))
/** No subscriber is too slow for Redis: what waits, waits there, for every server alike. */
const REDIS_ARGUMENTS = ['--client-output-buffer-limit', 'pubsub 0 0 0']

const HEAD = [
  'server',
  'CPU µs a delivery',
  'deliveries/s',
  'of offered',
  'p50 ms',
  'p99 ms',
  'KiB a connection',
  'lost',
]

/** Measures and returns Markdown: one table a rate. */
export async function fanout(options: FanoutOptions): Promise<string> {
  const present = presentPeers(options.peers)
  const redis = await startRedis({ args: REDIS_ARGUMENTS })
  const sections: string[] = []
  try {
    for (const rate of options.rates) {
      const runners = present.filter(({ maxRate = Infinity }) => rate <= maxRate)
      const results = await measureAll(runners, rate, redis, options)
      const rows = [...results].map(([peer, rounds]) => rowOf(peer, rounds, options.clients))
      sections.push(`#### ${count(rate)} messages/s, ${count(options.clients)} clients\n\n${table(HEAD, rows)}`)
    }
  } finally {
    await redis.kill()
  }
  const absent = peers.filter((peer) => options.peers.includes(peer.name) && !present.includes(peer))
  return [...sections, ...absent.map((peer) => `Left out: ${peer.missing?.()}.`)].join('\n\n')
}

/** The peers take turns within a round, so that whatever else the machine does meets them all. */
async function measureAll(
  runners: readonly Peer[],
  rate: number,
  redis: Broker,
  options: FanoutOptions,
): Promise<Map<Peer, LoadResult[]>> {
  const results = new Map<Peer, LoadResult[]>(runners.map((peer) => [peer, []]))
  for (let round = 1; round <= options.rounds; round++) {
    for (const [peer, rounds] of results) {
      const measure = (): Promise<LoadResult> => measureOne(peer, rate, redis, options)
      const result = await measureQuietly(options.patience, measure, othersShare)
      rounds.push(result)
      options.progress(`round ${round}, ${rate} messages/s, ${peer.name}: ${describe(result)}`)
    }
  }
  return results
}

/** One server, from its start to its end, under one load. */
export async function measureOne(
  peer: Peer,
  rate: number,
  redis: Broker,
  amounts: Pick<FanoutOptions, 'clients' | 'settleSeconds' | 'warmUpSeconds' | 'seconds'>,
): Promise<LoadResult> {
  const { process: server, port, broker } = await peer.start(SERVER_CORE, redis)
  const { clients, settleSeconds, warmUpSeconds, seconds } = amounts
  const load: LoadOptions = {
    dialect: peer.dialect,
    pid: server.pid as number,
    port,
    brokerPort: broker.port,
    brokerPid: broker.process.pid as number,
    clients,
    stalled: peer.stalled ?? 0,
    rate,
    settleSeconds,
    warmUpSeconds,
    seconds,
  }
  try {
    return (await runOnLoadCore(LOAD, load)) as LoadResult
  } finally {
    if (process.env.BENCH_NODE_ARGS === undefined) await server.kill()
    else await server.stop()
  }
}

function microseconds({ cpuSeconds, deliveries }: LoadResult): number {
  return (cpuSeconds / deliveries) * 1e6
}

function deliveryRate({ deliveries, seconds }: LoadResult): number {
  return deliveries / seconds
}

/** CPU seconds a second that others used meanwhile. */
function othersShare({ othersCpuSeconds, seconds }: LoadResult): number {
  return othersCpuSeconds / seconds
}

function describe(result: LoadResult): string {
  const share = (seconds: number): string => `${Math.round((100 * seconds) / result.seconds)} %`
  return [
    `${figure(microseconds(result))} µs`,
    `${count(deliveryRate(result))}/s`,
    `p50 ${figure(result.p50)} ms`,
    `server ${share(result.cpuSeconds)}`,
    `clients ${share(result.loadCpuSeconds)}`,
    `others ${share(result.othersCpuSeconds)}`,
  ].join(', ')
}

function rowOf(peer: Peer, rounds: readonly LoadResult[], clients: number): Row {
  const middle = (value: (result: LoadResult) => number): number => median(rounds.map(value))
  const readers = clients - (peer.stalled ?? 0)
  const arrived = middle((result) => result.deliveries / (result.published * readers))
  return [
    peer.title,
    middle(microseconds),
    middle(deliveryRate),
    `${figure(100 * Math.min(1, arrived))} %`,
    middle((result) => result.p50),
    middle((result) => result.p99),
    middle((result) => result.kiBPerConnection),
    lost(rounds),
  ]
}

/** Of all rounds: messages that were left out, and clients that the server closed. */
function lost(rounds: readonly LoadResult[]): string {
  const missed = rounds.reduce((total, result) => total + result.missed, 0)
  const reasons = new Map<string, number>()
  for (const { closed } of rounds) {
    for (const [reason, times] of Object.entries(closed)) reasons.set(reason, (reasons.get(reason) ?? 0) + times)
  }
  return [count(missed), ...[...reasons].map(([reason, times]) => `${times} × ${reason}`)].join(', ')
}
