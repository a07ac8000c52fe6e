/**
 * Floor 1. The plugins that one relay knows, by id. One registry per Fastify instance, never a global.
 */
import { errors } from './errors.ts'

/** Anything with an id that a config can name. */
export interface Identified {
  readonly id: string
}

interface Entry<Type> {
  readonly type: Type
  readonly origin: string
}

export class Registry<Type extends Identified> {
  readonly #entries = new Map<string, Entry<Type>>()

  /**
   * @param origin where the type comes from, in words for an error: `araldo`, `package araldo-foo`, `./foo.js`.
   * @throws ARALDO_ERR_TYPE_DUPLICATE where another type has that id; the same type twice is fine.
   */
  add(type: Type, origin: string): void {
    const known = this.#entries.get(type.id)
    if (known !== undefined && known.type !== type) {
      throw new errors.TYPE_DUPLICATE(type.id, known.origin, origin)
    }
    if (known === undefined) this.#entries.set(type.id, { type, origin })
  }

  get(id: string): Type | undefined {
    return this.#entries.get(id)?.type
  }

  /** In words, where the type with that id was found. */
  originOf(id: string): string | undefined {
    return this.#entries.get(id)?.origin
  }

  get ids(): string[] {
    return [...this.#entries.keys()]
  }

  [Symbol.iterator](): IterableIterator<Type> {
    return [...this.#entries.values()].map((entry) => entry.type)[Symbol.iterator]()
  }
}
