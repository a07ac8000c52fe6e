/** A lane with its outbox under any sequence of events, against what must hold at every moment. */
import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import fc from 'fast-check'
import { errors, isRetryable } from '../lib/errors.ts'
import { GUARANTEES, type DeliveryConfig } from '../lib/guarantee.ts'
import { Lane } from '../lib/lane.ts'
import { Message } from '../lib/message.ts'
import type { Settle } from '../lib/types.ts'
import { contextOf, counting, deliveryOf, TestEndpoint } from './support/core.ts'

const KEYS = ['a', 'b', 'c']
const BOUNDS = { messages: 8, bytes: 40 }
const CONCURRENCY = 2
const ATTEMPTS = 3

const behaviour = fc.constantFrom('take', 'later', 'refuse', 'refuse for good', 'lose', 'overflow')
type Behaviour = typeof behaviour extends fc.Arbitrary<infer Value> ? Value : never
const answer = fc.constantFrom('confirm', 'fail', 'fail for good', 'lose')
const end = fc.constantFrom('target', 'dead' as const)

const event = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('feed'), key: fc.constantFrom(...KEYS), size: fc.nat(12) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('behave'), at: end, as: behaviour }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('answer'), at: fc.nat(), as: answer }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('late'), at: fc.nat(), as: answer }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break'), at: end }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('heal'), at: end }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('saturate'), at: end, is: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass'), milliseconds: fc.constantFrom(1, 100, 4_000) }) },
)

const setup = fc.record({
  confirm: fc.boolean(),
  guarantee: fc.constantFrom(...GUARANTEES),
  overflow: fc.constantFrom('block', 'drop-oldest', 'drop-newest'),
  attempts: fc.constantFrom(ATTEMPTS, Infinity),
  deadLetter: fc.constantFrom('none', 'plain', 'confirms'),
})
type Setup = typeof setup extends fc.Arbitrary<infer Value> ? Value : never

interface Fed {
  readonly number: number
  readonly key: string
  readonly message: Message
  settled: (Error | null)[]
  /** With the target, or the last answer left that open. */
  state: 'waiting' | 'in flight' | 'taken' | 'refused' | 'in doubt'
  refusals: number
  written: boolean
}

interface Flight {
  readonly fed: Fed
  readonly settle: Settle
  readonly isDead: boolean
}

/** Lets promises come to their end; no timers are needed for that. */
async function settleDown(): Promise<void> {
  for (let count = 0; count < 10; count++) await Promise.resolve()
}

function errorOf(as: string): Error {
  if (as.endsWith('for good')) return new errors.TOO_LARGE('target', 1, 2)
  if (as === 'lose') return new errors.CONNECTION_LOST('target')
  return as === 'overflow' ? new errors.OVERFLOW('target', 1) : new Error('refused')
}

/** The world around one lane, which looks at everything that the lane does. */
class World {
  readonly source = new TestEndpoint(contextOf('source', { source: { pause: true, ack: true, replay: true } }))
  readonly ends: Record<'target' | 'dead', TestEndpoint>
  readonly behaves: Record<'target' | 'dead', Behaviour> = { target: 'take', dead: 'take' }
  readonly isDown = { target: false, dead: false }
  readonly fed: Fed[] = []
  readonly config: DeliveryConfig
  readonly lane: Lane
  flights: Flight[] = []
  readonly old: Flight[] = []
  readonly #setup: Setup
  readonly #byId = new Map<string, Fed>()
  readonly #lastSent = new Map<string, number>()
  now = 0

  constructor(given: Setup) {
    this.#setup = given
    const { confirm, guarantee, overflow, attempts, deadLetter } = given
    this.ends = {
      target: new TestEndpoint(contextOf('target', { confirm })),
      dead: new TestEndpoint(contextOf('dead', { confirm: deadLetter === 'confirms' })),
    }
    for (const name of ['target', 'dead'] as const) {
      const endpoint = this.ends[name]
      endpoint.onConnect = () => {
        if (this.isDown[name]) throw new Error('still down')
      }
      endpoint.onSend = (message, settle) => this.#onSend(name, message, settle)
      endpoint.onState((state) => {
        if (state !== 'up') this.#forget(name)
      })
      endpoint.start()
    }
    this.config = deliveryOf({
      guarantee,
      overflow,
      buffer: BOUNDS,
      concurrency: CONCURRENCY,
      retry: { attempts, minDelay: 100, maxDelay: 1_000 },
    })
    this.lane = new Lane({
      source: this.source,
      target: this.ends.target,
      steps: [],
      optional: false,
      delivery: this.config,
      deadLetters: deadLetter === 'none' ? undefined : this.ends.dead,
      onDrop: () => {},
      clock: { now: () => this.now, random: () => 0.5 },
    })
  }

