/**
 * What the relay promises of settling, outboxes, retries and dead letters, in lists that are searched: written from the
 * promise, not from the code. It is told what happens at the ends of the relay (a message comes in, a target is sent
 * one, answers, loses its link) and says whether that was allowed, and what must be so afterwards.
 */
import assert from 'node:assert/strict'
import type { Guarantee, Overflow } from '../../lib/delivery/guarantee.ts'
import type { DropReason } from '../../lib/types.ts'
import { Line, type Place } from './line.ts'

export interface LaneSetup {
  readonly to: number
  readonly optional: boolean
  readonly guarantee: Guarantee
  readonly overflow: Overflow
  readonly messages: number
  readonly bytes: number
  readonly concurrency: number
  readonly attempts: number
  readonly deadLetters: boolean
  readonly step: 'none' | 'filter' | 'fail' | 'map'
}

/** A message that came in at a source. */
export interface Fed {
  readonly number: number
  readonly id: string
  readonly source: number
  readonly key: string | undefined
  readonly topic: string
  readonly payload: string
  readonly isValid: boolean
  /** The source wants to know what becomes of it. */
  readonly settles: boolean
  readonly settled: (Error | null)[]
  /** Lanes that it has come to. */
  readonly arrived: Set<ReferenceLane>
  /** How it ended in each lane that the source waits for; for an error, whether it is final. */
  readonly ends: Map<ReferenceLane, End>
}

/**
 * How a target, or its link, answers.
 * - `lost`: the link was lost before, or with, the answer: it may have the message.
 * - `not taken`: it could take no message at all.
 */
export type Answer = 'confirm' | 'refuse' | 'refuse for good' | 'lost' | 'not taken'

/** How a message ended for its source: well, so that it is no use to send it again, or so that it may be. */
export type End = 'good' | 'final' | 'for now'

export type Outcome = 'delivered' | 'filtered' | 'dead-lettered' | DropReason

/** A message that a lane holds. */
export interface Item extends Place {
  readonly fed: Fed
  readonly payload: string
  readonly size: number
  /** Handed to a target that could take it at once, before it had a place in the outbox. */
  direct: boolean
  /** Why it is on its way to the dead letters: the code, and how often it was sent. */
  dead: { readonly code: string; readonly attempts: number } | undefined
  /** The target may have it, and it must not be sent twice. */
  inDoubt: boolean
}

/** What the reference must know of the world at a moment. */
export interface Now {
  readonly time: number
  readonly chance: number
}

const PAUSE_AT = 0.75
const RESUME_AT = 0.5
export const MAPPED = '"m"'

interface ReferenceTarget {
  readonly confirms: boolean
  readonly otherFormat: boolean
  readonly pipelined: boolean
}

export class ReferenceLane {
  readonly setup: LaneSetup
  readonly source: { readonly number: number; readonly replays: boolean }
  readonly target: ReferenceTarget
  /** Where its dead letters go. */
  readonly dead: ReferenceTarget
  readonly line: Line<Item>
  readonly letters: Line<Item>
  readonly counts: Record<Outcome | 'received' | 'retries', number>
  holds = false
  isClosed = false

  constructor(
    setup: LaneSetup,
    source: ReferenceLane['source'],
    targets: Pick<ReferenceLane, 'target' | 'dead'>,
    now: () => Now,
  ) {
    this.setup = setup
    this.source = source
    const { target, dead } = targets
    this.target = target
    this.dead = dead
    this.line = new Line({
      concurrency: setup.concurrency,
      isPipelined: isPipelined(target),
      delays: { minDelay: 100, maxDelay: 1_000 },
      now,
    })
    this.letters = new Line({
      concurrency: 64,
      isPipelined: isPipelined(dead),
      delays: { minDelay: 100, maxDelay: 30_000 },
      now,
    })
    const zero = { received: 0, retries: 0, delivered: 0, filtered: 0, 'dead-lettered': 0 }
    this.counts = { ...zero, down: 0, overflow: 0, invalid: 0, failed: 0, expired: 0, lost: 0, closing: 0 }
  }

  /** What it holds; what a target takes at once has no place yet. */
  get items(): Item[] {
    return this.line.places.filter(({ direct }) => !direct)
  }

  get bytes(): number {
    return sum(this.items)
  }

  get level(): number {
    return Math.max(this.items.length / this.setup.messages, this.bytes / this.setup.bytes)
  }

