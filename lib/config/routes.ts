/**
 * Floor 1. The routes: from each source to its targets, with the steps on the way.
 */
import { compileExpression, ExpressionError, type Expected, type Expression } from '../expression.ts'
import { compileTemplate, type Template, type TemplateOptions } from '../template.ts'
import type { DeliveryConfig } from '../guarantee.ts'
import type { Capabilities } from '../types.ts'
import { DELIVERY_KEYS, DeliveryReader, type Validate } from './delivery.ts'
import type { Diagnostics } from './diagnostics.ts'
import { secretsIn } from './interpolation.ts'
import {
  booleanOf,
  shown,
  variablesOf,
  writtenText,
  type ConfigNode,
  type MapEntry,
  type MapNode,
  type Piece,
  type ScalarNode,
} from './node.ts'
import { unknownKey } from './problems.ts'
import { didYouMean, nearest, oneOf, quote } from './words.ts'

/** One target of a route: a lane to be. */
export interface LaneConfig {
  readonly to: string
  readonly optional: boolean
  readonly when?: Expression
  readonly map?: Expression
  readonly topic?: Template
  readonly key?: Expression
  readonly headers?: Readonly<Record<string, Template>>
  readonly delivery: DeliveryConfig
}

export interface RouteConfig {
  readonly source: string
  readonly lanes: readonly LaneConfig[]
}

/** What routes need to know of a declared endpoint. */
export interface RoutableEndpoint {
  readonly name: string
  readonly typeId: string
  /** undefined where the endpoint's own errors leave them unknown. */
  readonly capabilities: Capabilities | undefined
}

/** Keys of the long form, in the order in which the steps run. */
const LANE_KEYS = ['to', 'when', 'map', 'key', 'headers', 'topic', 'optional', ...DELIVERY_KEYS]
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/
/**
 * What no value in a route's `topic` may hold: the separators and wildcards of the protocols that there are. A route
 * does not know its target's protocol, so it keeps clear of them all.
 */