  feed(key: string, size: number): void {
    const number = this.fed.length
    const payload = Buffer.alloc(size, 'x')
    const message = new Message({ source: 'source', marshaller: counting(), payload, key, id: String(number) })
    const fed: Fed = { number, key, message, settled: [], state: 'waiting', refusals: 0, written: false }
    this.fed.push(fed)
    this.#byId.set(message.id, fed)
    this.lane.accept(message, {
      settle: (error) => {
        assert.ok(!this.flights.some((flight) => flight.fed === fed && !flight.isDead), 'settled while in flight')
        fed.settled.push(error)
      },
    })
  }

  #onSend(name: 'target' | 'dead', message: Message, settle: Settle | undefined): void {
    const fed = this.#byId.get(message.id) as Fed
    assert.ok(this.ends[name].ready, 'sent while it cannot take it')
    assert.equal(fed.settled.length, 0, 'sent after its end')
    if (name === 'target') this.#onTarget(fed)
    else assert.equal(message.headers['araldo-id'], message.id)
    const as = this.behaves[name]
    if (as !== 'take' && !(as === 'later' && settle !== undefined)) {
      if (as !== 'later') this.#onRefused(fed, name, as)
      if (as !== 'later') throw errorOf(as)
    }
    if (as === 'later' && settle !== undefined) {
      this.flights.push({ fed, settle, isDead: name === 'dead' })
      if (name === 'target') fed.state = 'in flight'
      assert.ok(this.flights.filter(({ isDead }) => !isDead).length <= CONCURRENCY)
      return
    }
    this.#onTaken(fed, name)
    settle?.(null)
    settle?.(new Error('a second answer'))
  }

  /** Order per key, one at a time per key, and never again what may have arrived where that is promised. */
  #onTarget(fed: Fed): void {
    for (const each of this.fed) {
      if (each.key === fed.key && each !== fed) assert.notEqual(each.state, 'in flight', 'two of a key in flight')
    }
    assert.ok(fed.number >= (this.#lastSent.get(fed.key) ?? 0), 'out of order')
    for (const each of this.fed) {
      if (each.key === fed.key && each.number < fed.number) assert.equal(each.settled.length, 1, 'overtaken')
    }
    this.#lastSent.set(fed.key, fed.number)
    assert.notEqual(fed.state, 'taken', 'sent again though it was taken')
    if (this.#setup.guarantee === 'at-most-once') assert.notEqual(fed.state, 'in doubt', 'sent again in doubt')
    assert.ok(fed.refusals < this.#setup.attempts, 'tried too often')
  }

  #onRefused(fed: Fed, name: 'target' | 'dead', as: string): void {
    if (name === 'dead') return
    fed.state = 'refused'
    if (as === 'refuse' || as === 'fail') fed.refusals++
    if (as.endsWith('for good')) fed.refusals = Infinity
  }

  #onTaken(fed: Fed, name: 'target' | 'dead'): void {
    if (name === 'dead') fed.written = true
    else fed.state = 'taken'
  }

  #forget(name: 'target' | 'dead'): void {
    const isDead = name === 'dead'
    for (const flight of this.flights.filter((each) => each.isDead === isDead)) {
      this.old.push(flight)
      if (!isDead) flight.fed.state = 'in doubt'
    }
    this.flights = this.flights.filter((each) => each.isDead !== isDead)
  }

  answer(flight: Flight, as: string): void {
    const { fed, isDead, settle } = flight
    const name = isDead ? 'dead' : 'target'
    this.old.push(flight)
    this.flights.splice(this.flights.indexOf(flight), 1)
    if (as === 'confirm') this.#onTaken(fed, name)
    else if (as === 'lose' && !isDead) fed.state = 'in doubt'
    else this.#onRefused(fed, name, as)
    settle(as === 'confirm' ? null : errorOf(as))
  }

  async pass(milliseconds: number, most = 50): Promise<void> {
    for (let left = milliseconds; left > 0; left -= most) {
      const step = Math.min(left, most)
      this.now += step
      mock.timers.tick(step)
      await settleDown()
    }
  }

  check(): void {
    const { lane, source } = this
    const open = this.fed.filter(({ settled }) => settled.length === 0)
    assert.ok(this.fed.every(({ settled }) => settled.length <= 1))
    const { received, delivered, filtered, deadLettered, waiting } = lane.ledger
    assert.equal(received, this.fed.length)
    assert.equal(received, delivered + filtered + deadLettered + lane.ledger.droppedTotal + waiting)
    assert.deepEqual([waiting, lane.messages], [open.length, open.length])
    const bytes = open.reduce((sum, { message, key }) => sum + message.byteLength + key.length, 0)
    assert.equal(lane.bytes, bytes)
    assert.ok(open.length <= BOUNDS.messages)
    assert.ok(bytes <= BOUNDS.bytes || open.length === 1)
    const acknowledged = this.fed.filter(({ settled: [error] }) => error === null)
    assert.equal(acknowledged.length, delivered + deadLettered)
    for (const fed of acknowledged) assert.ok(fed.state === 'taken' || fed.written, 'acknowledged without a home')
    for (const fed of this.fed) this.#checkEnd(fed)
    const level = Math.max(open.length / BOUNDS.messages, bytes / BOUNDS.bytes)
    const isHeld = source.asked.length % 2 === 1
    source.asked.forEach((what, index) => assert.equal(what, index % 2 === 0 ? 'suspend' : 'resume'))
    if (this.#setup.overflow !== 'block') assert.equal(isHeld, false)
    else if (level >= 0.75) assert.ok(isHeld)
    else if (level <= 0.5) assert.ok(!isHeld)
  }

  /** The source is told to let go of a message only if it was refused as often as it may be, or may be lost. */
  #checkEnd({ settled: [error], refusals, state, written }: Fed): void {
    const isFinal = error instanceof Error && !isRetryable(error)
    if (!isFinal && !written) return
    const mayDrop = this.#setup.overflow !== 'block' && /is full/.test(error?.message ?? '')
    const isLost = this.#setup.guarantee === 'at-most-once' && state === 'in doubt'
    assert.ok(refusals >= this.#setup.attempts || refusals === Infinity || mayDrop || isLost, `given up, ${state}`)
  }
}

