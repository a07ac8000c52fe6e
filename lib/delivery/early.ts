/**
 * Floor 2. Parcels that came before the disk that is to keep them was there: in their order, and no more of them than may
 * be in memory.
 */
import type { Marshaller } from '../message.ts'
import type { OutboxBounds } from './outbox.ts'
import { type Parcel, sizeOf } from './parcel.ts'

export class Early {
  readonly #bounds: OutboxBounds
  readonly #marshaller: Marshaller
  #parcels: Parcel[] = []
  #bytes = 0

  /** @param marshaller of what will be stored. */
  constructor(bounds: OutboxBounds, marshaller: Marshaller) {
    this.#bounds = bounds
    this.#marshaller = marshaller
  }

  get length(): number {
    return this.#parcels.length
  }

  get hasRoom(): boolean {
    return this.#parcels.length < this.#bounds.messages && this.#bytes < this.#bounds.bytes
  }

  push(parcel: Parcel): void {
    this.#parcels.push(parcel)
    this.#bytes += this.#sizeOf(parcel)
    parcel.message.forgetBody()
  }

  takeAll(): readonly Parcel[] {
    const parcels = this.#parcels
    this.#parcels = []
    this.#bytes = 0
    return parcels
  }

  /** What cannot be encoded is found out when it is to be stored. */
  #sizeOf({ message }: Parcel): number {
    try {
      return sizeOf(message, this.#marshaller)
    } catch {
      return 0
    }
  }
}
