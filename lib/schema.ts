/**
 * Floor 2. Schemas: what types describe their parameters with, and the whole configuration's, put together from the
 * registered types, for editors.
 */
import { closeEntry } from './config/closed.ts'
import type { PluginType } from './config/entries.ts'
import { duration, size } from './config/quantity.ts'
import { laneStepSchemas } from './config/step-schemas.ts'
import type { PluginRegistries } from './discovery.ts'
import { GUARANTEES, OVERFLOWS } from './delivery/guarantee.ts'
import { LOG_LEVELS, type JsonSchema } from './types.ts'

export { duration, size, type QuantityOptions } from './config/quantity.ts'

/** The parameters under `global`. */
export const globalSchema: JsonSchema = {
  type: 'object',
  description: 'Settings of the relay as a whole.',
  properties: {
    'server-port': {
      type: 'integer',
      minimum: 0,
      maximum: 65535,
      default: 54321,
      description: 'TCP port of the web (WebSocket) server; 0 for any free one. Used by the command.',
    },
    'server-host': {
      type: 'string',
      minLength: 1,
      default: '127.0.0.1',
      description: 'The address to listen on; 0.0.0.0 for all. Used by the command.',
    },
    instance: {
      type: 'string',
      pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$',
      description:
        'What the relay calls itself in the header araldo-hops: the same for relays that share their sources.',
    },
    'log-level': { enum: LOG_LEVELS, description: 'How much is logged.' },
    'shutdown-timeout': duration({ default: '20s', description: 'How long an orderly end may take.' }),
    console: { type: 'boolean', default: false, description: 'Whether the console page is served.' },
  },
}

const NAME_PATTERN = '^[A-Za-z][A-Za-z0-9_.-]{0,63}$'

const NAME: JsonSchema = {
  type: 'string',
  pattern: NAME_PATTERN,
  description: 'Unique name of this instance: what routes call it.',
}

const ID_DESCRIPTION = 'The type; or the path of a module (./my-type.js), or the name of a package, that brings it.'

const ENDPOINT_KEYS: Readonly<Record<string, JsonSchema>> = {
  marshalling: { type: 'string', description: 'The name of a declared marshaller; the built-in JSON if left out.' },
  required: { type: 'boolean', default: false, description: 'The relay does not start without it.' },
}

/** A lane's parameters of delivery. */
export const deliverySchema: JsonSchema = {
  type: 'object',
  properties: {
    delivery: { enum: GUARANTEES, description: 'What the lane must promise; the strongest that it can, if left out.' },
    overflow: { enum: OVERFLOWS, description: 'What happens when the buffer is full.' },
    buffer: {
      type: 'object',
      description: 'How much waits in the lane, at most.',
      properties: {
        messages: { type: 'integer', minimum: 1, maximum: 10_000_000, description: 'Messages; 10,000 if left out.' },
        bytes: size({ minimum: 1, description: 'Bytes of them; 64MiB if left out. On disk, 1GiB.' }),
        durable: { type: 'boolean', description: 'On disk: what was taken in outlives the process.' },
        path: { type: 'string', minLength: 1, description: 'The folder of a durable buffer, its own alone.' },
      },
    },
    concurrency: {
      type: 'integer',
      minimum: 1,
      maximum: 100_000,
      description: 'Messages that are with the target at one time, at most, and of each key one; 64 if left out.',
    },
    retry: {
      type: 'object',
      description: 'How what failed for now is tried again.',
      properties: {
        attempts: { type: 'integer', minimum: 1, description: 'Tries in all; no limit if left out.' },
        'min-delay': duration({ minimum: 1, description: 'The first try again comes within this time; 100ms.' }),
        'max-delay': duration({ minimum: 1, description: 'No try waits longer; 30s.' }),
      },
    },
    'dead-letter': { type: 'string', description: 'The endpoint that gets what cannot be delivered.' },
  },
}

const LANE: JsonSchema = {
  type: 'object',
  required: ['to'],
  additionalProperties: false,
  properties: {
    to: { type: 'string', description: "The target endpoint's name." },
    ...laneStepSchemas,
    optional: { type: 'boolean', description: 'It never holds the acknowledgement back.' },
    'may-loop': { type: 'boolean', description: 'Its messages may come round: a step ends the loop.' },
    wiretap: { type: 'boolean', description: 'A copy, which affects neither the source nor any other lane.' },
    ...(deliverySchema['properties'] as object),
  },
}

