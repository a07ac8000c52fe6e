/**
 * Floor 0. What expressions and applications make, as what JSON can carry. Whole numbers of any kind become numbers
 * where they are exact, maps become objects, times become ISO 8601 text; bytes stay bytes, for the marshaller to write.
 * What can't be carried is an error: nothing is lost in silence.
 *
 * A value that is plain already is returned as it is, not copied: bodies are shared and never written to.
 */

/** Levels of lists and maps. */
const MAX_DEPTH = 1000

/** What stands for an object that its user knows and this file does not; undefined for one that is nothing special. */
export type Replace = (value: object) => unknown

/** @throws Error that says what cannot be carried. */
export function toPlain(value: unknown, replace?: Replace): unknown {
  return new Plain(replace).convert(value, 0)
}

class Plain {
  readonly #replace: Replace | undefined

  constructor(replace: Replace | undefined) {
    this.#replace = replace
  }

  convert(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
      case 'undefined':
        return value
      case 'number':
        if (!Number.isFinite(value)) throw new Error(`${value} is no number that JSON can carry`)
        return value
      case 'bigint':
        return exact(value)
      case 'object':
        return value === null ? null : this.#object(value, depth)
      case 'function':
      case 'symbol':
        break
    }
    throw new Error(`a ${typeof value} cannot be carried`)
  }

  #object(value: object, depth: number): unknown {
    if (depth > MAX_DEPTH) throw new Error(`it holds itself, or more than ${MAX_DEPTH} levels of lists and maps`)
    if (Array.isArray(value)) return this.#list(value, depth)
    const replacement = this.#replace?.(value)
    if (replacement !== undefined) return this.convert(replacement, depth + 1)
    if (value instanceof Uint8Array) return value
    if (value instanceof Map) return this.#map(value, depth)
    if (value instanceof Set) return this.#list([...value], depth)
    if (hasToJson(value)) return this.convert(value.toJSON(), depth + 1)
    return this.#record(value as Record<string, unknown>, depth)
  }

  #list(list: readonly unknown[], depth: number): unknown {
    let copy: unknown[] | undefined
    for (let index = 0; index < list.length; index++) {
      const item = this.convert(list[index], depth + 1)
      if (item !== list[index]) (copy ??= [...list])[index] = item
    }
    return copy ?? list
  }

  #record(record: Readonly<Record<string, unknown>>, depth: number): unknown {
    let copy: Record<string, unknown> | undefined
    for (const key of Object.keys(record)) {
      refuseDangerous(key)
      const value = this.convert(record[key], depth + 1)
      if (value !== record[key]) (copy ??= { ...record })[key] = value
    }
    return copy ?? record
  }

  #map(map: ReadonlyMap<unknown, unknown>, depth: number): unknown {
    const record: Record<string, unknown> = {}
    for (const [key, value] of map) {
      refuseDangerous(String(key))
      record[String(key)] = this.convert(value, depth + 1)
    }
    return record
  }
}

/** A whole number as a JavaScript number. @throws Error where that would not be exact. */
export function exact(value: bigint): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new Error(`${value} is too large to be exact: carry it as text`)
  return number
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function refuseDangerous(key: string): void {
  if (key === '__proto__') throw new Error("the key '__proto__' cannot be carried")
}
