/**
 * A router with its endpoints, and beside it the reference that is told of everything that happens at its ends. After
 * each step the two must agree.
 */
import assert from 'node:assert/strict'
import type { RouteConfig } from '../../lib/config.ts'
import { type AraldoError, errors, isRetryable } from '../../lib/errors.ts'
import type { Message } from '../../lib/message.ts'
import { Router } from '../../lib/router.ts'
import type { Settle } from '../../lib/types.ts'
import { contextOf, deliveryOf, silentLog, type TestEndpoint } from '../support/core.ts'
import type { FakeClock } from './clock.ts'
import { PausableEndpoint } from './ends.ts'
import { Peers, type Sent, type TargetSetup } from './peers.ts'
import { type Answer, type End, type Fed, type LaneSetup, ReferenceLane, stepOf } from './reference.ts'

export interface Setup {
  readonly sources: readonly { readonly replays: boolean; readonly lanes: readonly LaneSetup[] }[]
  /** The last is the dead-letter endpoint. */
  readonly targets: readonly TargetSetup[]
  readonly chance: number
}

/** What happens once, in the middle of the next send or of the next settling. */
export interface Hook {
  readonly when: 'send' | 'settle'
  readonly run: () => void
}

export class World extends Peers {
  readonly setup: Setup
  readonly clock: FakeClock
  readonly sources: TestEndpoint[]
  readonly router: Router
  readonly #endpoints: ReadonlyMap<string, TestEndpoint>
  readonly #configs: readonly RouteConfig[]
  /** By source, then by its place in the route. */
  readonly lanes: ReferenceLane[][]
  readonly fed: Fed[] = []
  readonly #byId = new Map<string, Fed>()
  hook: Hook | undefined
  readonly #settling: ReferenceLane[][] = []
  /** In the middle of something that the reference sees as one: no hook must run. */
  #quiet = 0
  #violation: Error | undefined

