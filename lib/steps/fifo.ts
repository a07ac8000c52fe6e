/** Floor 1. First in, first out; every operation is O(1), taken together. */
export class Fifo<Item> {
  #items: Item[] = []
  #first = 0

  get size(): number {
    return this.#items.length - this.#first
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  /** Takes the first out. */
  shift(): Item | undefined {
    if (this.size === 0) return undefined
    const item = this.#items[this.#first] as Item
    this.#first++
    // What is gone is let go of when it is half of all.
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }
}
