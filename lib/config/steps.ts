/**
 * Floor 1. The steps of a lane, as its config names them: compiled, checked, and in the order in which they run.
 */
import type { Expression } from '../expression.ts'
import { HOPS_HEADER } from '../hops.ts'
import type { Template } from '../template.ts'
import type { Diagnostics } from './diagnostics.ts'
import { ExpressionReader } from './expressions.ts'
import { shown, type ConfigNode, type MapNode } from './node.ts'
import { quote } from './words.ts'

/** One step of a lane; `name` is its key in the config. */
export type StepConfig =
  | { readonly name: 'when'; readonly expression: Expression }
  | { readonly name: 'map'; readonly expression: Expression }
  | { readonly name: 'key'; readonly expression: Expression }
  | { readonly name: 'headers'; readonly templates: Readonly<Record<string, Template>> }
  | { readonly name: 'topic'; readonly template: Template }

/** In the order in which they run. */
export const STEP_KEYS = ['when', 'map', 'key', 'headers', 'topic'] as const
type StepKey = (typeof STEP_KEYS)[number]

/** What the expressions of these steps are for. */
const EXPECTED = { when: 'bool', map: 'any', key: 'string' } as const

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/
/**
 * What no value in a route's `topic` may hold: the separators and wildcards of the protocols that there are. A route
 * does not know its target's protocol, so it keeps clear of them all.
 */
const SEPARATORS = /[\s.:/\\*?#+>[\]]/
/** What the message's own topic may not hold either. Its separators are its source's, and no sender's invention. */
const WILDCARDS = /[\s\\*?#+>[\]]/

export class StepReader {
  readonly #diagnostics: Diagnostics
  readonly #expressions: ExpressionReader

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics
    this.#expressions = new ExpressionReader(diagnostics)
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
    return STEP_KEYS.flatMap((key) => {
      const node = lane.entries.get(key)?.value
      if (node === undefined || (node.kind === 'scalar' && node.broken)) return []
      return this.#step(key, node, to, `${label}: ${key}`) ?? []
    })
  }

  #step(name: StepKey, node: ConfigNode, to: string, label: string): StepConfig | undefined {
    if (name === 'headers') return this.#headers(node, to, label)
    if (name === 'topic') {
      const template = this.#expressions.template(node, label, { what: to, refuse: refusedIn })
      return template && { name, template }
    }
    const expression = this.#expressions.expression(node, EXPECTED[name], label)
    return expression && { name, expression }
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
}

/** What a value in a route's `topic` may not hold. An endpoint's name is the config's own, and may hold anything. */
function refusedIn(expression: string): RegExp | undefined {
  if (expression === 'source') return undefined
  return expression === 'topic' ? WILDCARDS : SEPARATORS
}
