/**
 * Floor 1. Many deadlines, one timer: a binary heap of items by the time at which they are due.
 */

interface Due<Item> {
  readonly item: Item
  readonly at: number
}

/** Timers hold no more (milliseconds): a longer one would fire at once. */
const MAX_TIMER = 2 ** 31 - 1

export class Deadlines<Item> {
  readonly #onDue: (item: Item) => void
  readonly #now: () => number
  readonly #heap: Due<Item>[] = []
  #timer: NodeJS.Timeout | undefined
  #timerAt = Infinity

  /**
   * @param onDue called with each item when its time has come, earliest first. Must not throw.
   * @param now milliseconds on a clock that never goes back; handed in by tests.
   */
  constructor(onDue: (item: Item) => void, now: () => number = () => performance.now()) {
    this.#onDue = onDue
    this.#now = now
  }

  get size(): number {
    return this.#heap.length
  }

  /** @param delay milliseconds from now */
  add(item: Item, delay: number): void {
    const at = this.#now() + delay
    const heap = this.#heap
    heap.push({ item, at })
    this.#rise(heap.length - 1)
    if (at < this.#timerAt) this.#arm()
  }

  /** Forgets all of them and returns them, in no order. */
  clear(): Item[] {
    clearTimeout(this.#timer)
    this.#timerAt = Infinity
    return this.#heap.splice(0).map(({ item }) => item)
  }

  #arm(): void {
    clearTimeout(this.#timer)
    const next = this.#heap[0]
    if (next === undefined) {
      this.#timerAt = Infinity
      return
    }
    this.#timerAt = next.at
    const delay = Math.min(MAX_TIMER, Math.max(0, Math.ceil(next.at - this.#now())))
    // It does not keep the process alive: what it is for ends with the relay.
    this.#timer = setTimeout(this.#fire, delay).unref()
  }

  readonly #fire = (): void => {
    const now = this.#now()
    // What becomes due while this runs is left for the next time, so that it comes to an end.
    for (let left = this.#heap.length; left > 0; left--) {
      const next = this.#heap[0]
      if (next === undefined || next.at > now) break
      this.#removeFirst()
      this.#onDue(next.item)
    }
    this.#arm()
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop() as Due<Item>
    if (heap.length === 0) return
    heap[0] = last
    let index = 0
    for (;;) {
      const left = 2 * index + 1
      const right = left + 1
      let least = index
      if (left < heap.length && this.#at(left) < this.#at(least)) least = left
      if (right < heap.length && this.#at(right) < this.#at(least)) least = right
      if (least === index) return
      this.#swap(index, least)
      index = least
    }
  }

  #rise(start: number): void {
    let index = start
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (this.#at(parent) <= this.#at(index)) return
      this.#swap(index, parent)
      index = parent
    }
  }

  #at(index: number): number {
    return (this.#heap[index] as Due<Item>).at
  }

  #swap(one: number, other: number): void {
    const heap = this.#heap
    const item = heap[one] as Due<Item>
    heap[one] = heap[other] as Due<Item>
    heap[other] = item
  }
}
