/**
 * Floor 1. The lists under `plugins`: each entry a named instance of a type, with the type's own parameters.
 */
import { reasonOf } from '../errors.ts'
import type { Registry } from '../registry.ts'
import type { JsonSchema } from '../types.ts'
import { knownKeys } from './closed.ts'
import type { Diagnostics } from './diagnostics.ts'
import {
  booleanOf,
  shown,
  type ConfigNode,
  type ListNode,
  type MapEntry,
  type MapNode,
  type ScalarNode,
} from './node.ts'
import { missingPackages, type Packages } from './packages.ts'
import { unknownKey } from './problems.ts'
import type { Validator } from './validate.ts'
import { didYouMean, nearest, oneLine, oneOf, quote } from './words.ts'

/** What this file needs to know of an endpoint type or a marshaller type. */
export interface PluginType {
  readonly id: string
  readonly schema: JsonSchema
  readonly packages?: Packages
}

/** One of the two lists. */
export interface Category<Type extends PluginType> {
  /** `araldo.endpoints.endpoint` */
  readonly key: string
  /** `endpoint` */
  readonly noun: string
  /** `endpoint type` */
  readonly typeNoun: string
  /** The keys that every entry takes beside its type's own. */
  readonly commonKeys: readonly string[]
  readonly registry: Registry<Type>
  /** The other list, for types that are declared in the wrong one. */
  readonly other: { readonly key: string; has(id: string): boolean }
}

/** An entry that has a name. What could not be made sense of is undefined: it was reported, and nothing follows from it. */
export interface Entry<Type extends PluginType> {
  readonly name: string
  /** `endpoint 'orders'` */
  readonly label: string
  /** Of the name. */
  readonly offset: number | undefined
  readonly type: Type | undefined
  /** Validated, with defaults. */
  readonly options: object | undefined
  /** The type's own parameters as they stand in the config. */
  readonly parameters: MapNode
  readonly marshalling: ScalarNode | undefined
  readonly required: boolean
}

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/
/** A route could not have such a key. */
const RESERVED = new Set(['constructor', 'prototype'])

/** Reads one list. `types`: what ids that are paths or packages have led to; null for those that were reported. */
export class EntryReader<Type extends PluginType> {
  readonly #category: Category<Type>
  readonly #types: ReadonlyMap<string, Type | null>
  readonly #validator: Validator
  readonly #diagnostics: Diagnostics

  constructor(
    category: Category<Type>,
    types: ReadonlyMap<string, Type | null>,
    validator: Validator,
    diagnostics: Diagnostics,
  ) {
    this.#category = category
    this.#types = types
    this.#validator = validator
    this.#diagnostics = diagnostics
  }

  /** By name. */
  read(list: ListNode): Map<string, Entry<Type>> {
    const entries = new Map<string, Entry<Type>>()
    for (const [index, item] of list.items.entries()) {
      const label = `plugins: ${this.#category.key}: item ${index + 1}`
      if (item.kind === 'scalar' && item.broken) continue
      if (item.kind !== 'map') {
        this.#diagnostics.error(`${label}: expected a map with 'name' and 'id', got ${shown(item)}`, item.offset)
        continue
      }
      const entry = this.#entry(item, label)
      if (entry === undefined) continue
      if (entries.has(entry.name)) {
        this.#diagnostics.error(`${entry.label}: name: another ${this.#category.noun} has this name`, entry.offset)
      } else entries.set(entry.name, entry)
    }
    return entries
  }

  #entry(map: MapNode, label: string): Entry<Type> | undefined {
    const rest = new Map(map.entries)
    const id = this.#take(rest, 'id', label)?.value
    const type = id === undefined ? undefined : this.#find(id)
    const nameNode = this.#take(rest, 'name', label, type)?.value
    const name = nameNode === undefined ? undefined : this.#name(nameNode, label)
    const named = name === undefined ? label : `${this.#category.noun} ${quote(name)}`
    if (nameNode === undefined) this.#diagnostics.error(`${label}: 'name' is missing`, map.offset)
    if (id === undefined) this.#diagnostics.error(`${named}: 'id' is missing`, map.offset)
    else if (type === undefined) this.#unknownType(id, named)