type Event = typeof event extends fc.Arbitrary<infer Value> ? Value : never

async function perform(world: World, each: Event): Promise<void> {
  if (each.kind === 'feed') world.feed(each.key, each.size)
  else if (each.kind === 'behave') world.behaves[each.at] = each.as
  else if (each.kind === 'answer') {
    const flight = world.flights[each.at % world.flights.length]
    if (flight !== undefined) world.answer(flight, each.as)
  } else if (each.kind === 'late') {
    const { old } = world
    old[each.at % old.length]?.settle(each.as === 'confirm' ? null : errorOf(each.as))
  } else if (each.kind === 'break') {
    world.isDown[each.at] = true
    world.ends[each.at].break()
    await settleDown()
  } else if (each.kind === 'heal') world.isDown[each.at] = false
  else if (each.kind === 'saturate') world.ends[each.at].saturate(each.is)
  else await world.pass(each.milliseconds)
}

describe('a lane, whatever its target, its dead letters and time do', () => {
  const sequences = fc.tuple(setup, fc.array(event, { maxLength: 80, size: 'max' }), fc.boolean())
  const numRuns = Number(process.env.ARALDO_SEQUENCES ?? 300)

  it('keeps its ledger, its order, its bounds and its promise', async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    await fc.assert(
      fc.asyncProperty(sequences, async ([given, events, closes]) => {
        const world = new World(given)
        for (const each of events) {
          await perform(world, each)
          world.check()
        }
        if (closes) {
          const flights = world.flights.splice(0)
          world.lane.close()
          // Nothing that comes after that may change anything.
          for (const { settle } of flights) settle(null)
          world.feed('a', 1)
          assert.equal(world.lane.messages, 0)
          assert.ok(world.fed.every(({ settled }) => settled.length === 1))
        }
        // Everything is well again: all of it comes to its end.
        for (const name of ['target', 'dead'] as const) {
          world.isDown[name] = false
          world.behaves[name] = 'take'
          world.ends[name].saturate(false)
        }
        while (world.flights.length > 0) world.answer(world.flights[0] as Flight, 'confirm')
        await world.pass(20_000, 500)
        await world.pass(40_000, 5_000)
        for (const endpoint of Object.values(world.ends)) assert.equal(endpoint.state, 'up')
        assert.deepEqual(
          world.fed.filter(({ settled }) => settled.length !== 1).map(({ number }) => number),
          [],
        )
        const { waiting } = world.lane.ledger
        assert.equal(waiting, 0)
        assert.equal(world.source.asked.length % 2, 0)
        world.lane.close()
      }),
      { numRuns, includeErrorInReport: true },
    )
  })
})
