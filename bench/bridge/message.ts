/** The messages that are moved: JSON of 128 bytes, an id that nobody else has, and a key where there are keys. */
import { findPlaces, mark, PAYLOAD, PAYLOAD_BYTES } from '../load/message.ts'

export interface Item {
  readonly payload: Buffer
  readonly id: string
  /** One of so many as the place has keys; undefined where it has none. */
  readonly key: string | undefined
}

const TEMPLATE = Buffer.from(PAYLOAD)
const PLACES = findPlaces(TEMPLATE)

/** @param keys how many there are; 0 for messages without. */
export function* itemsOf(first: number, count: number, keys: number): Generator<Item> {
  for (let number = first; number < first + count; number++) {
    const payload = Buffer.allocUnsafe(PAYLOAD_BYTES)
    TEMPLATE.copy(payload)
    mark(payload, 0, PLACES, 0, number)
    yield { payload, id: `bench-${number}`, key: keys === 0 ? undefined : `key-${number % keys}` }
  }
}