const SEPARATORS = /[\s.:/\\*?#+>[\]]/
/** What the message's own topic may not hold either. Its separators are its source's, and no sender's invention. */
const WILDCARDS = /[\s\\*?#+>[\]]/
/** What a variable may add to an expression: names, numbers and the insides of text, but nothing that ends a text. */
const HARMLESS = /^[\w.:@-]*$/
const NOT_HARMLESS = "cannot stand here: in an expression it may hold letters, digits, '_', '.', ':', '@' and '-' alone"

export class RouteReader {
  /** Endpoints that some route names. */
  readonly used = new Set<string>()
  /** Values of variables in steps. */
  readonly secrets = new Set<string>()
  readonly #endpoints: ReadonlyMap<string, RoutableEndpoint> | undefined
  readonly #diagnostics: Diagnostics

  readonly #delivery: DeliveryReader

  /**
   * @param endpoints by name; undefined where errors leave unknown what is declared: then any name will do.
   * @param validate checks a lane's parameters of delivery against their schema.
   */
  constructor(
    endpoints: ReadonlyMap<string, RoutableEndpoint> | undefined,
    diagnostics: Diagnostics,
    validate: Validate,
  ) {
    this.#endpoints = endpoints
    this.#diagnostics = diagnostics
    this.#delivery = new DeliveryReader((name) => endpoints?.get(name)?.capabilities, validate, diagnostics)
  }

  read(routes: MapNode): RouteConfig[] {
    return [...routes.entries.values()].map((entry) => this.#route(entry))
  }

  #route({ key: source, offset, value }: MapEntry): RouteConfig {
    const label = `route ${quote(source)}`
    this.#checkEnd(source, 'source', label, offset)
    const lanes: LaneConfig[] = []
    if (value.kind === 'list') {
      for (const [index, item] of value.items.entries()) {
        const lane = this.#lane(item, source, index)
        if (lane === undefined) continue
        if (lanes.some(({ to }) => to === lane.to)) {
          this.#diagnostics.error(`${label} → ${quote(lane.to)}: the same target is named twice`, item.offset)
        } else lanes.push(lane)
      }
    } else if (value.kind !== 'scalar' || (value.value !== null && !value.broken)) {
      this.#diagnostics.error(`${label}: expected a list of endpoints' names, got ${shown(value)}`, value.offset)
      return { source, lanes }
    }
    if (value.kind === 'scalar' ? !value.broken : value.items.length === 0) {
      this.#diagnostics.warning(`${label}: it names no target: its messages go nowhere`, offset)
    }
    return { source, lanes }
  }

  #lane(item: ConfigNode, source: string, index: number): LaneConfig | undefined {
    const label = `route ${quote(source)}: item ${index + 1}`
    if (item.kind === 'scalar') {
      const to = this.#target(item, source, label)
      if (to === undefined) return undefined
      return { to, optional: false, delivery: this.#delivery.read(undefined, { source, to }, label) }
    }
    if (item.kind === 'list') {
      this.#diagnostics.error(`${label}: expected an endpoint's name or a map with 'to', got a list`, item.offset)
      return undefined
    }
    const target = item.entries.get('to')?.value
    const to = target === undefined ? undefined : this.#target(target, source, label)
    const named = to === undefined ? label : this.#labelOf(source, target as ScalarNode)
    const slip = this.#checkKeys(item, named)
    if (target === undefined && !slip) this.#diagnostics.error(`${named}: 'to' is missing`, item.offset)
    const steps = this.#steps(item, named)
    this.#checkDeadLetter(item, to, named)
    const delivery = this.#delivery.read(item, { source, to }, named)
    if (to === undefined) return undefined
    if (steps.topic !== undefined && this.#endpoints?.get(to)?.capabilities?.target?.topics === false) {
      const message = `${named}: topic: it has no effect: this endpoint sends everything to one place`
      this.#diagnostics.warning(
        `${message} (a parameter of its own, such as topic: '{topic}', may change that)`,
        item.entries.get('topic')?.offset,
      )
    }
    return { to, ...steps, delivery }
  }

  #labelOf(source: string, target: ScalarNode): string {
    return `route ${quote(source)} → ${target.pieces === undefined ? quote(target.text) : shown(target)}`
  }

  /** The name that stands there, if it is one; whether it can be a target is checked. */
  #target(node: ConfigNode, source: string, label: string): string | undefined {
    if (node.kind === 'scalar' && node.broken) return undefined
    if (node.kind !== 'scalar' || typeof node.value !== 'string') {
      this.#diagnostics.error(`${label}: expected an endpoint's name, got ${shown(node)}`, node.offset)
      return undefined
    }
    this.#checkEnd(node.value, 'target', this.#labelOf(source, node), node.offset, node)
    return node.value
  }

  #checkEnd(
    name: string,
    end: 'source' | 'target',
    label: string,
    offset: number | undefined,
    node?: ScalarNode,
  ): void {
    this.used.add(name)
    if (this.#endpoints === undefined) return
    const endpoint = this.#endpoints.get(name)
    if (endpoint === undefined) {
      const names = [...this.#endpoints.keys()]
      const secret = node?.pieces !== undefined
      this.#diagnostics.error(() => {
        const near = secret ? '' : didYouMean(name, names)
        const rest = names.length === 0 ? '; none is declared' : `; there are ${oneOf(names, 'and')}`
        return `${label}: no endpoint is named ${node === undefined ? quote(name) : shown(node)}${near === '' ? rest : near}`
      }, offset)
    } else if (endpoint.capabilities?.[end] === null) {
      const why = end === 'source' ? 'no source: no messages come in by it' : 'no target: it takes no messages'
      this.#diagnostics.error(`${label}: endpoint ${quote(name)} of type ${endpoint.typeId} is ${why}`, offset)
    }
  }

  /** @returns whether one of the unknown keys was meant to be `to`. */
  #checkKeys(item: MapNode, label: string): boolean {
    let slip = false
    for (const { key, offset } of item.entries.values()) {
      if (LANE_KEYS.includes(key)) continue
      this.#diagnostics.error(`${label}: ${unknownKey(key, LANE_KEYS)}`, offset)
      slip ||= nearest(key, LANE_KEYS) === 'to'
    }
    return slip
  }

  #checkDeadLetter(item: MapNode, to: string | undefined, label: string): void {
    const node = item.entries.get('dead-letter')?.value
    // What is no name at all is told by the schema.
    if (node?.kind !== 'scalar' || node.broken || typeof node.value !== 'string') return
    this.#checkEnd(node.value, 'target', `${label}: dead-letter`, node.offset, node)
    if (node.value === to) {
      this.#diagnostics.error(`${label}: dead-letter: it is the lane's own target, which cannot take it`, node.offset)
    }
  }

  #steps(item: MapNode, label: string): Omit<LaneConfig, 'to' | 'delivery'> {
    const value = (key: string): ConfigNode | undefined => item.entries.get(key)?.value
    const target = value('to')
    const what = target?.kind === 'scalar' ? target.text : ''
    const steps = {
      when: this.#expression(value('when'), 'bool', `${label}: when`),
      map: this.#expression(value('map'), 'any', `${label}: map`),
      key: this.#expression(value('key'), 'string', `${label}: key`),
      headers: this.#headers(value('headers'), `${label}: headers`, what),
      topic: this.#template(value('topic'), `${label}: topic`, { what, refuse: refusedIn }),
      optional: this.#optional(value('optional'), `${label}: optional`),
    }
    return Object.fromEntries(Object.entries(steps).filter(([, step]) => step !== undefined)) as typeof steps
  }

  #optional(node: ConfigNode | undefined, label: string): boolean {
    if (node === undefined || (node.kind === 'scalar' && node.broken)) return false
    const value = booleanOf(node)
    if (value === undefined)
      this.#diagnostics.error(`${label}: expected true or false, got ${shown(node)}`, node.offset)
    return value === true
  }

  #headers(node: ConfigNode | undefined, label: string, what: string): Record<string, Template> | undefined {
    if (node === undefined || (node.kind === 'scalar' && node.broken)) return undefined
    if (node.kind !== 'map') {
      this.#diagnostics.error(`${label}: expected a map of names to values, got ${shown(node)}`, node.offset)
      return undefined
    }
    const headers: Record<string, Template> = {}
    for (const { key, offset, value } of node.entries.values()) {
      if (!HEADER_NAME.test(key)) this.#diagnostics.error(`${label}: ${quote(key)} cannot be a header's name`, offset)
      const template = this.#template(value, `${label}: ${quote(key)}`, { what, part: `header ${quote(key)}` })
      if (template !== undefined) headers[key] = template
    }
    return headers
  }

  #expression(node: ConfigNode | undefined, expects: Expected, label: string): Expression | undefined {
    const scalar = this.#source(node, 'an expression', label)
    if (scalar === undefined) return undefined
    const { pieces = [] } = scalar
    if (!pieces.every(({ variable, text }) => variable === undefined || HARMLESS.test(text))) {
      this.#diagnostics.error(`${label}: ${shown(scalar)} ${NOT_HARMLESS}`, scalar.offset)
      return undefined
    }
    return this.#compile(scalar, label, () => compileExpression(scalar.text, expects, writtenText(scalar)))
  }

  #template(node: ConfigNode | undefined, label: string, options: TemplateOptions): Template | undefined {
    const scalar = this.#source(node, 'text', label)
    if (scalar === undefined) return undefined
    if (scalar.pieces === undefined) return this.#compile(scalar, label, () => compileTemplate(scalar.text, options))
    const text = templateText(scalar.pieces)
    if (text === undefined) {
      this.#diagnostics.error(`${label}: ${shown(scalar)} ${NOT_HARMLESS}`, scalar.offset)
      return undefined
    }
    return this.#compile(scalar, label, () => compileTemplate(text, { ...options, shown: writtenText(scalar) }))
  }

  /** A scalar to be compiled. Numbers and booleans are expressions and text, too. */
  #source(node: ConfigNode | undefined, expected: string, label: string): ScalarNode | undefined {
    if (node === undefined || (node.kind === 'scalar' && node.broken)) return undefined
    if (node.kind === 'scalar' && node.value !== null) return node
    this.#diagnostics.error(`${label}: expected ${expected}, got ${shown(node)}`, node.offset)
    return undefined
  }

  #compile<Compiled>(node: ScalarNode, label: string, compile: () => Compiled): Compiled | undefined {
    secretsIn(node, this.secrets)
    try {
      return compile()
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error
      if (node.pieces !== undefined) {
        // What is wrong may quote the value.
        const message = `it cannot be compiled with the value of ${variablesOf(node)} in it`
        this.#diagnostics.error(`${label}: ${message}`, node.offset)
      } else {
        const offset = node.textOffset === undefined ? node.offset : node.textOffset + error.offset
        const at = node.textOffset === undefined && error.offset > 0 ? ` (at character ${error.offset + 1})` : ''
        this.#diagnostics.error(`${label}: ${error.message}${at}`, offset)
      }
      return undefined
    }
  }
}

/** What a value in a route's `topic` may not hold. An endpoint's name is the config's own, and may hold anything. */
function refusedIn(expression: string): RegExp | undefined {
  if (expression === 'source') return undefined
  return expression === 'topic' ? WILDCARDS : SEPARATORS
}

/**
 * A template whose variables are text, whatever braces their values have.
 * @returns undefined where one within an expression holds more than it may there.
 */
function templateText(pieces: readonly Piece[]): string | undefined {
  let text = ''
  for (const piece of pieces) {
    const literal = text.replace(/\{\{|\}\}/g, '')
    const isWithin = literal.lastIndexOf('{') > literal.lastIndexOf('}')
    if (piece.variable === undefined) text += piece.text
    else if (!isWithin) text += piece.text.replace(/[{}]/g, '$&$&')
    else if (HARMLESS.test(piece.text)) text += piece.text
    else return undefined
  }
  return text
}
