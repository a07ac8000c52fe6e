/**
 * `npm run bench`: measures and prints Markdown. The tables go to standard output, the progress to standard error.
 *
 *     npm run bench                                                 everything, about 20 minutes
 *     npm run bench -- routing start                                parts of it
 *     npm run bench -- fanout --rates 1000 --peers araldo,nats --rounds 5
 *     npm run bench -- bridge --pairs redis-stream:redis-stream,nats:nats --keys 1000
 *
 * A program, never a timed test: it prints what it saw and judges nothing.
 */
import { cpus, release, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { bridge, pairs } from './bridge.ts'
import { fanout } from './fanout.ts'
import { memory } from './memory.ts'
import { LOAD_CORE, pinSelf, requireTwoCores } from './pinned.ts'
import { routing } from './routing.ts'
import { peers } from './servers/index.ts'
import { start } from './start.ts'

const names = peers.map((peer) => peer.name)

interface Part {
  readonly title: string
  /** Measures; resolves to Markdown. */
  run(): Promise<string>
}

/** What was asked for. */
interface Plan {
  readonly parts: readonly Part[]
  readonly rounds: number
  readonly seconds: number
}

try {
  await perform(planOf(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

/** @throws Error that says what is wrong with the command line. */
function planOf(argv: readonly string[]): Plan {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      rates: { type: 'string', default: '30,1000,5000' },
      clients: { type: 'string', default: '1000' },
      patience: { type: 'string', default: '60' },
      settle: { type: 'string', default: '1' },
      'warm-up': { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      peers: { type: 'string', default: names.join(',') },
      pairs: { type: 'string', default: [...pairs.keys()].join(',') },
      messages: { type: 'string', default: '50000' },
      'warm-messages': { type: 'string', default: '50000' },
      rate: { type: 'string', default: '10000' },
      keys: { type: 'string' },
      concurrency: { type: 'string' },
    },
  })
  const rounds = number('rounds', values.rounds)
  const seconds = number('seconds', values.seconds)
  const clients = number('clients', values.clients)
  const rates = values.rates.split(',').map((rate) => number('rates', rate))
  const patience = number('patience', values.patience)
  const settleSeconds = number('settle', values.settle)
  const warmUpSeconds = number('warm-up', values['warm-up'])
  const chosen = values.peers.split(',')
  requireKnown('peer', chosen, names)
  const crossings = values.pairs.split(',')
  requireKnown('pair', crossings, [...pairs.keys()])
  const amounts = {
    messages: number('messages', values.messages),
    warmUp: number('warm-messages', values['warm-messages']),
    rate: number('rate', values.rate),
    keys: values.keys === undefined ? 0 : number('keys', values.keys),
    concurrency: values.concurrency === undefined ? undefined : number('concurrency', values.concurrency),
  }
  const parts: Readonly<Record<string, Part>> = {
    routing: { title: 'Routing', run: () => routing({ rounds, seconds, patience, progress }) },
    fanout: {
      title: 'Fan-out',
      run: () =>
        fanout({ rounds, rates, clients, patience, settleSeconds, warmUpSeconds, seconds, peers: chosen, progress }),
    },
    memory: { title: 'Memory', run: () => memory({ rounds, clients, patience, peers: chosen, progress }) },
    bridge: { title: 'Bridges', run: () => bridge({ ...amounts, rounds, pairs: crossings, progress }) },
    start: { title: 'Start', run: () => start({ rounds, patience, progress }) },
  }
  const asked = positionals.length === 0 ? Object.keys(parts) : positionals
  requireKnown('part', asked, Object.keys(parts))
  return { parts: asked.map((name) => parts[name] as Part), rounds, seconds }
}

async function perform({ parts, rounds, seconds }: Plan): Promise<void> {
  requireTwoCores()
  await pinSelf(LOAD_CORE)
  process.stdout.write(`${machine()} Medians of ${rounds} rounds, ${seconds} s each.\n`)
  for (const part of parts) process.stdout.write(`\n### ${part.title}\n\n${await part.run()}\n`)
}

/** What the figures were measured on, in a sentence. */
function machine(): string {
  const [cpu] = cpus()
  const memoryGiB = Math.round(totalmem() / 2 ** 30)
  const linux = release().split('-')[0]
  return `${cpus().length} cores of ${cpu?.model.trim()}, ${memoryGiB} GiB, Linux ${linux}, Node ${process.version}.`
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`)
}

function number(option: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${option} takes a number above 0, not '${text}'`)
  return value
}

function requireKnown(kind: string, asked: readonly string[], known: readonly string[]): void {
  for (const name of asked) {
    if (!known.includes(name)) throw new Error(`no ${kind} is named '${name}'; there are ${known.join(', ')}`)
  }
}
