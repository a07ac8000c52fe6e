/**
 * Floor 0. A list of what is under way, in the order in which it came: to take one out costs the same wherever it stands.
 *
 * Not a Set, where things come and go by the thousand: see {@link FreshMap} for what those cost the garbage collector.
 */

/** What a list keeps of each; one is in one list at a time. The links are the list's own: nobody else touches them. */
export abstract class Listed {
  /** @internal */ list: object | undefined = undefined
  /** @internal */ previous: Listed | undefined = undefined
  /** @internal */ next: Listed | undefined = undefined
}

export class List<Item extends Listed> {
  #first: Item | undefined
  #last: Item | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  /** What has been in it longest. */
  get first(): Item | undefined {
    return this.#first
  }

  has(item: Item): boolean {
    return item.list === this
  }

  /** At its end. It is in no list. */
  add(item: Item): void {
    item.list = this
    item.previous = this.#last
    if (this.#last === undefined) this.#first = item
    else this.#last.next = item
    this.#last = item
    this.#size++
  }

  /** @returns whether it was there. */
  delete(item: Item): boolean {
    if (item.list !== this) return false
    const previous = item.previous as Item | undefined
    const next = item.next as Item | undefined
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    // What is gone must not keep what came after it.
    item.list = item.previous = item.next = undefined
    this.#size--
    return true
  }

  /** As it is now: what is done with one may take others out. */
  items(): Item[] {
    const items: Item[] = []
    for (let item = this.#first; item !== undefined; item = item.next as Item | undefined) items.push(item)
    return items
  }
}