    const marshalling = this.#reference(rest, named)
    const required = this.#flag(rest, named)
    const parameters: MapNode = { kind: 'map', offset: map.offset, entries: rest }
    const options = type === undefined || type === null ? undefined : this.#options(type, parameters, named)
    if (type !== undefined && type !== null) this.#checkPackages(type, named, id?.offset)
    if (name === undefined) return undefined
    const common = { marshalling, required, parameters, options, type: type ?? undefined }
    return { name, label: named, offset: nameNode?.offset, ...common }
  }

  #checkPackages(type: Type, label: string, offset: number | undefined): void {
    const missing = missingPackages(type.packages)
    if (missing.length === 0) return
    const what = missing.length === 1 ? 'a package that is' : 'packages that are'
    const found = missing.flatMap((each) => each.found ?? [])
    const other = found.length === 0 ? '' : ` in this version (there is ${found.join(' and ')})`
    const wanted = missing.map((each) => each.wanted).join(' ')
    this.#diagnostics.error(
      `${label}: ${quote(type.id)} needs ${what} not installed${other}: npm install ${wanted}`,
      offset,
    )
  }

  /**
   * Takes a key out of an entry. One that is not there, but misspelt, is reported and used: a slip is one error.
   * @param type what the entry's type is known to be: its own keys are no slips.
   */
  #take(rest: Map<string, MapEntry>, wanted: string, label: string, type?: Type | null): MapEntry | undefined {
    const found = rest.get(wanted)
    rest.delete(wanted)
    if (found !== undefined) return found
    const known = new Set([...this.#category.commonKeys, ...knownKeys(type?.schema)])
    for (const [key, entry] of rest) {
      if (known.has(key) || nearest(key, known) !== wanted) continue
      rest.delete(key)
      this.#diagnostics.error(`${label}: ${unknownKey(key, [wanted])}`, entry.offset)
      return entry
    }
    return undefined
  }

  #text(node: ConfigNode): string | undefined {
    return node.kind === 'scalar' && typeof node.value === 'string' && !node.broken ? node.value : undefined
  }

  /** null: it was looked for and could not be loaded, which was reported. */
  #find(node: ConfigNode): Type | null | undefined {
    const id = this.#text(node)
    if (id === undefined) return undefined
    const located = this.#types.get(id)
    return located === undefined ? this.#category.registry.get(id) : located
  }

  #unknownType(node: ConfigNode, label: string): void {
    if (node.kind === 'scalar' && node.broken) return
    const { typeNoun, registry, other } = this.#category
    const id = this.#text(node)
    if (id === undefined) {
      this.#diagnostics.error(`${label}: id: expected the id of a type, got ${shown(node)}`, node.offset)
    } else if (other.has(id)) {
      this.#diagnostics.error(`${label}: id: ${quote(id)} belongs under ${quote(other.key)}`, node.offset)
    } else {
      const secret = node.kind === 'scalar' && node.pieces !== undefined
      const near = secret ? '' : didYouMean(id, registry.ids)
      const rest = near === '' ? `; there are ${oneOf(registry.ids, 'and')}` : near
      const advice = `${typeNoun}s are added by installing a package that brings them, or by a path such as './my-type.js' as the id`
      this.#diagnostics.error(`${label}: id: no ${typeNoun} is ${shown(node)}${rest} (${advice})`, node.offset)
    }
  }

  #name(node: ConfigNode, label: string): string | undefined {
    if (node.kind === 'scalar' && node.broken) return undefined
    if (node.kind === 'scalar' && node.pieces !== undefined) {
      const why = 'names are shown in logs and metrics, values of variables never are'
      this.#diagnostics.error(`${label}: name: ${shown(node)} cannot be a name: ${why}`, node.offset)
      return undefined
    }
    const text = node.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined
    if (text === undefined || !NAME.test(text)) {
      const form = "a letter, then up to 63 letters, digits, '_', '.' and '-'"
      this.#diagnostics.error(`${label}: name: expected ${form}, got ${shown(node)}`, node.offset)
    } else if (RESERVED.has(text)) this.#diagnostics.error(`${label}: name: ${quote(text)} is reserved`, node.offset)
    // A name that is wrong is a name all the same: the routes that use it are not at fault as well.
    return text
  }

  #reference(rest: Map<string, MapEntry>, label: string): ScalarNode | undefined {
    const node = this.#common(rest, 'marshalling')
    if (node === undefined || (node.kind === 'scalar' && node.broken)) return undefined
    if (this.#text(node) !== undefined) return node as ScalarNode
    this.#diagnostics.error(`${label}: marshalling: expected the name of a marshaller, got ${shown(node)}`, node.offset)
    return undefined
  }

  #flag(rest: Map<string, MapEntry>, label: string): boolean {
    const node = this.#common(rest, 'required')
    if (node === undefined || (node.kind === 'scalar' && node.broken)) return false
    const value = booleanOf(node)
    if (value === undefined) {
      this.#diagnostics.error(`${label}: required: expected true or false, got ${shown(node)}`, node.offset)
    }
    return value === true
  }

  #common(rest: Map<string, MapEntry>, key: string): ConfigNode | undefined {
    if (!this.#category.commonKeys.includes(key)) return undefined
    const node = rest.get(key)?.value
    rest.delete(key)
    return node
  }

  #options(type: Type, parameters: MapNode, label: string): object | undefined {
    const { commonKeys, typeNoun } = this.#category
    try {
      return this.#validator.validate(type.schema, parameters, label, commonKeys)
    } catch (error) {
      const reason = oneLine(reasonOf(error))
      this.#diagnostics.error(
        `${label}: the schema of ${typeNoun} ${quote(type.id)} is invalid: ${reason}`,
        parameters.offset,
      )
      return undefined
    }
  }
}
