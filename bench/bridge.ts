/** Bridges: messages from one broker to another; araldo beside a loop by hand on the same client libraries. */
import { measureBacklog, measureStream, type Amounts, type BridgeResult } from './bridge/measure.ts'
import { kinds, missing } from './bridge/places/index.ts'
import type { Broker, Kind } from './bridge/places/place.ts'
import { type Relay, relays } from './bridge/relays.ts'
import { median } from './measure.ts'
import { count, figure, type Row, table } from './table.ts'

export interface BridgeOptions extends Amounts {
  readonly rounds: number
  /** `redis-stream:amqp`; all that there are if left out. */
  readonly pairs?: readonly string[]
  /** Messages have one of so many keys; 0 for none. */
  readonly keys: number
  /** Messages on their way at one time; araldo's default if left out. */
  readonly concurrency?: number | undefined
  /** Told what is going on, a line at a time. */
  readonly progress: (line: string) => void
}

export interface Pair {
  readonly from: Kind
  readonly to: Kind
}

const HEAD = [
  'from, to',
  'araldo: CPU µs a message',
  'by hand',
  'ratio',
  'araldo: messages/s',
  'by hand',
  'ratio',
  'lost, twice',
]

/** By the names that `--pairs` takes. What acknowledges and what does not are no pair: each has a loop of its own kind. */
export const pairs: ReadonlyMap<string, Pair> = new Map(
  kinds.flatMap((from) =>
    kinds
      .filter((to) => from.isSource !== false && to.isSafe === from.isSafe)
      .map((to): [string, Pair] => [`${from.name}:${to.name}`, { from, to }]),
  ),
)

/** Measures and returns Markdown: a table of what confirms, and one of what does not. */
export async function bridge(options: BridgeOptions): Promise<string> {
  const { pairs: names = [...pairs.keys()] } = options
  const asked = names.map((name) => pairs.get(name) as Pair)
  const present = asked.filter(({ from, to }) => missing(from) === undefined && missing(to) === undefined)
  const brokers = new Map<Kind, Broker>()
  const results = new Map<Pair, BridgeResult[][]>(present.map((pair) => [pair, relays.map(() => [])]))
  try {
    for (const kind of new Set(present.flatMap(({ from, to }) => [from, to]))) brokers.set(kind, await kind.open())
    for (let round = 1; round <= options.rounds; round++) {
      for (const [pair, byRelay] of results) {
        for (const [index, relay] of relays.entries()) {
          const result = await measureOne(pair, relay, brokers, options)
          byRelay[index]?.push(result)
          options.progress(`round ${round}, ${titleOf(pair)}, ${relay.name}: ${describe(result)}`)
        }
      }
    }
  } finally {
    for (const broker of brokers.values()) await broker.close()
  }
  const sections = [true, false].map((isSafe) => {
    const rows = [...results].filter(([{ from }]) => from.isSafe === isSafe).map((each) => rowOf(...each))
    const title = isSafe ? `At least once: a backlog${ofKeys(options.keys)}` : `At most once: ${count(options.rate)}/s`
    return rows.length === 0 ? [] : [`#### ${title}\n\n${table(HEAD, rows)}`]
  })
  const absent = kinds.map(missing).filter((reason) => reason !== undefined)
  return [...sections.flat(), ...absent.map((reason) => `Left out: ${reason}.`)].join('\n\n')
}

let measurements = 0

/** One relay between two places that nobody has used before. */
export async function measureOne(
  { from, to }: Pair,
  relay: Relay,
  brokers: ReadonlyMap<Kind, Broker>,
  options: Pick<BridgeOptions, 'keys' | 'concurrency'> & Amounts,
): Promise<BridgeResult> {
  const number = measurements++
  const source = await (brokers.get(from) as Broker).source(`from-${number}`, options.keys)
  const target = await (brokers.get(to) as Broker).target(`to-${number}`)
  const bridge = { from, to, source, target, concurrency: options.concurrency }
  const share = Math.min(from.share ?? 1, to.share ?? 1)
  const amounts = {
    warmUp: Math.ceil(options.warmUp * share),
    messages: Math.ceil(options.messages * share),
    rate: options.rate,
  }
  return from.isSafe ? measureBacklog(relay, bridge, amounts) : measureStream(relay, bridge, amounts)
}

function titleOf({ from, to }: Pair): string {
  return `${from.title} → ${to.title}`
}

function ofKeys(keys: number): string {
  return keys === 0 ? ', messages without a key' : `, ${count(keys)} keys`
}

function describe({ microseconds, perSecond, lost, twice }: BridgeResult): string {
  return `${figure(microseconds)} µs, ${count(perSecond)}/s, ${lost} lost, ${twice} twice`
}

function rowOf(pair: Pair, byRelay: readonly (readonly BridgeResult[])[]): Row {
  const [cpu, perSecond] = (['microseconds', 'perSecond'] as const).map((what) =>
    byRelay.map((results) => median(results.map((result) => result[what]))),
  ) as [[number, number], [number, number]]
  const sum = (what: 'lost' | 'twice'): string => count(byRelay.flat().reduce((total, each) => total + each[what], 0))
  const ratios = [cpu, perSecond].map(([araldo, byHand]) => araldo / byHand) as [number, number]
  return [titleOf(pair), ...cpu, ratios[0], ...perSecond, ratios[1], `${sum('lost')}, ${sum('twice')}`]
}
