/** Pairs of ends that keep what they confirm, in one relay that runs as a process of its own, all under load. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { type RelayProcess, type Scrape, startRelay, Watch } from '../faults/support/relay.ts'
import { PATIENCE, report } from '../faults/support/scale.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { configOf } from '../support/relay.ts'
import { until } from '../support/wait.ts'
import type { DurableBrokers, DurableEnd, RelayPeer, Victim } from './durable.ts'
import { WINDOW } from './durable.ts'
import { KEYS, Load, outcomeOf } from './load.ts'

/** Milliseconds between two messages of one key, for each pair that is under load: all of them have 800/s together. */
const PACE = 20

export interface Pair {
  readonly name: string
  readonly source: string
  readonly target: string
  readonly ends: readonly [DurableEnd, DurableEnd]
  readonly from: InteropPeer & Partial<RelayPeer>
  readonly to: InteropPeer
}

export class Pairs {
  readonly relay: RelayProcess
  readonly #pairs: readonly Pair[]
  readonly #loads = new Map<Pair, Load>()
  readonly #watch: Watch
  #kills = 0

  private constructor(t: TestContext, relay: RelayProcess, pairs: readonly Pair[]) {
    this.relay = relay
    this.#pairs = pairs
    this.#watch = new Watch(
      t,
      relay,
      pairs.map(({ source, target }) => [source, target]),
    )
  }

  /** Resolves when every endpoint is up and every pair is under load. */
  static async start(
    t: TestContext,
    brokers: DurableBrokers,
    ends: readonly (readonly [DurableEnd, DurableEnd])[],
  ): Promise<Pairs> {
    const pairs = await Promise.all(ends.map((each, number) => pairOf(each, number, brokers)))
    t.after(async () => {
      for (const { from, to } of pairs) await Promise.all([from.close?.(), to.close?.()])
    })
    const endpoints = Object.assign({}, ...pairs.map(declare)) as Parameters<typeof configOf>[0]
    const routes = Object.fromEntries(pairs.map(({ source, target }) => [source, [{ to: target }]]))
    const config = configOf(endpoints, routes, { instance: 'interop' })
    const plugins = { 'araldo.marshalling': [{ name: 'bytes', id: 'marshal-raw' }], ...config.plugins }
    const relay = await startRelay({ t, config: { ...config, plugins } })
    await relay.until((scrape) => Object.keys(endpoints).every((name) => scrape.isUp(name)), 'every endpoint to be up')
    const started = new Pairs(t, relay, pairs)
    for (const { from } of pairs) await from.connect?.(relay.host)
    for (const pair of pairs) {
      started.#loads.set(pair, new Load({ peer: pair.from, pace: PACE * pairs.length, arrived: arrivedOf(pair) }))
    }
    t.after(() => started.#abort())
    return started
  }

  /** Waits until every pair has `count` more messages confirmed by its source, and has delivered so many. */
  async flows(count: number): Promise<void> {
    const confirmed = new Map(this.#pairs.map((pair) => [pair, this.#loadOf(pair).confirmed.size]))
    const arrived = new Map<Pair, number>()
    for (const pair of this.#pairs) {
      const there = (): Promise<readonly unknown[]> => Promise.resolve(pair.to.received())
      // A client whose broker has just come back may not be back itself.
      arrived.set(pair, (await until(there, { timeout: PATIENCE, message: 'the client to be back' })).length)
    }
    for (const pair of this.#pairs) {
      const enough = async (): Promise<boolean> =>
        this.#loadOf(pair).confirmed.size >= (confirmed.get(pair) ?? 0) + count &&
        (await pair.to.received()).length >= (arrived.get(pair) ?? 0) + count
      await until(enough, { timeout: PATIENCE, interval: 200, message: `${count} more messages from ${pair.name}` })
    }
  }

  /** Kills something under load, and starts it again after a while. */
  async crash(victim: Victim): Promise<void> {
    this.#kills++
    await victim.kill()
    await sleep(200)
    await victim.start()
  }

  /** Ends the load, waits until all is delivered, and holds each pair to its promises. */
  async verify(t: TestContext, { isLedgerExact }: { readonly isLedgerExact: boolean }): Promise<void> {
    await this.#stop()
    for (const pair of this.#pairs) {
      await this.#drained(pair)
      await this.#arrived(pair)
    }
    await this.#watch.stop()
    const scrape = await this.relay.scrape()
    for (const pair of this.#pairs) {
      const load = this.#loadOf(pair)
      const outcome = await outcomeOf(load, pair.to)
      const { messages, lost, duplicates, corrupted, disordered, copies } = outcome
      const { received, delivered, dropped, deadLettered, waiting } = scrape.lane(pair.source, pair.target)
      t.diagnostic(`${pair.name}: ${JSON.stringify({ ...outcome, repeats: load.repeats, received, delivered })}`)
      assert.deepEqual({ lost, corrupted }, { lost: 0, corrupted: 0 }, pair.name)
      if (isLedgerExact || pair.ends[0].redeliversLate !== true) assert.equal(disordered, 0, pair.name)
      // What the source had and could not confirm it is sent again, once for each key.
      const most = this.#kills * (WINDOW + 2 * KEYS)
      assert.ok(duplicates <= most, `${pair.name}: ${duplicates} duplicates, ${most} at most`)
      assert.deepEqual([dropped, deadLettered, waiting], [0, 0, 0], pair.name)
      if (!isLedgerExact) continue
      assert.equal(received, delivered, pair.name)
      const isShort = copies < delivered && pair.ends[1].deduplicates !== true
      assert.ok(!isShort && copies <= delivered + this.#kills * WINDOW, `${pair.name}: ${copies} copies`)
      assert.ok(messages <= delivered, pair.name)
    }
    this.#report(t)
  }

  async #drained({ name, source, target }: Pair): Promise<void> {
    let last: unknown
    const isDrained = (scrape: Scrape): boolean => {
      const lane = scrape.lane(source, target)
      last = lane
      return lane.waiting === 0
    }
    await this.relay.until(isDrained, `all messages from ${name} to be delivered`).catch((cause: unknown) => {
      throw new Error(`${name}: not delivered: ${JSON.stringify(last)}`, { cause })
    })
  }

  async #arrived(pair: Pair): Promise<void> {
    const { confirmed } = this.#loadOf(pair)
    const isThere = async (): Promise<boolean> => (await outcomeOf({ confirmed } as Load, pair.to)).lost === 0
    // What is missing for good is told by what follows.
    await until(isThere, { timeout: 10_000, interval: 100 }).catch(() => {})
  }

  #report(t: TestContext): void {
    let messages = 0
    for (const load of this.#loads.values()) messages += load.confirmed.size
    report(t, { pairs: this.#pairs.length, messages })
  }

  #abort(): void {
    for (const load of this.#loads.values()) load.abort()
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#loads.values()].map((load) => load.stop()))
  }

  #loadOf(pair: Pair): Load {
    return this.#loads.get(pair) as Load
  }
}

async function pairOf(ends: readonly [DurableEnd, DurableEnd], number: number, brokers: DurableBrokers): Promise<Pair> {
  const [source, target] = ends
  const [from, to] = await Promise.all([source.peer(brokers), target.peer(brokers)])
  const name = `${source.name} to ${target.name}`
  return { name, source: `from-${number}`, target: `to-${number}`, ends, from, to }
}

/** Messages without a key go to a webhook one by one: a load must not run away from it on a machine that is busy. */
function arrivedOf({ ends: [source, target], to }: Pair): (() => number) | undefined {
  if (source.keyless !== true || target.type !== 'endpoint-http') return undefined
  return () => (to.received() as readonly unknown[]).length
}

function declare({ source, target, ends, from, to }: Pair): object {
  const [{ type, bounds }, { type: targetType }] = ends
  return {
    [source]: { ...from.options, ...bounds, id: type, marshalling: 'bytes' },
    [target]: {
      ...to.options,
      ...('topic' in to.options && { topic: to.topic }),
      id: targetType,
      marshalling: 'bytes',
    },
  }
}
