/**
 * Floor 1. Numbers by key, in the order in which they were set. A Map keeps that order, too, but not what its oldest
 * entry is: where the oldest are taken out one by one, it looks through all that were there before, each time.
 */
import { FreshMap } from '../fresh-map.ts'

interface Entry {
  readonly key: string
  value: number
  older: Entry | undefined
  newer: Entry | undefined
}

/** Every operation is O(1). */
export class Aged {
  readonly #entries = new FreshMap<string, Entry>()
  #oldest: Entry | undefined
  #newest: Entry | undefined

  get size(): number {
    return this.#entries.size
  }

  /** The one that was set longest ago. */
  get oldest(): { readonly key: string; readonly value: number } | undefined {
    return this.#oldest
  }

  get(key: string): number | undefined {
    return this.#entries.get(key)?.value
  }

  /** It is the newest from now on. */
  set(key: string, value: number): void {
    let entry = this.#entries.get(key)
    if (entry === undefined) this.#entries.set(key, (entry = { key, value, older: undefined, newer: undefined }))
    else this.#unlink(entry)
    entry.value = value
    entry.older = this.#newest
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  deleteOldest(): void {
    if (this.#oldest === undefined) return
    this.#entries.delete(this.#oldest.key)
    this.#unlink(this.#oldest)
  }

  #unlink(entry: Entry): void {
    const { older, newer } = entry
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    entry.older = entry.newer = undefined
  }
}
