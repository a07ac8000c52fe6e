/**
 * Floor 1. The steps of a lane, as its config names them: compiled, checked, and in the order in which they run. They
 * stand as keys of the lane, in any order, and run in a fixed one; or in a list, `steps`, and run as they stand there.
 */
import type { Expression } from '../expression.ts'
import { HOPS_HEADER } from '../hops.ts'
import type { StepFunction } from '../steps/function.ts'
import type { Template } from '../template.ts'
import type { Diagnostics } from './diagnostics.ts'
import { ExpressionReader } from './expressions.ts'
import { booleanOf, shown, writtenText, type ConfigNode, type MapNode } from './node.ts'
import { unknownKey } from './problems.ts'
import { stepParameters } from './step-schemas.ts'
import type { Validator } from './validate.ts'
import { oneOf, quote } from './words.ts'

/** One step of a lane; `name` is its key in the config. Times are milliseconds. */
export type StepConfig =
  | { readonly name: 'expire'; readonly after: number; readonly deadLetter: boolean }
  | { readonly name: 'when'; readonly expression: Expression }
  | { readonly name: 'dedupe'; readonly key: Expression | undefined; readonly window: number; readonly size: number }
  | { readonly name: 'module'; readonly path: string; readonly run: StepFunction; readonly timeout: number }
  | { readonly name: 'split'; readonly list: Expression; readonly max: number }
  | { readonly name: 'map'; readonly expression: Expression }
  | { readonly name: 'key'; readonly expression: Expression }
  | { readonly name: 'headers'; readonly templates: Readonly<Record<string, Template>> }
  | { readonly name: 'topic'; readonly template: Template }
  | ({ readonly name: 'throttle' } & ThrottleConfig)

export interface ThrottleConfig {
  /** Messages in the time of `per`. */
  readonly rate: number
  readonly per: number
  /** Messages that may go at once after a while without any. */
  readonly burst: number
  /** What has a rate of its own; undefined where the whole lane has one. */
  readonly by: Expression | undefined
  readonly excess: 'wait' | 'drop'
}

/** In the order in which they run. */
export const STEP_KEYS = [
  'expire',
  'when',
  'dedupe',
  'module',
  'split',
  'map',
  'key',
  'headers',
  'topic',
  'throttle',
] as const
type StepKey = (typeof STEP_KEYS)[number]

/** A lane has one of each at most: they go on working while a message waits. */
const ONCE: readonly StepKey[] = ['expire', 'throttle']

/** What the expressions of these steps are for. */
const EXPECTED = { when: 'bool', map: 'any', key: 'string' } as const

/** A throttle's `burst`, if its config does not say, is what may go in this time (milliseconds). */
const BURST_TIME = 100

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/
/**
 * What no value in a route's `topic` may hold: the separators and wildcards of the protocols that there are. A route
 * does not know its target's protocol, so it keeps clear of them all.
 */
