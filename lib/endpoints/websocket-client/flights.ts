/** Floor 3. Messages that were sent to a server of `araldo.v1` on one connection, and have no answer yet. */
import { FreshMap } from '../../fresh-map.ts'
import type { Settle } from '../../types.ts'

interface Flight {
  readonly id: string
  readonly settle: Settle
  /** Bytes of its frame. */
  readonly bytes: number
}

export class Flights {
  readonly #flights = new FreshMap<string, Flight>()

  get count(): number {
    return this.#flights.size
  }

  /** @returns the id, or one like it that no other message of the connection has: a server answers an id once. */
  free(id: string): string {
    let free = id
    for (let number = 2; this.#flights.has(free); number++) free = `${id}~${number}`
    return free
  }

  /** @param bytes of its frame. */
  add(id: string, bytes: number, settle: Settle): void {
    this.#flights.set(id, { id, bytes, settle })
  }

  /** @returns undefined where nothing of that id waits for an answer. */
  take(id: string): Settle | undefined {
    const flight = this.#flights.get(id)
    this.#flights.delete(id)
    return flight?.settle
  }

  /** The connection is gone: whether the server has them is not known. */
  end(error: Error): void {
    const open = this.#flights.values()
    this.#flights.clear()
    for (const { settle } of open) settle(error)
  }

  /** The one with the largest frame, which is taken out. */
  takeLargest(): Flight | undefined {
    let largest: Flight | undefined
    for (const flight of this.#flights.values()) if (flight.bytes > (largest?.bytes ?? -1)) largest = flight
    if (largest !== undefined) this.#flights.delete(largest.id)
    return largest
  }
}
