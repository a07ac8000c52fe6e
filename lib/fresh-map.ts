/**
 * Floor 0. A Map for what comes and goes by the thousand.
 *
 * V8 makes the table of a Map (or a Set) anew whenever it is full of what was deleted, and the old table keeps what was
 * in it, and points to the new one. Once one of them is old enough for the old generation, all that follow stay, each
 * with all that it held, until that is collected: what should have died young is copied, and copied again. With 512
 * entries at a time the collector takes ten times as long for it. So here the Map itself is exchanged from time to time:
 * that chain ends there.
 *
 * Source: V8, src/objects/ordered-hash-table.cc, `OrderedHashTable::Rehash`.
 */

/** As many deletions at least before the Map is exchanged. */
const MIN_DELETIONS = 1_024

export class FreshMap<Key, Value> {
  #map = new Map<Key, Value>()
  /** Since it was exchanged last. */
  #deletions = 0

  get size(): number {
    return this.#map.size
  }

  /** The value that has been there longest. */
  get first(): Value | undefined {
    return this.#map.size === 0 ? undefined : this.#map.values().next().value
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key)
  }

  has(key: Key): boolean {
    return this.#map.has(key)
  }

  set(key: Key, value: Value): void {
    this.#map.set(key, value)
  }

  /** @returns whether there was one. */
  delete(key: Key): boolean {
    if (!this.#map.delete(key)) return false
    this.#deletions++
    if (this.#deletions >= MIN_DELETIONS && this.#deletions >= this.#map.size) {
      this.#deletions = 0
      this.#map = new Map(this.#map)
    }
    return true
  }

  clear(): void {
    this.#deletions = 0
    this.#map = new Map()
  }

  /** In the order in which they came. What is taken out meanwhile may still be among them: who settles asks `delete`. */
  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.#map[Symbol.iterator]()
  }

  /** As they are now, in the order in which they came: what is done with one may take others out. */
  keys(): Key[] {
    return [...this.#map.keys()]
  }

  /** In the same way. */
  values(): Value[] {
    return [...this.#map.values()]
  }
}