  constructor(setup: Setup, clock: FakeClock) {
    super(setup.targets)
    this.setup = setup
    this.clock = clock
    clock.chance = setup.chance
    const now = (): { time: number; chance: number } => ({ time: clock.now, chance: setup.chance })
    setup.targets.forEach((_target, at) => this.#listen(at))
    this.sources = setup.sources.map(({ replays }, at) => this.#source(at, replays))
    this.lanes = setup.sources.map(({ replays, lanes }, number) =>
      lanes.map((lane) => {
        const [target, dead] = [setup.targets[lane.to], setup.targets.at(-1)]
        assert.ok(target && dead)
        return new ReferenceLane(lane, { number, replays }, { target, dead }, now)
      }),
    )
    this.#endpoints = new Map([...this.sources, ...this.targets].map((each) => [each.name, each]))
    this.#configs = setup.sources.map(({ lanes }, at): RouteConfig => this.#route(at, lanes))
    this.router = new Router(this.#endpoints, this.#configs, silentLog)
    for (const endpoint of this.#endpoints.values()) endpoint.start()
  }

  #source(at: number, replay: boolean): TestEndpoint {
    const source = new PausableEndpoint(contextOf(`s${at}`, { source: { pause: true, ack: true, replay } }))
    source.onPause = (isPaused) => this.#watched(() => this.#onPause(at, isPaused))
    return source
  }

  #listen(at: number): void {
    const target = this.targets[at] ?? assert.fail()
    target.onSend = (message, settle) => this.#watched(() => this.#onSend(at, message, settle))
    target.onState((state) => {
      if (state === 'down') this.#onDown(at)
      else if (state === 'closing') this.#onStop(at)
    })
    target.onReady(() => {
      // Lanes hear of it one after the other: what comes in between is asked again at once, or is not.
      this.#beQuiet()
      for (const line of this.#linesTo(at)) line.becomesReady()
    })
    target.listeners = 0
  }

  #route(source: number, lanes: readonly LaneSetup[]): RouteConfig {
    return {
      source: `s${source}`,
      lanes: lanes.map((lane, place) => {
        const { to, optional, guarantee, overflow, messages, bytes, concurrency, attempts, deadLetters } = lane
        const retry = { attempts, minDelay: 100, maxDelay: 1_000 }
        const deadLetter = deadLetters ? `t${this.dead}` : undefined
        const buffer = { messages, bytes }
        const change = { guarantee, overflow, buffer, concurrency, retry, deadLetter }
        const when = (message: Message): boolean => this.#watched(() => this.#onArrival(source, place, message))
        const steps: RouteConfig['lanes'][number]['steps'] = [
          { name: 'when', expression: { text: 'when', usesBody: false, evaluate: when } },
          ...(lane.step === 'map'
            ? [{ name: 'map' as const, expression: { text: 'map', usesBody: false, evaluate: () => 'm' } }]
            : []),
        ]
        return { to: `t${to}`, optional, wiretap: false, steps, delivery: deliveryOf(change) }
      }),
    }
  }

  get dead(): number {
    return this.targets.length - 1
  }

  *#linesTo(at: number): Iterable<ReferenceLane['line']> {
    for (const lane of this.lanes.flat()) {
      if (at === this.dead) yield lane.letters
      else if (lane.setup.to === at) yield lane.line
    }
  }

  // ── What the operations do ────────────────────────────────────────────────────────────────────────────────────────

  feed(source: number, given: Pick<Fed, 'key' | 'topic' | 'isValid'> & { size: number; settles: boolean }): void {
    const { key, topic, isValid, size, settles } = given
    const number = this.fed.length
    const payload = isValid ? `"${'x'.repeat(size)}"` : '{'.padEnd(size + 2, 'x')
    const common = { number, id: String(number), source, key, topic, payload, isValid, settled: [], settles }
    const fed: Fed = { ...common, arrived: new Set(), ends: new Map() }
    this.fed.push(fed)
    this.#byId.set(fed.id, fed)
    const init = { id: fed.id, key, topic, payload: Buffer.from(payload) }
    this.sources[source]?.feed(init, settles ? (error) => this.#watched(() => this.#onSettle(fed, error)) : undefined)
  }

  /** The same config anew: nothing must come of it. */
  reload(): void {
    const { router } = this
    assert.deepEqual(router.apply(router.plan(this.#endpoints, this.#configs), new Set()), [])
  }

  async stop(at: number): Promise<void> {
    this.#quiet++
    await this.targets[at]?.stop()
    this.#quiet--
  }

  close(): void {
    this.isClosed = true
    this.#quiet++
    for (const lane of this.lanes.flat()) lane.close()
    this.old.push(...this.flights.splice(0))
    this.router.close()
    this.#quiet--
  }

  async pass(milliseconds: number): Promise<void> {
    await this.clock.pass(milliseconds, () => {
      for (const lane of this.lanes.flat()) lane.tick()
      this.#evaluateHolds([])
    })
  }

  /** Nothing is in the middle of anything. Throws what was found wrong in the course of things. */
  rest(): void {
    if (this.#violation !== undefined) throw this.#violation
    this.#evaluateHolds([])
    this.#ending = undefined
  }

  /** The relay survives whatever its ends throw: what the model finds wrong there is kept, and thrown after the step. */
  #watched<Value>(run: () => Value): Value {
    try {
      return run()
    } catch (error) {
      if (error instanceof assert.AssertionError) this.#violation ??= error
      throw error
    }
  }

  // ── What the relay does ───────────────────────────────────────────────────────────────────────────────────────────

  /** The first step of a lane: the message has come to it. */
  #onArrival(source: number, place: number, message: Message): boolean {
    const fed = this.#byId.get(message.id) ?? assert.fail()
    const lane = this.lanes[source]?.[place] ?? assert.fail()
    assert.ok(!fed.arrived.has(lane), 'came twice')
    const earlier = this.fed.slice(0, fed.number).filter((each) => each.source === source)
    assert.ok(
      earlier.every((each) => each.arrived.has(lane)),
      'came before what was fed earlier',
    )
    this.#evaluateHolds(this.#settling.at(-1) ?? [])
    lane.arrive(fed, this.isReady(lane.setup.to))
    const step = stepOf(lane, fed)
    if (step === 'fail') throw new errors.EXPRESSION_FAILED('when', fed.id, 'it was to fail')
    return step !== 'filter'
  }

  #onSend(at: number, message: Message, settle: Settle | undefined): unknown {
    const fed = this.#byId.get(message.id) ?? assert.fail()
    assert.ok(this.isReady(at), 'sent while it cannot take it')
    assert.equal(settle !== undefined, this.setup.targets[at]?.confirms)
    const place = this.#placeOf(at, message, fed)
    const lane = this.lanes[fed.source]?.[place] ?? assert.fail()
    if (at === this.dead) this.#checkLetter(lane, fed, message)
    else {
      const { payload } = lane.sending(fed)
      assert.equal(message.encode((this.targets[at] as TestEndpoint).marshaller).toString(), payload)
    }
    const sent: Sent = { at, fed, place, settle, flight: settle && this.fly(at, fed, place, settle) }
    this.#runHook('send')
    const sending = this.behave(sent)
    for (const line of [lane.line, lane.letters]) line.wasSent()
    return sending
  }

  #placeOf(at: number, { headers }: Message, fed: Fed): number {
    const name = at === this.dead ? headers['araldo-target'] : `t${at}`
    const place = this.setup.sources[fed.source]?.lanes.findIndex(({ to }) => `t${to}` === name)
    return place ?? assert.fail()
  }

  #checkLetter(lane: ReferenceLane, fed: Fed, message: Message): void {
    const { dead, payload } = lane.sendingLetter(fed)
    const { 'araldo-error': _text, ...headers } = message.headers
    assert.deepEqual(headers, {
      'araldo-route': `s${fed.source}`,
      'araldo-target': `t${lane.setup.to}`,
      'araldo-error-code': dead?.code,
      'araldo-attempts': String(dead?.attempts),
      'araldo-topic': fed.topic,
      'araldo-id': fed.id,
    })
    assert.deepEqual([message.key, message.topic], [fed.key, fed.topic])
    assert.equal(message.payload.toString(), payload)
  }

  protected override answered(at: number, fed: Fed, place: number, answer: Answer): void {
    const lane = this.lanes[fed.source]?.[place] ?? assert.fail()
    if (at === this.dead) lane.answeredLetter(fed, answer, this.isReady(at))
    else lane.answered(fed, answer, this.isReady(at))
    this.#ending = lane
  }

  protected override goesOn(at: number, fed: Fed, place: number): void {
    if (at !== this.dead) this.lanes[fed.source]?.[place]?.goesOn(fed)
  }

  /** The lane that is in the middle of an end. */
  #ending: ReferenceLane | undefined

  #onDown(at: number): void {
    this.isFull[at] = false
    this.#beQuiet()
    const lost = this.flights.filter((flight) => flight.at === at)
    for (const lane of this.lanes.flat()) {
      const isUnderWay = (fed: Fed): boolean =>
        lost.some((flight) => flight.fed === fed && this.lanes[fed.source]?.[flight.place] === lane)
      if (at === this.dead) lane.lostLetters(isUnderWay)
      else if (lane.setup.to === at) lane.lost(isUnderWay)
    }
    for (const flight of lost) this.land(flight)
  }