/** The JSON Schema (draft 7) of a whole configuration, for editors to complete and check `araldo.yaml`. */
export function configSchema(registries: PluginRegistries): JsonSchema {
  const marshallers = [...registries.marshallers]
  const endpoints = [...registries.endpoints]
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'araldo configuration',
    type: 'object',
    additionalProperties: false,
    properties: {
      global: nullable(forEditors(closeEntry(globalSchema))),
      plugins: nullable({
        type: 'object',
        description: 'Plugin instances, by category.',
        additionalProperties: false,
        properties: {
          'araldo.marshalling': entriesSchema(marshallers, 'Marshallers: how payload bytes become a body.'),
          'araldo.endpoints.endpoint': entriesSchema(endpoints, 'Endpoints: where messages come from and go to.'),
        },
      }),
      routes: nullable({
        type: 'object',
        description: 'From each source to its targets, by the names of endpoints.',
        propertyNames: { pattern: NAME_PATTERN },
        additionalProperties: nullable({
          type: 'array',
          items: { anyOf: [{ type: 'string' }, forEditors(closeEntry(LANE))] },
        }),
      }),
    },
    definitions: {
      interpolation: {
        type: 'string',
        pattern: '\\$\\{',
        description: 'From the environment or a file: ${VAR}, ${VAR:-default}, ${file:path}.',
      },
      ...Object.fromEntries(marshallers.map((type) => [type.id, entrySchema(type)])),
      ...Object.fromEntries(endpoints.map((type) => [type.id, entrySchema(type, ENDPOINT_KEYS)])),
    },
  }
}

type DescribedType = PluginType & { readonly description?: string }

/** A list of entries: what each may hold follows from its id. */
function entriesSchema(types: readonly DescribedType[], description: string): JsonSchema {
  const ids = types.map(({ id, description: what }) => ({
    const: id,
    ...(what === undefined ? {} : { description: what }),
  }))
  const elsewhere = { type: 'string', not: { pattern: '^(endpoint|marshal)-' } }
  const item: JsonSchema = {
    type: 'object',
    required: ['name', 'id'],
    properties: { name: NAME, id: { description: ID_DESCRIPTION, anyOf: [...ids, elsewhere] } },
    allOf: types.map(({ id }) => ({
      if: { properties: { id: { const: id } }, required: ['id'] },
      then: { $ref: pointerTo(id) },
    })),
  }
  return nullable({ type: 'array', description, items: item })
}

/** One type's entry. The type's schema becomes a definition, so that its own references must lead there. */
function entrySchema({ id, schema }: DescribedType, common: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  const closed = closeEntry(schema, { name: NAME, id: { description: ID_DESCRIPTION }, ...common })
  return forEditors(rebase(closed, pointerTo(id)) as Schema)
}

function pointerTo(id: string): string {
  return `#/definitions/${encodeURIComponent(id.replaceAll('~', '~0').replaceAll('/', '~1'))}`
}

function rebase(schema: unknown, pointer: string): unknown {
  if (Array.isArray(schema)) return schema.map((each) => rebase(each, pointer))
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).map(([key, value]: [string, unknown]) => {
    const isReference = key === '$ref' && typeof value === 'string' && value.startsWith('#')
    return [key, isReference ? pointer + value.slice(1) : rebase(value, pointer)]
  })
  return Object.fromEntries(entries)
}

type Schema = Readonly<Record<string, unknown>>

/** A section whose lines are all commented out holds null. */
function nullable({ description, ...schema }: Schema): JsonSchema {
  return { ...(description === undefined ? {} : { description }), anyOf: [schema, { type: 'null' }] }
}

/** As the file is written, not as it is read: any scalar may come from a variable, and `unit` is a keyword of ours. */
function forEditors(schema: Schema): JsonSchema {
  const { unit: _unit, properties, patternProperties, definitions, $defs, ...rest } = schema
  const copy: Record<string, unknown> = rest
  if (isScalar(copy)) return scalarForEditors(copy)
  for (const key of ['items', 'additionalProperties', 'anyOf', 'oneOf']) {
    const value = copy[key]
    if (Array.isArray(value)) copy[key] = value.map((each) => forEditors(each as Schema))
    else if (typeof value === 'object' && value !== null) copy[key] = forEditors(value as Schema)
  }
  for (const [key, value] of Object.entries({ properties, patternProperties, definitions, $defs })) {
    if (value !== undefined) copy[key] = mapValues(value as Readonly<Record<string, Schema>>, forEditors)
  }
  return copy
}

/** Describes something that is no list and no map, and says what. */
function isScalar(schema: Schema): boolean {
  if (schema['enum'] !== undefined || schema['const'] !== undefined) return true
  const types = [schema['type'] ?? []].flat()
  return types.length > 0 && !types.includes('object') && !types.includes('array')
}

function scalarForEditors({ description, default: standard, examples, ...schema }: Schema): JsonSchema {
  const isFreeText = schema['type'] === 'string' && Object.keys(schema).length === 1
  const notes = {
    ...(description === undefined ? {} : { description }),
    ...(examples === undefined ? {} : { examples }),
  }
  const rest = isFreeText ? schema : { anyOf: [schema, { $ref: '#/definitions/interpolation' }] }
  return { ...notes, ...(standard === undefined ? {} : { default: standard }), ...rest }
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, change: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