  /** @param isReady whether the target can be sent to. */
  arrive(fed: Fed, isReady: boolean): void {
    const { setup, target } = this
    this.counts.received++
    fed.arrived.add(this)
    if (stepOf(this, fed) === 'filter') this.#finish(fed, 'filtered', 'good')
    else if (stepOf(this, fed) === 'fail') this.#cannotBeSent(fed, fed.payload, 'ARALDO_ERR_EXPRESSION_FAILED')
    else {
      const payload = setup.step === 'map' ? MAPPED : fed.payload
      if (target.otherFormat && !fed.isValid && setup.step !== 'map') {
        this.#cannotBeSent(fed, payload, 'ARALDO_ERR_UNDECODABLE')
        return
      }
      const item = this.#item(fed, payload)
      item.direct = !this.isClosed && !target.confirms && this.items.length === 0 && isReady && !this.line.isPaused
      if (item.direct) this.line.places.push(item)
      else this.#admit(item)
    }
  }

  /** The target is sent a message: it must be its turn. */
  sending(fed: Fed): Item {
    const item = this.#find(fed)
    this.line.send(item)
    return item
  }

  /** The target was sent it and has said how that ended. */
  answered(fed: Fed, answer: Answer, isReady: boolean): void {
    const item = this.line.places.find((each) => each.fed === fed)
    // The lane was closed in the middle of a send, and has told its source.
    if (item === undefined) return
    if (answer === 'confirm') {
      this.#end(item, 'delivered', 'good')
      return
    }
    if (this.isClosed) {
      this.#end(item, 'closing', 'for now')
      return
    }
    if (item.direct) {
      item.direct = false
      this.#checkHold()
    }
    this.#failed(item, answer, isReady)
  }

  /** The target goes on with it asynchronously. */
  goesOn(fed: Fed): void {
    const item = this.line.places.find((each) => each.fed === fed)
    if (item === undefined) return
    if (this.isClosed) this.#end(item, 'closing', 'final')
    else if (item.direct) {
      item.direct = false
      this.#checkHold()
    }
  }

  /** The link to the target is lost: of what it has not answered for, nobody knows. */
  lost(isUnderWay: (fed: Fed) => boolean): void {
    for (const item of [...this.line.places]) {
      if (item.state === 'sent' && isUnderWay(item.fed)) this.#failed(item, 'lost', false)
    }
  }

  /** The dead-letter endpoint is sent one. */
  sendingLetter(fed: Fed): Item {
    const item = this.#find(fed)
    assert.ok(item.dead, 'no dead letter')
    const letter = this.letters.places.find((each) => each.fed === fed) ?? assert.fail('written twice')
    this.letters.send(letter)
    return item
  }

  answeredLetter(fed: Fed, answer: Answer, isReady: boolean): void {
    const letter = this.letters.places.find((each) => each.fed === fed)
    if (letter === undefined) return
    if (answer === 'confirm') {
      this.letters.remove(letter)
      this.#end(this.#find(fed), 'dead-lettered', 'good')
    } else if (answer === 'refuse' || answer === 'refuse for good') this.letters.hold(letter)
    else this.letters.giveBack(letter, isReady)
  }

  lostLetters(isUnderWay: (fed: Fed) => boolean): void {
    for (const letter of this.letters.places) if (isUnderWay(letter.fed)) this.letters.giveBack(letter, false)
  }

  /** The lane, or its target, ends: nothing stays. What is just being taken at once ends by itself. */
  close(): void {
    this.isClosed = true
    const { guarantee } = this.setup
    for (const item of [...this.items]) {
      const mayHaveIt = item.state === 'sent' && guarantee === 'at-most-once'
      this.#end(item, 'closing', mayHaveIt || item.inDoubt ? 'final' : 'for now')
    }
    this.letters.places.length = 0
    this.evaluateHold()
  }

  /** Time has come to an item that was held. */
  tick(): void {
    this.line.tick()
    this.letters.tick()
  }

  /** Whether it may let its source go on; asked where nothing is in the middle of an end. */
  evaluateHold(): void {
    if (this.level <= RESUME_AT) this.holds = false
  }

