/**
 * Floor 6. `araldo dlq replay`: dead letters on their way once more, by the same lanes, outboxes and endpoints as in a
 * running relay; but nothing is fetched, and nothing but what is replayed is sent.
 *
 * A letter leaves its stream when its target has confirmed it, and not before: a replay that is cut off may deliver
 * twice, and loses nothing. A letter that failed in a step has never been sent: it goes through its lane's steps again,
 * which may have been corrected since. One that its target did not take was through them, and goes straight to it.
 */
import type { Writable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Config, EndpointConfig, LaneConfig, RouteConfig } from '../../config.ts'
import { STEP_HEADER } from '../../delivery/dead-letters.ts'
import type { Letter, LetterStore } from '../../endpoints/redis/stream/letters.ts'
import { endpointApp } from '../../endpoints/app.ts'
import { reasonOf } from '../../errors.ts'
import { DEFAULT_BUFFER, DEFAULT_CONCURRENCY, type DeliveryConfig } from '../../delivery/guarantee.ts'
import araldo from '../../plugin.ts'
import type { Headers } from '../../types.ts'
import { printable } from './print.ts'

export interface ReplayOptions {
  readonly config: Config
  readonly letters: Iterable<Letter> | AsyncIterable<Letter>
  /** The endpoint that gets them, where it is not the one that each was for. */
  readonly to: string | undefined
  readonly dryRun: boolean
  /** The endpoint that keeps them. */
  readonly from: string
  readonly store: LetterStore
  readonly out: Writable
}

/** Letters that are under way at one time. */
const WINDOW = 256
/** Milliseconds for a target to come up, and for a letter to be confirmed. */
const TIMEOUT = 30_000
/** A target that refuses a letter so often does not get it: it stays where it is. */
const DELIVERY: DeliveryConfig = {
  guarantee: 'at-least-once',
  overflow: 'drop-newest',
  buffer: { ...DEFAULT_BUFFER, messages: 2 * WINDOW },
  concurrency: DEFAULT_CONCURRENCY,
  retry: { attempts: 3, minDelay: 100, maxDelay: 1_000 },
  deadLetter: undefined,
}

/** Where a letter goes, and through what. */
interface Way {
  /** The endpoint that it came in by: its steps see this name, and its marshaller reads the payload. */
  readonly source: string
  readonly target: string
  /** The lane whose steps it passes; undefined where it goes straight to the target. */
  readonly lane: LaneConfig | undefined
}

/** @returns 0, or 1 where a letter was not delivered: it is still in the stream. */
export async function replay({ config, letters, to, dryRun, from, store, out }: ReplayOptions): Promise<number> {
  const relays = new Map<string, Promise<FastifyInstance>>()
  const tally = { done: 0, failed: 0 }
  const pending = new Set<Promise<void>>()

  async function deliver(letter: Letter): Promise<void> {
    try {
      const way = wayOf(letter, config, to, from)
      const name = `${way.source}\n${way.target}\n${way.lane?.steps.length ?? ''}`
      if (!dryRun) {
        let relay = relays.get(name)
        if (relay === undefined) relays.set(name, (relay = relayFor(way, config)))
        await send(await relay, way, letter)
        await store.remove(letter.entry)
      }
      tally.done++
      const through = way.lane === undefined ? '' : ` through the steps of route '${printable(way.source)}'`
      out.write(`${letter.entry} ${dryRun ? 'would go' : 'delivered'} to '${printable(way.target)}'${through}\n`)
    } catch (error) {
      tally.failed++
      // Of one target, as there is here, the cause says all.
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
      out.write(`${letter.entry} not delivered: ${printable(reasonOf(cause))}\n`)
    }
  }

  try {
    for await (const letter of letters) {
      const work: Promise<void> = deliver(letter).finally(() => pending.delete(work))
      pending.add(work)
      if (pending.size >= WINDOW) await Promise.race(pending)
    }
    await Promise.all(pending)
  } finally {
    const opened = await Promise.allSettled(relays.values())
    await Promise.all(opened.map(async (relay) => relay.status === 'fulfilled' && relay.value.close()))
  }
  const what = dryRun ? 'would be delivered' : 'delivered'
  out.write(`${tally.done} ${what}, ${tally.failed} not\n`)
  return tally.failed === 0 ? 0 : 1
}