  #onStop(at: number): void {
    for (const lane of this.lanes.flat()) if (lane.setup.to === at) lane.close()
    for (const flight of this.flights.filter((each) => each.at === at)) this.land(flight)
  }

  #onSettle(fed: Fed, error: Error | null): void {
    fed.settled.push(error)
    const lanes = this.lanes[fed.source] ?? assert.fail()
    for (const lane of lanes) {
      assert.ok(fed.arrived.has(lane), 'settled before every lane has it')
      assert.ok(lane.setup.optional || fed.ends.has(lane), 'settled early')
    }
    const ends = lanes.filter(({ setup }) => !setup.optional).map((lane) => fed.ends.get(lane) ?? assert.fail())
    checkError(error, ends)
    const ending = this.#ending === undefined ? [] : [this.#ending]
    this.#evaluateHolds(ending)
    this.#settling.push(ending)
    this.#runHook('settle')
    this.#settling.pop()
  }

  /** Until everything that comes of this at once has come. */
  #beQuiet(): void {
    this.#quiet++
    queueMicrotask(() => this.#quiet--)
  }

  #runHook(when: Hook['when']): void {
    const { hook } = this
    if (this.#quiet > 0 || hook?.when !== when) return
    if (this.lanes.flat().some(({ line, letters }) => line.isInBetween || letters.isInBetween)) return
    this.hook = undefined
    hook.run()
  }

  #evaluateHolds(except: readonly ReferenceLane[]): void {
    for (const lane of this.lanes.flat()) if (!except.includes(lane)) lane.evaluateHold()
  }

  #onPause(at: number, isPaused: boolean): void {
    const lanes = this.lanes[at] ?? assert.fail()
    if (!isPaused) this.#evaluateHolds([])
    assert.equal(
      lanes.some(({ holds }) => holds),
      isPaused,
      isPaused ? 'paused without a reason' : 'resumed early',
    )
  }
}

/** The source is told what failed in each lane, and whether to send it again. */
function checkError(error: Error | null, ends: readonly End[]): void {
  const failures = ends.filter((end) => end !== 'good').toSorted()
  if (error === null) {
    assert.deepEqual(failures, [])
    return
  }
  const { cause } = error
  const causes: unknown[] = cause instanceof AggregateError ? cause.errors : [cause]
  assert.deepEqual(causes.map((each) => (isRetryable(each) ? 'for now' : 'final')).toSorted(), failures)
  const code = failures.includes('for now') ? 'ARALDO_ERR_UNDELIVERED' : 'ARALDO_ERR_UNDELIVERABLE'
  assert.equal((error as AraldoError).code, code)
}