  #checkHold(): void {
    if (this.setup.overflow === 'block' && this.level >= PAUSE_AT) this.holds = true
  }

  #failed(item: Item, answer: Answer, isReady: boolean): void {
    const { guarantee, attempts } = this.setup
    if (answer === 'lost' && guarantee === 'at-most-once') {
      item.inDoubt = true
      this.#giveUp(item, 'down', 'ARALDO_ERR_CONNECTION_LOST')
    } else if (answer === 'refuse for good') this.#giveUp(item, 'invalid', 'ARALDO_ERR_TOO_LARGE')
    else if (answer !== 'refuse') this.line.giveBack(item, isReady)
    else if (item.tries >= attempts) this.#giveUp(item, 'failed', 'ARALDO_ERR_SEND_FAILED')
    else {
      this.counts.retries++
      this.line.hold(item)
    }
  }

  #giveUp(item: Item, reason: DropReason, code: string): void {
    if (!this.setup.deadLetters) {
      this.#end(item, reason, 'final')
      return
    }
    item.dead = { code, attempts: item.tries }
    item.state = 'over'
    this.#write(item)
  }

  /** A step failed, or the target's format cannot carry it. */
  #cannotBeSent(fed: Fed, payload: string, code: string): void {
    if (!this.setup.deadLetters) {
      this.#finish(fed, 'invalid', 'final')
      return
    }
    const item = this.#item(fed, payload)
    item.dead = { code, attempts: 0 }
    item.keepsKey = false
    item.state = 'over'
    this.#admit(item)
    if (this.line.places.includes(item)) this.#write(item)
  }

  #write({ fed, payload, key, size }: Item): void {
    this.letters.places.push({ ...this.#item(fed, payload), pipelined: isPipelined(this.dead), key, size })
  }

  #admit(item: Item): void {
    if (this.isClosed) {
      this.#finish(item.fed, 'closing', 'for now')
      return
    }
    const dropped = this.#toDrop(item.size)
    for (const oldest of dropped) this.#end(oldest, 'overflow', this.#overflow)
    if (!this.#fits(item.size)) {
      this.#finish(item.fed, 'overflow', this.#overflow)
      return
    }
    this.line.places.push(item)
    this.#checkHold()
  }

  /** The oldest that wait, as many as must go; none where that would not help. */
  #toDrop(size: number): Item[] {
    const { overflow } = this.setup
    if (overflow === 'block' || overflow === 'drop-newest') return []
    const waiting = this.items.filter(({ state }) => state === 'waiting')
    for (let count = 0; count <= waiting.length; count++) {
      const dropped = waiting.slice(0, count)
      if (this.#fits(size, dropped)) return dropped
    }
    return []
  }

  #fits(size: number, without: readonly Item[] = []): boolean {
    const items = this.items.filter((item) => !without.includes(item))
    if (items.length === 0) return true
    return items.length < this.setup.messages && sum(items) + size <= this.setup.bytes
  }

  /** What is to be dropped must not come back from a source that sends again what failed. */
  get #overflow(): 'final' | 'for now' {
    return this.source.replays && this.setup.overflow !== 'block' ? 'final' : 'for now'
  }

  #item(fed: Fed, payload: string): Item {
    const { key, topic } = fed
    const size = payload.length + topic.length + (key?.length ?? 0)
    const pipelined = key === undefined && isPipelined(this.target)
    const place = { key: key ?? topic, pipelined, keepsKey: true, state: 'waiting' as const, tries: 0, dueAt: 0 }
    return { ...place, fed, payload, size, direct: false, dead: undefined, inDoubt: false }
  }

  #find(fed: Fed): Item {
    return this.line.places.find((item) => item.fed === fed) ?? assert.fail('sent after its end, or before it came')
  }

  #end(item: Item, outcome: Outcome, end: End): void {
    this.line.remove(item)
    this.#finish(item.fed, outcome, end)
  }

  #finish(fed: Fed, outcome: Outcome, end: End): void {
    this.counts[outcome]++
    assert.ok(!fed.ends.has(this), 'ended twice')
    fed.ends.set(this, end)
  }

  /** After everything that could be done now: nothing that may go waits. */
  checkNothingIdles(isReady: boolean, areLettersReady: boolean): void {
    assert.ok(!this.line.couldSend(isReady), `lane to ${this.setup.to}: a message waits that could be sent`)
    assert.ok(!this.letters.couldSend(areLettersReady), 'a dead letter waits that could be written')
    assert.ok(this.line.places.every(({ direct }) => !direct))
  }
}

/** What the lane's step does to a message. */
export function stepOf({ setup }: { readonly setup: LaneSetup }, { number }: { readonly number: number }): string {
  return setup.step === 'map' || number % 3 === 0 ? setup.step : 'none'
}

function isPipelined({ confirms, pipelined }: ReferenceTarget): boolean {
  return confirms && pipelined
}

/** Bytes of all of them. */
function sum(items: readonly Item[]): number {
  return items.reduce((total, { size }) => total + size, 0)
}
