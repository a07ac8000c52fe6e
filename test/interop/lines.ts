/** Lanes from every source to one target that can be frozen, and beside them lanes from every source to other targets. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Memory, type RelayProcess, type Scrape, startRelay, Watch } from '../faults/support/relay.ts'
import { mebibytes, PATIENCE, report } from '../faults/support/scale.ts'
import { until } from '../support/wait.ts'
import { Feed, KEYS, PAYLOAD } from './feed.ts'
import {
  type ConfirmingTarget,
  type PausableSource,
  type PressureBrokers,
  SOURCES,
  type SourcePlace,
  type TargetPlace,
  TARGETS,
  WINDOW,
} from './pausable.ts'

/** What a lane may hold; the one is full by messages, the other by bytes. */
const BUFFERS = [
  { messages: 32, bytes: '64MiB' },
  { messages: 10_000, bytes: '1MiB' },
] as const
/** Bytes that the relay may grow by, however much is offered. */
const MAX_GROWTH = 64 * 1_024 * 1_024

/**
 * V8 leaves some 64 MiB of buffers lying that nobody holds any more, and longer on a busy machine: here they are collected
 * five times a second, so that what counts is what the relay holds.
 */
const COLLECTING = ['--expose-gc', '--import', 'data:text/javascript,setInterval(gc,200).unref()']

/** A source's window, and what was read last. */
const MAX_IN_HAND = WINDOW + WINDOW / 2

interface Line {
  readonly name: string
  /** Endpoints. */
  readonly from: string
  readonly to: string
  readonly kind: PausableSource
  readonly source: SourcePlace
  readonly target: TargetPlace
  readonly feed: Feed
  readonly buffer: (typeof BUFFERS)[number]
}

export class Lines {
  readonly #relay: RelayProcess
  /** They lead to the target that is frozen. */
  readonly #stuck: readonly Line[]
  readonly #free: readonly Line[]
  readonly #watch: Watch
  readonly #kind: ConfirmingTarget
  readonly #brokers: PressureBrokers

