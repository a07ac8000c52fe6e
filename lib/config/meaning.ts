/** Floor 1. What no schema can say: the types' own checks, references between entries, and what nothing uses. */
import { reasonOf } from '../errors.ts'
import type { Capabilities } from '../types.ts'
import type { Diagnostics } from './diagnostics.ts'
import type { Entry, PluginType } from './entries.ts'
import { secretsIn } from './interpolation.ts'
import { shown } from './node.ts'
import { didYouMean, oneLine, oneOf, quote } from './words.ts'

/** What is needed of an endpoint type. */
export interface CapableType extends PluginType {
  capabilities(options: object): Capabilities
  check?(options: object): Iterable<{ readonly path: string; readonly message: string }>
  hears?(options: object, sender: object): boolean
}

/** What endpoints without `marshalling` use. A declared marshaller of this type is in use through them. */
const DEFAULT_MARSHALLER = 'marshal-json'
/** Shorter values are no secrets, and would blot out half of a message. */
const SHORTEST_SECRET = 3

/**
 * What the endpoint can do, after its type's own checks.
 * @returns undefined where its parameters are wrong, or its type fails on them.
 */
export function capabilitiesOf(entry: Entry<CapableType>, diagnostics: Diagnostics): Capabilities | undefined {
  const { label, type, options, parameters, offset } = entry
  if (type === undefined || options === undefined) return undefined
  const secrets = new Set<string>()
  secretsIn(parameters, secrets)
  try {
    const before = diagnostics.errors
    for (const { path, message } of type.check?.(options) ?? []) {
      const place = parameters.entries.get(path)
      const where = path === '' ? label : `${label}: ${path}`
      diagnostics.error(`${where}: ${redact(oneLine(message), secrets)}`, place?.value.offset ?? offset)
    }
    return diagnostics.errors === before ? type.capabilities(options) : undefined
  } catch (error) {
    const reason = redact(oneLine(reasonOf(error)), secrets)
    diagnostics.error(`${label}: ${quote(type.id)} failed on these parameters: ${reason}`, offset)
    return undefined
  }
}

/** Whether what one endpoint sends comes in at another, by their type's own account: none speaks to another type's. */
export function hears(
  listener: Entry<CapableType> | undefined,
  sender: Entry<CapableType> | undefined,
  diagnostics: Diagnostics,
): boolean {
  if (listener?.options === undefined || sender?.options === undefined) return false
  const { type } = listener
  if (type?.hears === undefined || type !== sender.type) return false
  try {
    return type.hears(listener.options, sender.options)
  } catch (error) {
    const secrets = new Set<string>()
    for (const { parameters } of [listener, sender]) secretsIn(parameters, secrets)
    const reason = redact(oneLine(reasonOf(error)), secrets)
    const what = `whether it hears ${quote(sender.name)}`
    diagnostics.error(`${listener.label}: ${quote(type.id)} failed to say ${what}: ${reason}`, listener.offset)
    return false
  }
}

/** A message of somebody else's, who may quote parameters. */
function redact(message: string, secrets: ReadonlySet<string>): string {
  const longest = [...secrets].filter(({ length }) => length >= SHORTEST_SECRET).toSorted((a, b) => b.length - a.length)
  return longest.reduce((text, secret) => text.replaceAll(secret, '***').replaceAll(oneLine(secret), '***'), message)
}

/** @param marshallers undefined where errors leave unknown what is declared. */
export function checkMarshalling(
  { marshalling: node, label }: Entry<PluginType>,
  marshallers: ReadonlyMap<string, unknown> | undefined,
  diagnostics: Diagnostics,
): void {
  if (node === undefined || marshallers === undefined || marshallers.has(node.text)) return
  const names = [...marshallers.keys()]
  const near = node.pieces === undefined ? didYouMean(node.text, names) : ''
  const declared =
    names.length === 0 ? '; none is declared (JSON is built in: leave it out)' : `; there are ${oneOf(names, 'and')}`
  const rest = near === '' ? declared : near
  diagnostics.error(`${label}: marshalling: no marshaller is named ${shown(node)}${rest}`, node.offset)
}

/** Warns of what no route uses. @param used endpoints that routes name. */
export function warnOfUnused(
  endpoints: ReadonlyMap<string, Entry<PluginType>>,
  marshallers: ReadonlyMap<string, Entry<PluginType>>,
  used: ReadonlySet<string>,
  diagnostics: Diagnostics,
): void {
  const marshallings = new Set<string | undefined>()
  for (const { name, label, offset, marshalling } of endpoints.values()) {
    if (used.has(name)) marshallings.add(marshalling?.text)
    else diagnostics.warning(`${label}: no route uses it`, offset)
  }
  for (const { name, label, offset, type } of marshallers.values()) {
    const isDefault = type?.id === DEFAULT_MARSHALLER && marshallings.has(undefined)
    if (!marshallings.has(name) && !isDefault) diagnostics.warning(`${label}: no endpoint on a route uses it`, offset)
  }
}
