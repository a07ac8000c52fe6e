/**
 * Floor 2. What is different between two configs: names of what was added, removed and changed, and of a change the keys
 * that differ, never their values. A reload goes by it, `araldo diff` prints it.
 */
import { STEP_KEYS } from '../config/steps.ts'
import type { Config, EndpointConfig, LaneConfig, MarshallerConfig } from '../config.ts'
import { canonical, endpointFingerprint, isCompiled, marshallerFingerprint } from './fingerprint.ts'

/** Something that both configs have, and the keys in which it differs, as the config writes them: `buffer.bytes`. */
export interface Change {
  readonly name: string
  readonly keys: readonly string[]
}

export interface Changes {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly Change[]
}

export interface ConfigDiff {
  /** Nothing is different. */
  readonly same: boolean
  /** Keys of `global`. */
  readonly global: readonly string[]
  /** Those of them that hold from the next start on only. */
  readonly restart: readonly string[]
  readonly marshallers: Changes
  readonly endpoints: Changes
  /** By the names of their sources. A route whose lanes alone differ is not among them. */
  readonly routes: Changes
  /** `source → target` */
  readonly lanes: Changes
}

/** Read when the server is built, and not again. */
const AT_START = new Set(['server-port', 'server-host', 'log-level', 'shutdown-timeout', 'console', 'instance'])

type Fields = Readonly<Record<string, unknown>>

export function diffConfigs(before: Config, after: Config): ConfigDiff {
  const global = differingKeys(spelled(before.global), spelled(after.global))
  const parts = {
    marshallers: compare(byName(before.marshallers), byName(after.marshallers), marshallerFields),
    endpoints: compare(endpointsOf(before), endpointsOf(after), endpointFields),
    routes: compare(routesOf(before), routesOf(after), () => ({})),
    lanes: compare(lanesOf(before), lanesOf(after), laneFields),
  }
  const isSame = ({ added, removed, changed }: Changes): boolean => added.length + removed.length + changed.length === 0
  return {
    same: global.length === 0 && Object.values(parts).every(isSame),
    global,
    restart: global.filter((key) => AT_START.has(key)),
    ...parts,
  }
}

/** A line for each difference: `+ endpoint audit`, `~ lane orders → browsers: when, buffer.bytes`. */
export function describeDiff(diff: ConfigDiff): string[] {
  const lines = diff.global.map(
    (key) => `~ global ${key}${diff.restart.includes(key) ? ' (from the next start on)' : ''}`,
  )
  const kinds = { marshaller: diff.marshallers, endpoint: diff.endpoints, route: diff.routes, lane: diff.lanes }
  for (const [kind, { added, removed, changed }] of Object.entries(kinds)) {
    lines.push(...removed.map((name) => `- ${kind} ${name}`))
    lines.push(...added.map((name) => `+ ${kind} ${name}`))
    lines.push(...changed.map(({ name, keys }) => `~ ${kind} ${name}: ${keys.join(', ')}`))
  }
  return lines
}

/**
 * Whether a running endpoint does what the other config asks of one of its name. Its place in routes is no part of it.
 */
export function isSameEndpoint(before: Config, after: Config, name: string): boolean {
  const [one, other] = [before, after].map((config) => config.endpoints.find((each) => each.name === name))
  if (one === undefined || other === undefined || one.type !== other.type) return false
  if (before.directory !== after.directory) return false
  return endpointFingerprint(one, before.marshallers) === endpointFingerprint(other, after.marshallers)
}

function compare<Part>(
  before: ReadonlyMap<string, Part>,
  after: ReadonlyMap<string, Part>,
  fieldsOf: (part: Part) => Fields,
): Changes {
  const changed: Change[] = []
  for (const [name, part] of after) {
    const known = before.get(name)
    if (known === undefined) continue
    const keys = differingKeys(fieldsOf(known), fieldsOf(part))
    if (keys.length > 0) changed.push({ name, keys })
  }
  return {
    added: [...after.keys()].filter((name) => !before.has(name)),
    removed: [...before.keys()].filter((name) => !after.has(name)),
    changed,
  }
}

function byName<Part extends { readonly name: string }>(parts: readonly Part[]): Map<string, Part> {
  return new Map(parts.map((part) => [part.name, part]))
}

function marshallerFields({ type, options }: MarshallerConfig): Fields {
  return { id: type.id, ...options }
}

interface EndpointWithMarshaller {
  readonly endpoint: EndpointConfig
  readonly marshaller: MarshallerConfig | undefined
}

function endpointsOf({ endpoints, marshallers }: Config): Map<string, EndpointWithMarshaller> {
  const known = byName(marshallers)
  const entries = endpoints.map((endpoint): [string, EndpointWithMarshaller] => {
    return [endpoint.name, { endpoint, marshaller: known.get(endpoint.marshalling ?? '') }]
  })
  return new Map(entries)
}

function endpointFields({ endpoint, marshaller }: EndpointWithMarshaller): Fields {
  const { type, marshalling, required, options } = endpoint
  // Another definition under the same name is another format.
  const format = marshaller === undefined ? undefined : marshallerFingerprint(marshaller)
  return { id: type.id, marshalling: [marshalling, format], required, ...options }
}

function routesOf({ routes }: Config): Map<string, unknown> {
  return new Map(routes.map(({ source }) => [source, source]))
}

function lanesOf({ routes }: Config): Map<string, LaneConfig> {
  const entries = routes.flatMap(({ source, lanes }) =>
    lanes.map((lane): [string, LaneConfig] => [`${source} → ${lane.to}`, lane]),
  )
  return new Map(entries)
}

/** As they stand in a config: what delivery comes to is not in a group of its own there. */
function laneFields({ delivery, steps, to: _to, ...lane }: LaneConfig): Fields {
  const { guarantee, retry, overflow, buffer, durable, ...rest } = delivery
  // Most steps have one value, which stands under their name in the config.
  const byKey = Object.fromEntries(steps.map(({ name, ...step }) => [name, onlyValueOf(step) ?? spelled(step)]))
  // In an order of their own, that counts, too.
  const names = steps.map(({ name }) => name)
  const isUsual = canonical(STEP_KEYS.filter((key) => names.includes(key))) === canonical(names)
  return {
    ...spelled(lane),
    ...(isUsual ? byKey : { steps }),
    delivery: guarantee,
    retry: spelled(retry),
    overflow,
    ...spelled({ buffer: durable === undefined ? buffer : { ...buffer, durable: true, ...durable }, ...rest }),
  }
}

function onlyValueOf(fields: object): unknown {
  const values: unknown[] = Object.values(fields)
  return values.length === 1 ? values[0] : undefined
}

function differingKeys(before: Fields, after: Fields): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...keys].flatMap((key) => {
    const [one, other] = [before[key], after[key]]
    if (canonical(one) === canonical(other)) return []
    return isPlain(one) && isPlain(other) ? differingKeys(one, other).map((inner) => `${key}.${inner}`) : [key]
  })
}

/** Names that the code has in camel case, in the config's spelling. */
function spelled(fields: object): Fields {
  const spell = (key: string): string => key.replace(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [spell(key), value]))
}

function isPlain(value: unknown): value is Fields {
  if (typeof value !== 'object' || value === null || isCompiled(value)) return false
  return [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)
}