/** @throws Error that says why it can go nowhere. */
function wayOf({ headers }: Letter, config: Config, to: string | undefined, from: string): Way {
  const route = headers['araldo-route']
  const target = to ?? headers['araldo-target']
  if (target === undefined) throw new Error("it does not say which target it was for: name one with '--to'")
  const endpoint = config.endpoints.find(({ name }) => name === target)
  if (endpoint === undefined) throw new Error(`no endpoint is named '${target}': name another with '--to'`)
  if (target === from) throw new Error(`'${target}' is where it is already: name another with '--to'`)
  requireReachable(endpoint)
  const source = route ?? from
  // What failed in a step was never sent.
  if (to !== undefined || headers['araldo-attempts'] !== '0') return { source, target, lane: undefined }
  const lanes = config.routes.find((each) => each.source === source)?.lanes
  const lane = lanes?.find((each) => each.to === target)
  if (lane === undefined) {
    throw new Error(`route '${source}' does not lead to '${target}' any more: name a target with '--to'`)
  }
  return { source, target, lane: { ...lane, steps: stepsFor(headers[STEP_HEADER], lane) } }
}

/** What other steps have made of a message must not go through them again: it goes on with the one that failed. */
function stepsFor(failed: string | undefined, { steps, to }: LaneConfig): LaneConfig['steps'] {
  if (failed === undefined) return steps
  const [, index, name] = /^([0-9]{1,6})\/([a-z]+)$/.exec(failed) ?? []
  if (name === undefined || steps[Number(index)]?.name !== name) {
    throw new Error(`the lane to '${to}' has other steps now than when '${failed}' failed: name a target with '--to'`)
  }
  return steps.slice(Number(index))
}

/** Browsers, and the application, are at the relay that runs, not at this process. */
function requireReachable({ name, type, options }: EndpointConfig): void {
  const target = type.capabilities(options).target
  if (target === null) throw new Error(`endpoint '${name}' takes no messages: name another with '--to'`)
  const isLocal = type.websocket === true || target.clients === true || type.id === endpointApp.id
  if (isLocal) throw new Error(`'${name}' is reached in the running relay alone: name a broker's endpoint with '--to'`)
}

/** A relay with one route: from the application, in the source's name and format, to the target. */
async function relayFor({ source, target, lane }: Way, config: Config): Promise<FastifyInstance> {
  const declared = config.endpoints.find(({ name }) => name === source)
  const receiver = config.endpoints.find(({ name }) => name === target) as EndpointConfig
  const sender: EndpointConfig = {
    // One and the same endpoint cannot be both here.
    name: source === target ? `${source}:replay` : source,
    type: endpointApp,
    marshalling: declared?.marshalling,
    required: true,
    options: {},
  }
  const route: RouteConfig = {
    source: sender.name,
    lanes: [{ steps: [], ...lane, to: target, optional: false, wiretap: false, delivery: DELIVERY }],
  }
  const endpoints = [sender, { ...receiver, required: true }]
  const fastify = Fastify({ pluginTimeout: TIMEOUT })
  await fastify.register(araldo, {
    config: { ...config, endpoints, routes: [route], warnings: [] },
    health: false,
    metrics: false,
  })
  await fastify.ready()
  return fastify
}

async function send({ araldo: relay }: FastifyInstance, { source, target }: Way, letter: Letter): Promise<void> {
  const { payload, key, id, headers } = letter
  const topic = headers['araldo-topic']
  await relay.publish(source === target ? `${source}:replay` : source, payload, {
    ...(topic === undefined ? {} : { topic }),
    ...(key === undefined ? {} : { key }),
    id: headers['araldo-id'] ?? id,
    headers: own(headers),
    signal: AbortSignal.timeout(TIMEOUT),
  })
}

/** Without what the relay has added: the next failure tells its own story, and the hops were those of the first try. */
function own(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('araldo-')))
}
