/**
 * Floor 1. The routes: from each source to its targets, with the steps on the way.
 */
import type { DeliveryConfig } from '../delivery/guarantee.ts'
import type { Capabilities } from '../types.ts'
import { DELIVERY_KEYS, DeliveryReader, type Validate } from './delivery.ts'
import type { Diagnostics } from './diagnostics.ts'
import { booleanOf, shown, type ConfigNode, type MapEntry, type MapNode, type ScalarNode } from './node.ts'
import { unknownKey } from './problems.ts'
import { STEP_KEYS, type StepConfig, type StepReader } from './steps.ts'
import { didYouMean, nearest, oneOf, quote } from './words.ts'

/** One target of a route: a lane to be. */
export interface LaneConfig {
  readonly to: string
  /** It never holds the source's acknowledgement back, nor spoils it. */
  readonly optional: boolean
  /** A copy that affects nothing else: optional, and never does its outbox pause the source. */
  readonly wiretap: boolean
  /** In the order in which they run. */
  readonly steps: readonly StepConfig[]
  readonly delivery: DeliveryConfig
  /** Its messages may come round: no hops are kept, and no loop through it is refused. */
  readonly mayLoop?: boolean
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
const LANE_KEYS: readonly string[] = ['to', ...STEP_KEYS, 'steps', 'optional', 'wiretap', 'may-loop', ...DELIVERY_KEYS]

export class RouteReader {
  /** Endpoints that some route names. */
  readonly used = new Set<string>()
  readonly #endpoints: ReadonlyMap<string, RoutableEndpoint> | undefined
  readonly #diagnostics: Diagnostics
  readonly #steps: StepReader
  readonly #delivery: DeliveryReader
  readonly #offsets = new Map<LaneConfig, number | undefined>()

  /**
   * @param endpoints by name; undefined where errors leave unknown what is declared: then any name will do.
   * @param validate checks a lane's parameters of delivery against their schema.
   * @param directory absolute; what paths are relative to.
   */
  constructor(
    endpoints: ReadonlyMap<string, RoutableEndpoint> | undefined,
    diagnostics: Diagnostics,
    validate: Validate,
    steps: StepReader,
    directory: string,
  ) {
    this.#endpoints = endpoints
    this.#diagnostics = diagnostics
    this.#steps = steps
    this.#delivery = new DeliveryReader((name) => endpoints?.get(name)?.capabilities, validate, diagnostics, directory)
  }

  /** Values of variables in steps. */
  get secrets(): ReadonlySet<string> {
    return this.#steps.secrets
  }

  read(routes: MapNode): RouteConfig[] {
    return [...routes.entries.values()].map((entry) => this.#route(entry))
  }

  /** Where the lane stands. */
  offsetOf(lane: LaneConfig): number | undefined {
    return this.#offsets.get(lane)
  }

  #route({ key: source, offset, value }: MapEntry): RouteConfig {
    const label = `route ${quote(source)}`
    this.#checkEnd(source, 'source', label, offset)
    const lanes: LaneConfig[] = []
    if (value.kind === 'list') {
      for (const [index, item] of value.items.entries()) {
        const lane = this.#lane(item, source, index)
        if (lane === undefined) continue
        this.#offsets.set(lane, item.offset)
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
      const ends = { source, to, optional: false, wiretap: false }
      const delivery = this.#delivery.read(undefined, ends, label)
      return { to, optional: false, wiretap: false, steps: [], delivery }
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
    const steps = this.#steps.read(item, named)
    const flag = (key: string): boolean => this.#flag(item.entries.get(key)?.value, `${named}: ${key}`)
    const [wiretap, mayLoop, isOptional] = [flag('wiretap'), flag('may-loop'), flag('optional')]
    const optional = isOptional || wiretap
    this.#checkDeadLetter(item, to, named)
    const delivery = this.#delivery.read(item, { source, to, optional, wiretap }, named)
    if (delivery.deadLetter === undefined && steps.some((step) => step.name === 'expire' && step.deadLetter)) {
      const offset = (item.entries.get('expire') ?? item.entries.get('steps'))?.value.offset
      this.#diagnostics.error(`${named}: expire: dead-letter: the lane has no 'dead-letter'`, offset)
    }
    if (to === undefined) return undefined
    if (
      steps.some((step) => step.name === 'topic') &&
      this.#endpoints?.get(to)?.capabilities?.target?.topics === false
    ) {
      const message = `${named}: topic: it has no effect: this endpoint sends everything to one place`
      this.#diagnostics.warning(
        `${message} (a parameter of its own, such as topic: '{topic}', may change that)`,
        (item.entries.get('topic') ?? item.entries.get('steps'))?.offset,
      )
    }
    return { to, optional, wiretap, steps, delivery, ...(mayLoop && { mayLoop }) }
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

  #flag(node: ConfigNode | undefined, label: string): boolean {
    if (node === undefined || (node.kind === 'scalar' && node.broken)) return false
    const value = booleanOf(node)
    if (value === undefined)
      this.#diagnostics.error(`${label}: expected true or false, got ${shown(node)}`, node.offset)
    return value === true
  }
}
