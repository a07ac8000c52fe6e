/**
 * Floor 2. Back-pressure: pauses a source when what is behind it is three quarters full, and lets it go on at half, so
 * that it is not asked for every message.
 */
import type { Endpoint } from '../endpoint.ts'

/** The part of a source that back-pressure needs. */
export type Holdable = Pick<Endpoint, 'hold' | 'release'>

const PAUSE_AT = 0.75
const RESUME_AT = 0.5

export class Hold {
  readonly #holdable: Holdable | undefined
  #isHolding = false
  #isEnded = false

  /** @param holdable whom to pause; undefined for nobody. */
  constructor(holdable: Holdable | undefined) {
    this.#holdable = holdable
  }

  /** @param level how full it is: 0 empty, 1 full. */
  adjust(level: number): void {
    if (this.#isHolding) {
      if (level <= RESUME_AT) this.#letGo()
    } else if (level >= PAUSE_AT && this.#holdable !== undefined && !this.#isEnded) {
      this.#isHolding = true
      this.#holdable.hold()
    }
  }

  /** The source goes on, whatever comes. */
  end(): void {
    this.#isEnded = true
    if (this.#isHolding) this.#letGo()
  }

  #letGo(): void {
    this.#isHolding = false
    this.#holdable?.release()
  }
}

/** The lane's hand on its source: whatever of the lane is full pauses it. */
export class Holding implements Holdable {
  readonly #source: Holdable
  #holds = 0

  constructor(source: Holdable) {
    this.#source = source
  }

  get isHolding(): boolean {
    return this.#holds > 0
  }

  hold(): void {
    this.#holds++
    this.#source.hold()
  }

  release(): void {
    this.#holds--
    this.#source.release()
  }
}
