/**
 * Floor 2. What a config comes to, as text that can be compared: two parts that do the same have the same fingerprint,
 * whatever order their keys stand in, and secrets are part of it. A fingerprint is never shown; a hash of it is.
 */
import { createHash, scrypt } from 'node:crypto'
import type { Config, EndpointConfig, LaneConfig, MarshallerConfig } from '../config.ts'

/** Characters (hexadecimal) of a hash that is shown: enough to tell configs apart, too few to say what was hashed. */
const HASH_LENGTH = 12
/** The cost of a hash (some 20 ms): whoever sees it must not be able to try passwords on it in a hurry. */
const SCRYPT = { N: 2 ** 13, r: 8, p: 1 }

/** Of an endpoint with its marshaller: what changes it makes a reload replace the endpoint. */
export function endpointFingerprint(endpoint: EndpointConfig, marshallers: readonly MarshallerConfig[]): string {
  const { type, options, marshalling } = endpoint
  const marshaller = marshallers.find(({ name }) => name === marshalling)
  return canonical([type.id, options, marshaller === undefined ? null : marshallerFingerprint(marshaller)])
}

/** Of a marshaller, whatever its name. */
export function marshallerFingerprint({ type, options }: MarshallerConfig): string {
  return canonical([type.id, options])
}

/** Of what a lane does, whichever endpoints it is between. */
export function laneFingerprint(lane: LaneConfig): string {
  return canonical(lane)
}

/** Short, and the same for configs that do the same, in every process: for health, metrics and logs. */
export async function configHash(config: Config): Promise<string> {
  const { global, marshallers, endpoints, routes } = config
  const text = canonical({
    global,
    marshallers: named(marshallers, marshallerFingerprint),
    endpoints: named(endpoints, (each) => [endpointFingerprint(each, marshallers), each.marshalling, each.required]),
    routes: Object.fromEntries(routes.map(({ source, lanes }) => [source, lanes.map(laneFingerprint).toSorted()])),
  })
  const hash = await stretched(createHash('sha256').update(text).digest())
  return hash.toString('hex')
}

function named<Part extends { readonly name: string }>(
  parts: readonly Part[],
  fingerprint: (part: Part) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(parts.map((part) => [part.name, fingerprint(part)]))
}

function stretched(digest: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(digest, 'araldo config', HASH_LENGTH / 2, SCRYPT, (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })
}

/** JSON with its keys in order. What was compiled from text (expressions, templates) is that text. */
export function canonical(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function' || typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (value instanceof Uint8Array) return `<${Buffer.from(value).toString('base64')}>`
  if (value instanceof RegExp) return String(value)
  if (value instanceof Map) return `Map${canonical([...value])}`
  if (value instanceof Set) return `Set${canonical([...value])}`
  if (isCompiled(value)) return `=${JSON.stringify(value.text)}`
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  const sorted = entries.toSorted(([one], [other]) => (one < other ? -1 : 1))
  return `{${sorted.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join()}}`
}

/** An expression or a template. */
export function isCompiled(value: object): value is { readonly text: string } {
  if (!('text' in value) || typeof value.text !== 'string') return false
  return ['evaluate', 'render'].some((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}