  private constructor(
    t: TestContext,
    relay: RelayProcess,
    [stuck, free]: readonly [readonly Line[], readonly Line[]],
    kind: ConfirmingTarget,
    brokers: PressureBrokers,
  ) {
    this.#relay = relay
    this.#stuck = stuck
    this.#free = free
    this.#kind = kind
    this.#brokers = brokers
    this.#watch = new Watch(
      t,
      relay,
      [...stuck, ...free].map(({ from, to }) => [from, to]),
    )
  }

  /** Every source that is not at the target's own broker has a line to it. Resolves when all is up, and has flowed. */
  static async start(t: TestContext, brokers: PressureBrokers, kind: ConfirmingTarget): Promise<Lines> {
    const isElsewhere = ({ broker }: { readonly broker?: string }): boolean =>
      broker === undefined || broker !== kind.broker
    const sources = SOURCES.filter(isElsewhere)
    const others = TARGETS.filter((target) => target !== kind && isElsewhere(target))
    const stuck = await Promise.all(sources.map((source, number) => place(brokers, source, kind, number)))
    const free = await Promise.all(
      sources.map((source, number) =>
        place(brokers, source, others[number % others.length] as ConfirmingTarget, sources.length + number),
      ),
    )
    const all = [...stuck, ...free]
    t.after(async () => {
      for (const { feed, source, target } of all) {
        feed.abort()
        await Promise.all([source.close(), target.close()])
      }
    })
    const relay = await startRelay({ t, config: configOf(all), nodeArgs: COLLECTING })
    await relay.until((scrape) => all.every(({ from, to }) => scrape.isUp(from) && scrape.isUp(to)), 'all to be up')
    for (const { source } of all) if ('connect' in source.client) await source.client.connect(relay.host)
    const lines = new Lines(t, relay, [stuck, free], kind, brokers)
    await lines.#flow(all, 3 * KEYS)
    return lines
  }

  /** Freezes the target, offers so many messages to each of its sources, thaws it, and holds all lines to their promises. */
  async press(t: TestContext, count: number): Promise<void> {
    const memory = new Memory(this.#relay)
    t.after(() => this.#thaw())
    this.#freeze()
    const fed = this.#stuck.map((line) => ({ line, end: line.feed.send(count) }))
    // A client of the relay itself gets no further than the relay takes from it.
    for (const { line, end } of fed) if (line.source.left !== undefined) await end
    await this.#held()
    await this.#flow(this.#free, KEYS)
    await this.#noticed()
    await this.#holds()
    this.#thaw()
    await Promise.all(fed.map(({ end }) => end))
    await this.#drained(this.#stuck)
    const { growth } = memory
    await this.#watch.stop()
    await this.#verify(t, growth, count)
  }

  /** So many more messages of each of these lines are sent, and arrive. */
  async #flow(lines: readonly Line[], count: number): Promise<void> {
    await Promise.all(lines.map(({ feed }) => feed.send(count)))
    await this.#drained(lines)
  }

  async #held(): Promise<void> {
    let free: readonly string[] = []
    const all = (scrape: Scrape): boolean => {
      free = this.#stuck
        .filter((line) => !isHolding(scrape, line))
        .map(({ name, from, to }) => `${name} ${JSON.stringify(scrape.lane(from, to))}`)
      return free.length === 0
    }
    await this.#relay.until(all, 'every source to be held').catch((cause: unknown) => {
      throw new Error(`not held: ${free.join(', ')}`, { cause })
    })
  }

  /** Where it is asked, the broker counts as gone; elsewhere the link is up, and nothing is answered. */
  async #noticed(): Promise<void> {
    const scrape = await this.#relay.until(
      (now) => this.#stuck.every(({ to, target }) => target.isPatient || !now.isUp(to)),
      'its silence to be noticed',
    )
    for (const { name, to, target } of this.#stuck) assert.equal(scrape.isUp(to), target.isPatient, name)
  }

  /** What is held is within the bounds; all else is where it came from. */
  async #holds(): Promise<void> {
    const scrape = await this.#relay.scrape()
    for (const line of this.#stuck) {
      const { name, from, to, kind, source, feed } = line
      const { waiting, bytes, delivered, dropped } = scrape.lane(from, to)
      const of = { source: from, target: to }
      assert.ok(isHolding(scrape, line), `${name}: its source is held`)
      assert.equal(scrape.value('lane_waiting_limit', of), line.buffer.messages, name)
      assert.ok(waiting <= line.buffer.messages, `${name}: ${waiting} wait`)
      assert.ok(bytes <= scrape.value('lane_waiting_limit_bytes', of), `${name}: ${bytes} bytes wait`)
      assert.equal(dropped, 0, name)
      const inHand = kind.gauge === undefined ? waiting : scrape.endpoint(from, kind.gauge)
      assert.ok(inHand >= waiting && inHand <= MAX_IN_HAND, `${name}: ${inHand} in hand, ${waiting} wait`)
      const left = await source.left?.()
      if (left === undefined) continue
      const most = feed.confirmed.size - delivered
      assert.ok(left >= most, `${name}: ${left} of ${most} messages are left at the source`)
    }
  }

  async #drained(lines: readonly Line[]): Promise<void> {
    await this.#relay.until(
      (scrape) =>
        lines.every(({ from, to, feed }) => {
          const { delivered, waiting } = scrape.lane(from, to)
          return delivered >= feed.confirmed.size && waiting === 0
        }),
      'all messages to be delivered',
    )
  }

  async #verify(t: TestContext, growth: number, count: number): Promise<void> {
    const scrape = await this.#relay.scrape()
    let most = 0
    let duplicates = 0
    for (const { name, from, to, source, feed, target } of [...this.#stuck, ...this.#free]) {
      const seen = this.#watch.most(from, to)
      const of = { source: from, target: to }
      assert.ok(seen.messages <= scrape.value('lane_waiting_limit', of), `${name}: ${seen.messages} waited`)
      assert.ok(seen.bytes <= scrape.value('lane_waiting_limit_bytes', of), `${name}: ${seen.bytes} bytes waited`)
      most = Math.max(most, seen.messages)
      const received = await until(
        async () => {
          const arrived = await target.received()
          return feed.isAmong(arrived) ? arrived : undefined
        },
        { timeout: PATIENCE, interval: 200, message: `all messages of ${name} to be there` },
      )
      // Those that were with the target when its link was lost; and, however unlikely, with the source at that of its own.
      const losses = 'connect' in source.client ? 0 : scrape.endpoint(from, 'reconnects_total')
      const again = feed.verify(received, WINDOW * (losses + (target.isPatient ? 0 : 1)), name)
      if (again > 0) {
        t.diagnostic(
          `${name}: ${again} came twice, ${feed.repeats} were sent again by the client, ${losses} links lost`,
        )
      }
      duplicates += again
      const { dropped, deadLettered } = scrape.lane(from, to)
      assert.deepEqual([dropped, deadLettered], [0, 0], name)
    }
    report(t, {
      lanes: this.#stuck.length,
      offered: mebibytes(this.#stuck.length * count * PAYLOAD),
      'waiting at most': most,
      'memory growth': mebibytes(growth),
      lost: 0,
      duplicates,
    })
    assert.ok(growth < MAX_GROWTH, `the relay has grown by ${mebibytes(growth)}`)
  }

  #freeze(): void {
    if (this.#kind.broker !== undefined) this.#brokers[this.#kind.broker].pause()
    for (const { target } of this.#stuck) target.freeze?.()
  }

  #thaw(): void {
    if (this.#kind.broker !== undefined) this.#brokers[this.#kind.broker].resume()
    for (const { target } of this.#stuck) target.thaw?.()
  }
}

function isHolding(scrape: Scrape, { from, to }: Line): boolean {
  return scrape.value('lane_holding_source', { source: from, target: to }) === 1
}

async function place(
  brokers: PressureBrokers,
  kind: PausableSource,
  to: ConfirmingTarget,
  number: number,
): Promise<Line> {
  const isPatient = number % 4 >= 2
  const [source, target] = await Promise.all([kind.place(brokers), to.place(brokers, isPatient)])
  return {
    name: `${kind.name} to ${to.name}`,
    from: `from-${number}`,
    to: `to-${number}`,
    kind,
    source,
    target,
    feed: new Feed(async (payload, extra) => source.client.emit?.(payload, extra)),
    buffer: BUFFERS[number % 2] as (typeof BUFFERS)[number],
  }
}

function configOf(lines: readonly Line[]): Parameters<typeof startRelay>[0]['config'] {
  const endpoints = lines.flatMap(({ from, to, source, target }) => [
    { ...source.endpoint, name: from, marshalling: 'bytes' },
    { ...target.endpoint, name: to, marshalling: 'bytes' },
  ])
  return {
    global: { instance: 'pressure' },
    plugins: { 'araldo.marshalling': [{ name: 'bytes', id: 'marshal-raw' }], 'araldo.endpoints.endpoint': endpoints },
    routes: Object.fromEntries(lines.map(({ from, to, buffer }) => [from, [{ to, buffer, overflow: 'block' }]])),
  }
}