const SEPARATORS = /[\s.:/\\*?#+>[\]]/
/** What the message's own topic may not hold either. Its separators are its source's, and no sender's invention. */
const WILDCARDS = /[\s\\*?#+>[\]]/

/** The function that a lane's `module` names, or why there is none. */
export type FindFunction = (path: string) => StepFunction | string | undefined

/** A step's parameters, and the nodes of those that are expressions. */
interface Parameters {
  readonly values: Readonly<Record<string, unknown>>
  node(key: string): ConfigNode | undefined
}

export class StepReader {
  readonly #diagnostics: Diagnostics
  readonly #expressions: ExpressionReader
  readonly #validator: Validator
  readonly #find: FindFunction

  constructor(diagnostics: Diagnostics, validator: Validator, find: FindFunction) {
    this.#diagnostics = diagnostics
    this.#expressions = new ExpressionReader(diagnostics)
    this.#validator = validator
    this.#find = find
  }

  /** Values of variables in steps. */
  get secrets(): ReadonlySet<string> {
    return this.#expressions.secrets
  }

  /**
   * @param lane its long form.
   * @returns what is right of it, where something is wrong.
   */
  read(lane: MapNode, label: string): StepConfig[] {
    const target = lane.entries.get('to')?.value
    const to = target?.kind === 'scalar' ? target.text : ''
    const list = lane.entries.get('steps')?.value
    if (list !== undefined) return this.#list(list, lane, to, `${label}: steps`)
    return STEP_KEYS.flatMap((key) => {
      const node = lane.entries.get(key)?.value
      return node === undefined ? [] : (this.#step(key, node, to, `${label}: ${key}`) ?? [])
    })
  }

  #list(node: ConfigNode, lane: MapNode, to: string, label: string): StepConfig[] {
    for (const key of STEP_KEYS) {
      const beside = lane.entries.get(key)
      if (beside === undefined) continue
      this.#diagnostics.error(`${label}: ${quote(key)} stands beside it: put it into the list`, beside.offset)
    }
    if (node.kind === 'scalar' && node.broken) return []
    if (node.kind !== 'list') {
      this.#diagnostics.error(`${label}: expected a list of steps, got ${shown(node)}`, node.offset)
      return []
    }
    const steps = node.items.flatMap((item, index) => this.#item(item, to, `${label}: item ${index + 1}`) ?? [])
    for (const once of ONCE) {
      const offset = node.items.filter((item) => item.kind === 'map' && item.entries.has(once))[1]?.offset
      if (offset !== undefined) this.#diagnostics.error(`${label}: there can be one ${quote(once)}`, offset)
    }
    return steps
  }

  #item(item: ConfigNode, to: string, label: string): StepConfig | undefined {
    if (item.kind === 'scalar' && item.broken) return undefined
    const [entry, ...more] = item.kind === 'map' ? item.entries.values() : []
    if (entry === undefined || more.length > 0) {
      const what = item.kind === 'map' && more.length > 0 ? `${more.length + 1} of them` : shown(item)
      this.#diagnostics.error(`${label}: expected one step, ${oneOf(STEP_KEYS)}, got ${what}`, item.offset)
      return undefined
    }
    const name = STEP_KEYS.find((key) => key === entry.key)
    if (name === undefined) {
      this.#diagnostics.error(`${label}: ${unknownKey(entry.key, STEP_KEYS)}`, entry.offset)
      return undefined
    }
    return this.#step(name, entry.value, to, `${label}: ${name}`)
  }

  #step(name: StepKey, node: ConfigNode, to: string, label: string): StepConfig | undefined {
    if (node.kind === 'scalar' && node.broken) return undefined
    switch (name) {
      case 'headers':
        return this.#headers(node, to, label)
      case 'topic': {
        const template = this.#expressions.template(node, label, { what: to, refuse: refusedIn })
        return template && { name, template }
      }
      case 'expire':
        return this.#expire(node, label)
      case 'dedupe':
        return this.#dedupe(node, label)
      case 'module':
        return this.#module(node, label)
      case 'split':
        return this.#split(node, label)
      case 'throttle':
        return this.#throttle(node, label)
      default: {
        const expression = this.#expressions.expression(node, EXPECTED[name], label)
        return expression && { name, expression }
      }
    }
  }

  #headers(node: ConfigNode, to: string, label: string): StepConfig | undefined {
    if (node.kind !== 'map') {
      this.#diagnostics.error(`${label}: expected a map of names to values, got ${shown(node)}`, node.offset)
      return undefined
    }
    const templates: Record<string, Template> = {}
    for (const { key, offset, value } of node.entries.values()) {
      if (!HEADER_NAME.test(key)) this.#diagnostics.error(`${label}: ${quote(key)} cannot be a header's name`, offset)
      if (key.toLowerCase() === HOPS_HEADER)
        this.#diagnostics.error(`${label}: ${quote(key)} is the relay's own`, offset)
      const options = { what: to, part: `header ${quote(key)}` }
      const template = this.#expressions.template(value, `${label}: ${quote(key)}`, options)
      if (template !== undefined) templates[key] = template
    }
    return { name: 'headers', templates }
  }

  #expire(node: ConfigNode, label: string): StepConfig | undefined {
    const given = this.#parameters('expire', node, 'after', [], label)
    if (given === undefined) return undefined
    const { after, 'dead-letter': deadLetter } = given.values as { after: number; 'dead-letter': boolean }
    return { name: 'expire', after, deadLetter }
  }

  #dedupe(node: ConfigNode, label: string): StepConfig | undefined {
    const isWanted = booleanOf(node)
    if (isWanted === false) return undefined
    if (isWanted === undefined && node.kind !== 'map') {
      this.#diagnostics.error(`${label}: expected true or a map, got ${shown(node)}`, node.offset)
      return undefined
    }
    const map: ConfigNode = node.kind === 'map' ? node : { kind: 'map', offset: node.offset, entries: new Map() }
    const given = this.#parameters('dedupe', map, '', ['key'], label)
    const key = this.#expressions.expression(given?.node('key'), 'string', `${label}: key`)
    if (given === undefined || (given.node('key') !== undefined && key === undefined)) return undefined
    return { name: 'dedupe', key, ...(given.values as { window: number; size: number }) }
  }

  #module(node: ConfigNode, label: string): StepConfig | undefined {
    const given = this.#parameters('module', node, 'path', [], label)
    if (given === undefined) return undefined
    const { path, timeout } = given.values as { path: string; timeout: number }
    const run = this.#find(path)
    const written = given.node('path')
    if (typeof run === 'function') {
      return { name: 'module', path: written?.kind === 'scalar' ? writtenText(written) : path, run, timeout }
    }
    // What went wrong may quote the path.
    const isSecret = written?.kind === 'scalar' && written.pieces !== undefined
    const why = isSecret ? `${shown(written)} names a module that cannot be loaded` : `${quote(path)}: ${run}`
    this.#diagnostics.error(`${label}: ${why}`, written?.offset ?? node.offset)
    return undefined
  }

  #split(node: ConfigNode, label: string): StepConfig | undefined {
    const given = this.#parameters('split', node, 'list', ['list'], label)
    if (given === undefined) return undefined
    if (given.node('list') === undefined) this.#diagnostics.error(`${label}: 'list' is missing`, node.offset)
    const list = this.#expressions.expression(given.node('list'), 'list', label)
    return list && { name: 'split', list, max: given.values['max'] as number }
  }

  #throttle(node: ConfigNode, label: string): StepConfig | undefined {
    const given = this.#parameters('throttle', node, 'rate', ['by'], label)
    const by = this.#expressions.expression(given?.node('by'), 'string', `${label}: by`)
    if (given === undefined || (given.node('by') !== undefined && by === undefined)) return undefined
    const { rate, per, burst, excess } = given.values as unknown as ThrottleConfig
    return {
      name: 'throttle',
      rate,
      per,
      burst: burst ?? Math.max(1, Math.floor((rate * BURST_TIME) / per)),
      by,
      excess,
    }
  }

  /**
   * The parameters of a step that has several.
   * @param main the one that the short form gives: `throttle: 10` is `throttle: { rate: 10 }`.
   * @param expressions keys of those that are expressions: they are not looked at here.
   */
  #parameters(
    name: keyof typeof stepParameters,
    node: ConfigNode,
    main: string,
    expressions: readonly string[],
    label: string,
  ): Parameters | undefined {
    const entries =
      node.kind === 'map' ? node.entries : new Map([[main, { key: main, offset: undefined, value: node }]])
    const plain = [...entries].filter(([key]) => !expressions.includes(key))
    const map: MapNode = { kind: 'map', offset: node.offset, entries: new Map(plain) }
    const values = this.#validator.validate(stepParameters[name], map, label, expressions)
    return values && { values: values as Record<string, unknown>, node: (key) => entries.get(key)?.value }
  }
}

/** What a value in a route's `topic` may not hold. An endpoint's name is the config's own, and may hold anything. */
function refusedIn(expression: string): RegExp | undefined {
  if (expression === 'source') return undefined
  return expression === 'topic' ? WILDCARDS : SEPARATORS
}
