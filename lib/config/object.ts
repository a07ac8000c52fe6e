/** Floor 1. A configuration that is given as an object: to the same tree that YAML text becomes, without places. */
import type { Diagnostics } from './diagnostics.ts'
import { isForbiddenKey, MAX_DEPTH, MAX_NODES, scalar, type ConfigNode, type MapEntry } from './node.ts'
import { oneLine, pathWords, quote } from './words.ts'
import { reasonOf } from '../errors.ts'

/** @returns undefined where an error was reported that leaves nothing to go on with. */
export function fromObject(value: object, diagnostics: Diagnostics): ConfigNode | undefined {
  try {
    return new Walk(diagnostics).node(value, [])
  } catch (error) {
    // A getter or a proxy of the caller's can throw anything.
    diagnostics.error(`the config cannot be read: ${oneLine(reasonOf(error))}`)
    return undefined
  }
}

class Walk {
  readonly #diagnostics: Diagnostics
  #count = 0

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics
  }

  node(value: unknown, path: readonly string[]): ConfigNode {
    if (++this.#count > MAX_NODES) throw new Error(`more than ${MAX_NODES} values`)
    if (path.length > MAX_DEPTH) throw new Error(`more than ${MAX_DEPTH} levels, or a list or map that holds itself`)
    if (value === null || value === undefined) return scalar(null, '')
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      return scalar(value, String(value))
    }
    if (Array.isArray(value)) return this.#list(value, path)
    if (typeof value === 'object' && isPlain(value)) return this.#map(value, path)
    this.#diagnostics.error(`${pathWords(path)}${kindOf(value)} means nothing in a config`)
    return scalar(null, '', { broken: true })
  }

  #list(values: readonly unknown[], path: readonly string[]): ConfigNode {
    const items = Array.from(values, (item, index) => this.node(item, [...path, `item ${index + 1}`]))
    return { kind: 'list', offset: undefined, items }
  }

  #map(value: object, path: readonly string[]): ConfigNode {
    const entries = new Map<string, MapEntry>()
    for (const [key, each] of Object.entries(value)) {
      if (isForbiddenKey(key)) this.#diagnostics.error(`${pathWords(path)}the key ${quote(key)} is not allowed`)
      else if (each !== undefined) entries.set(key, { key, offset: undefined, value: this.node(each, [...path, key]) })
    }
    return { kind: 'map', offset: undefined, entries }
  }
}

/** An object literal, of any realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function kindOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`
  const name: unknown = value.constructor?.name
  return typeof name === 'string' && name !== '' ? `an object of class ${quote(name)}` : 'such an object'
}
