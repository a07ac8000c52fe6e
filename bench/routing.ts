/** Routing: how many messages a second pass through the router where no protocol costs anything. */
import { fileURLToPath } from 'node:url'
import type { RouteOptions, RouteResult } from './load/route.ts'
import { median } from './measure.ts'
import { runOnServerCore } from './pinned.ts'
import { untilQuiet } from './quiet.ts'
import { figure, table } from './table.ts'

export interface RoutingOptions {
  readonly rounds: number
  readonly seconds: number
  /** How long a measurement waits for the machine to be quiet (seconds). */
  readonly patience: number
  readonly progress: (line: string) => void
}

const ROUTE = fileURLToPath(new URL('load/route.ts', import.meta.url))
const WARM_UP_SECONDS = 1

const variants = [
  { title: '1 target', targets: 1 },
  { title: '1 target, `when: topic == "bench"`', targets: 1, when: 'topic == "bench"' },
  { title: '1 target, `when: body.number < "9"` (decodes the JSON)', targets: 1, when: 'body.number < "9"' },
  { title: '10 targets', targets: 10 },
  { title: '10 targets, each `when: topic == "bench"`', targets: 10, when: 'topic == "bench"' },
  { title: '10 targets, each `when: body.number < "9"`', targets: 10, when: 'body.number < "9"' },
] as const

const HEAD = ['route from one mock to', 'messages/s', 'deliveries/s', 'µs a message']

/** Measures and returns a Markdown table. */
export async function routing({ rounds, seconds, patience, progress }: RoutingOptions): Promise<string> {
  const results = variants.map(({ title, ...variant }) => ({ title, variant, rates: [] as RouteResult[] }))
  for (let round = 1; round <= rounds; round++) {
    for (const { title, variant, rates } of results) {
      await untilQuiet(patience)
      const options: RouteOptions = { ...variant, warmUpSeconds: WARM_UP_SECONDS, seconds }
      const result = (await runOnServerCore(ROUTE, options)) as RouteResult
      rates.push(result)
      progress(`round ${round}, ${title}: ${figure(result.messages / result.seconds)} messages/s`)
    }
  }
  const rows = results.map(({ title, rates }) => {
    const messages = median(rates.map((result) => result.messages / result.seconds))
    const deliveries = median(rates.map((result) => result.deliveries / result.seconds))
    return [title, messages, deliveries, 1e6 / messages]
  })
  return table(HEAD, rows)
}
