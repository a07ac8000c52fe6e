/**
 * Time of the model: it passes when the model says so, timer by timer, and with it goes `performance.now`. What waits
 * for a promise is done before the next timer.
 */
import type { TestContext } from 'node:test'

interface Timer {
  readonly at: number
  readonly run: () => void
}

type Callback = (...args: unknown[]) => void

/** Lets promises come to their end; no timer is needed for that. */
export async function settleDown(): Promise<void> {
  for (let count = 0; count < 12; count++) await Promise.resolve()
}

export class FakeClock {
  now = 0
  /** What `Math.random` gives. */
  chance = 0.5
  readonly #timers = new Map<object, Timer>()

  /** Takes the place of the process's timers, its clock and its chance until the test ends. */
  constructor(t: TestContext) {
    t.mock.method(performance, 'now', () => this.now)
    t.mock.method(Math, 'random', () => this.chance)
    const set = (run: Callback, delay = 0, ...args: unknown[]): object => this.#set(() => run(...args), delay)
    t.mock.method(globalThis, 'setTimeout', set as never)
    t.mock.method(globalThis, 'clearTimeout', ((timer: object) => void this.#timers.delete(timer)) as never)
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#timers.size
  }

  /** Forgets what another model has left. */
  reset(): void {
    this.now = 0
    this.#timers.clear()
  }

  /** @param onFired called after the timers of one moment. */
  async pass(milliseconds: number, onFired: () => void): Promise<void> {
    const end = this.now + milliseconds
    for (;;) {
      const next = this.#next()
      if (next === undefined || next[1].at > end) break
      const [handle, { at, run }] = next
      this.#timers.delete(handle)
      this.now = at
      run()
      const after = this.#next()
      if (after === undefined || after[1].at > at) onFired()
      await settleDown()
    }
    this.now = end
  }

  #set(run: () => void, delay: number): object {
    const handle = { ref: () => handle, unref: () => handle, hasRef: () => false }
    this.#timers.set(handle, { at: this.now + Math.max(1, delay), run })
    return handle
  }

  #next(): [object, Timer] | undefined {
    let next: [object, Timer] | undefined
    for (const entry of this.#timers) if (next === undefined || entry[1].at < next[1].at) next = entry
    return next
  }
}
