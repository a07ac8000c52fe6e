/**
 * Floor 1. Types' schemas, made strict: unknown keys are errors at every level. JSON Schema allows them unless it is
 * told otherwise, and nobody tells it at every level.
 */
import type { JsonSchema } from '../types.ts'

const MAPS_OF_SCHEMAS = new Set(['properties', 'patternProperties', 'definitions', '$defs'])
const SCHEMAS = new Set(['items', 'additionalItems', 'additionalProperties', 'contains'])
/** Their objects may be described by half, the other half standing beside them. */
const ALTERNATIVES = new Set(['anyOf', 'oneOf'])

/**
 * The schema of an entry's own parameters: a map with the keys that the schema names and no others.
 * @param common keys that every entry has.
 */
export function closeEntry(schema: JsonSchema, common: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  // Ajv knows each $id once, and meta-schemas by their own.
  const { $id: _id, $schema: _schema, ...rest } = close(schema) as JsonSchema
  const properties: Record<string, unknown> = {}
  for (const key of knownKeys(schema)) properties[key] = true
  Object.assign(properties, rest['properties'], common)
  return { ...rest, type: 'object', properties, additionalProperties: false }
}

/** An object with `properties` takes no others, unless its author says which. */
function close(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(close)
  if (!isSchema(schema)) return schema
  const copy: Record<string, unknown> = {}
  const isWhole = schema['properties'] === undefined
  for (const [key, value] of Object.entries(schema)) {
    if (MAPS_OF_SCHEMAS.has(key) && isSchema(value)) {
      copy[key] = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, close(each)]))
    } else if (SCHEMAS.has(key) || (ALTERNATIVES.has(key) && isWhole)) copy[key] = close(value)
    else copy[key] = value
  }
  if (isSchema(copy['properties']) && !('additionalProperties' in schema) && !('patternProperties' in schema)) {
    for (const key of knownKeys(schema)) copy['properties'][key] ??= true
    copy['additionalProperties'] = false
  }
  return copy
}

/** The keys that a schema, or one of its parts that apply to the same object, names. */
export function knownKeys(schema: unknown): Set<string> {
  const keys = new Set<string>()
  if (!isSchema(schema)) return keys
  if (isSchema(schema['properties'])) for (const key of Object.keys(schema['properties'])) keys.add(key)
  for (const part of ['anyOf', 'oneOf', 'allOf', 'if', 'then', 'else']) {
    for (const each of [schema[part]].flat()) for (const key of knownKeys(each)) keys.add(key)
  }
  return keys
}

function isSchema(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
