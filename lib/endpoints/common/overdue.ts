/**
 * Floor 3. Notices a peer that answers pings, and what it was sent never: its answers are not to be waited for without
 * end. Looked at by one timer, so that a message costs nothing for it.
 */
export interface OverdueInit<Item> {
  /** Milliseconds; undefined for as long as it takes. */
  readonly limit: number | undefined
  /** What has waited longest for its answer; undefined where nothing does. */
  readonly oldest: () => Item | undefined
  /** Something has waited for that long, and for twice as long at most. Must not throw. */
  readonly onOverdue: () => void
}

export class Overdue<Item extends object> {
  readonly #init: OverdueInit<Item>
  #timer: NodeJS.Timeout | undefined
  /** What was the oldest when it was looked last. */
  #seen: Item | undefined

  constructor(init: OverdueInit<Item>) {
    this.#init = init
  }

  /** Something waits for its answer. */
  watch(): void {
    const { limit, oldest } = this.#init
    if (this.#timer !== undefined || limit === undefined) return
    this.#seen = oldest()
    this.#timer = setTimeout(this.#look, limit)
  }

  /** Nothing is waited for, or nobody minds for how long. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #look = (): void => {
    this.#timer = undefined
    const oldest = this.#init.oldest()
    if (oldest === undefined) return
    if (oldest === this.#seen) this.#init.onOverdue()
    else this.watch()
  }
}
