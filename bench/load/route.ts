/**
 * Messages through the router of one relay, mock to mock, in a process of its own: what the router, the lanes, the
 * ledger and the contract cost where no protocol does. Takes {@link RouteOptions} as JSON in its first argument and
 * prints a {@link RouteResult} as JSON. Runs the built code, as users do.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import type * as Araldo from '../../lib/index.ts'
import type { Relay } from '../../lib/relay.ts'
import { PAYLOAD } from './message.ts'

export interface RouteOptions {
  readonly targets: number
  /** A CEL filter on each lane; one that every message passes. */
  readonly when?: string
  readonly warmUpSeconds: number
  readonly seconds: number
}

export interface RouteResult {
  readonly messages: number
  readonly deliveries: number
  readonly seconds: number
}

/** Messages that come in within one turn of the event loop. */
const BATCH = 1_000

export async function measureRouting(options: RouteOptions): Promise<RouteResult> {
  const built = new URL('../../dist/index.js', import.meta.url)
  const { default: araldo } = (await import(built.href)) as typeof Araldo
  const fastify = Fastify()
  await fastify.register(araldo, configOf(options))
  await fastify.ready()
  try {
    const relay = fastify.araldo as Relay
    await feed(relay, options.warmUpSeconds)
    const before = delivered(relay)
    const { messages, seconds } = await feed(relay, options.seconds)
    return { messages, seconds, deliveries: delivered(relay) - before }
  } finally {
    await fastify.close()
  }
}

function configOf({ targets, when }: RouteOptions): object {
  const names = Array.from({ length: targets }, (_, index) => `target-${index}`)
  const mocks = ['source', ...names].map((name) => ({ name, id: 'endpoint-mock', keep: 0 }))
  const lanes = names.map((to) => (when === undefined ? to : { to, when }))
  return { plugins: { 'araldo.endpoints.endpoint': mocks }, routes: { source: lanes } }
}

/** Messages come in as fast as they can, as they do from a source that cannot be acknowledged. */
async function feed(relay: Relay, seconds: number): Promise<{ messages: number; seconds: number }> {
  const source = relay.endpoints.get('source')
  if (source === undefined) throw new Error('the relay has no source')
  const payload = Buffer.from(PAYLOAD)
  const start = performance.now()
  let messages = 0
  while (performance.now() - start < seconds * 1_000) {
    for (let index = 0; index < BATCH; index++) source.inject({ payload, topic: 'bench' })
    messages += BATCH
    await turn()
  }
  return { messages, seconds: (performance.now() - start) / 1_000 }
}

function delivered(relay: Relay): number {
  return relay.routes.flatMap(({ lanes }) => lanes).reduce((total, { ledger }) => total + ledger.delivered, 0)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = JSON.parse(process.argv[2] ?? '') as RouteOptions
  process.stdout.write(JSON.stringify(await measureRouting(options)))
}
