/**
 * Messages on their way to one endpoint: in order per key, one of a key at a time or many behind one another, so many in
 * all, tried again later.
 */
import assert from 'node:assert/strict'
import type { Now } from './reference.ts'

export interface Place {
  readonly key: string
  /** It goes behind those of its key that have no answer yet, unless one of them is to be tried again. */
  readonly pipelined: boolean
  /** Others of its key wait for it. */
  keepsKey: boolean
  /** `sent` until the endpoint has answered, `held` until it is tried again, `over` when it is not. */
  state: 'waiting' | 'sent' | 'held' | 'over'
  tries: number
  dueAt: number
}

/** What is refused by an endpoint that says it is ready is asked again as if for the first time after so long. */
const STABLE_AFTER = 10_000

export interface LineInit {
  readonly concurrency: number
  /** Whether the endpoint keeps the order of what goes behind one another. */
  readonly isPipelined: boolean
  readonly delays: { readonly minDelay: number; readonly maxDelay: number }
  readonly now: () => Now
}

export class Line<Item extends Place> {
  /** In the order in which they came. */
  readonly places: Item[] = []
  readonly #concurrency: number
  readonly #delays: { readonly minDelay: number; readonly maxDelay: number }
  readonly #now: () => Now
  #pausedUntil = -Infinity
  #pauses = 0
  #askedAt = -Infinity
  /** Many may go behind one another: once as many are under way as may be, half of them are waited for. */
  readonly #isPipelined: boolean
  #isFull = false

  constructor({ concurrency, isPipelined, delays, now }: LineInit) {
    this.#concurrency = concurrency
    this.#isPipelined = isPipelined
    this.#delays = delays
    this.#now = now
  }

  /** The endpoint said that it was ready, and took nothing: it is left alone. */
  get isPaused(): boolean {
    return this.#now().time < this.#pausedUntil
  }

  send(place: Item): void {
    assert.ok(this.#isNext(place), `not its turn: ${place.state}`)
    assert.ok(this.#sent < this.#concurrency, 'too many at a time')
    assert.ok(this.#hasRoom(), 'sent before half of what was under way was answered')
    assert.ok(!this.isPaused, 'sent to one that was to be left alone for a while')
    place.state = 'sent'
    place.tries++
  }

  /** It is tried again: after a while at random, which grows with each try. */
  hold(place: Item): void {
    place.state = 'held'
    place.dueAt = this.#now().time + this.#delayAfter(place.tries)
  }

  /** No fault of its own: it has its place back, and was not tried. One that says it is ready is left alone a while. */
  giveBack(place: Item, isReady: boolean): void {
    const { time } = this.#now()
    place.state = 'waiting'
    place.tries--
    if (!isReady || this.isPaused) return
    if (time - this.#askedAt >= STABLE_AFTER) this.#pauses = 0
    this.#pauses++
    this.#pausedUntil = this.#askedAt = time + this.#delayAfter(this.#pauses)
  }

  /** The endpoint says that it is ready. */
  becomesReady(): void {
    this.#pausedUntil = -Infinity
  }

  remove(place: Item): void {
    this.places.splice(this.places.indexOf(place), 1)
  }

  /** What is due waits from now on. */
  tick(): void {
    const { time } = this.#now()
    for (const place of this.places) if (place.state === 'held' && place.dueAt <= time) place.state = 'waiting'
  }

  /** Something is due at this moment: whether it waits already is between it and its timer. */
  get isInBetween(): boolean {
    return this.places.some(({ state, dueAt }) => state === 'held' && dueAt <= this.#now().time)
  }

  /** A `send` has returned, and what it sent may be under way. */
  wasSent(): void {
    if (this.#isPipelined && this.#sent >= this.#concurrency) this.#isFull = true
  }

  couldSend(isReady: boolean): boolean {
    if (!this.#hasRoom() || !isReady || this.isPaused) return false
    return this.places.some((place) => this.#isNext(place))
  }

  #hasRoom(): boolean {
    if (this.#sent <= this.#concurrency / 2) this.#isFull = false
    return this.#sent < this.#concurrency && !this.#isFull
  }

  get #sent(): number {
    return this.places.filter(({ state }) => state === 'sent').length
  }

  #isNext(place: Item): boolean {
    const line = this.places.filter((each) => each.key === place.key && each.pipelined === place.pipelined)
    const first = line.find(({ keepsKey, state }) =>
      place.pipelined ? state === 'waiting' || state === 'held' : keepsKey,
    )
    if (first !== place || (place.pipelined && line.some((each) => this.#isHeld(each)))) return false
    return place.state === 'waiting' || (place.state === 'held' && !this.#isHeld(place))
  }

  #isHeld({ state, dueAt }: Item): boolean {
    return state === 'held' && dueAt > this.#now().time
  }

  #delayAfter(tries: number): number {
    const { minDelay, maxDelay } = this.#delays
    return Math.floor(this.#now().chance * Math.min(maxDelay, minDelay * 2 ** (tries - 1)))
  }
}
