/** Small endpoint types, and what a configuration with them loads to. */
import assert from 'node:assert/strict'
import { ConfigError, loadConfig, type Config, type LoadOptions, type PluginRegistries } from '../../lib/config.ts'
import { defineEndpoint, type EndpointType } from '../../lib/endpoint.ts'
import type { Expression } from '../../lib/expression.ts'
import { builtinMarshallers } from '../../lib/marshallers/index.ts'
import { Registry } from '../../lib/registry.ts'
import { duration, size } from '../../lib/schema.ts'
import type { Template } from '../../lib/template.ts'
import type { Capabilities, JsonSchema } from '../../lib/types.ts'

const SOURCE = { ack: false, pause: false, replay: false, headers: true, topics: true }
const TARGET = { confirm: false, headers: true, topics: true, echo: false }
export const BOTH: Capabilities = { source: SOURCE, target: TARGET }

export function endpointType(id: string, schema: JsonSchema, rest: Partial<EndpointType> = {}): EndpointType {
  return defineEndpoint({ id, schema, capabilities: () => BOTH, plugin: async () => {}, ...rest })
}

export interface PickyOptions {
  readonly url?: string
  readonly host?: string
  readonly secret?: string
}

/** Everything that a schema can say, in one type. */
const picky = endpointType(
  'endpoint-picky',
  {
    type: 'object',
    // Overruled: unknown keys are refused whatever a type says.
    additionalProperties: true,
    properties: {
      url: { type: 'string', minLength: 1 },
      host: { type: 'string' },
      secret: { type: 'string' },
      retries: { type: 'integer', minimum: 1, maximum: 9, default: 3 },
      mode: { enum: ['fast', 'careful'], default: 'fast' },
      path: { type: 'string', pattern: '^/', examples: ['/ws'] },
      buffer: size({ default: '64KiB', minimum: 1024, maximum: 1024 ** 3 }),
      timeout: duration({ default: 500 }),
      channels: {
        anyOf: [{ type: 'string' }, { type: 'array', minItems: 1, uniqueItems: true, items: { type: 'string' } }],
      },
      tls: {
        anyOf: [
          { type: 'boolean' },
          { type: 'object', required: ['ca'], properties: { ca: { type: 'string' }, verify: { type: 'boolean' } } },
        ],
      },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
      nested: { type: 'object', properties: { depth: { type: 'integer' } } },
    },
    anyOf: [{ required: ['url'] }, { required: ['host'] }],
  },
  {
    // What is refused here is no end of anything: routes must not be blamed for that as well.
    capabilities: ({ url }: PickyOptions) => (url === 'whole' ? { source: null, target: null } : BOTH),
    *check({ url, host, secret }: PickyOptions) {
      if (url !== undefined && host !== undefined) yield { path: 'host', message: "stands beside 'url'" }
      if (url === 'throw') throw new Error(`thrown with ${secret}`)
      if (url === 'echo') yield { path: 'secret', message: `cannot be '${secret}'` }
      if (url === 'whole') yield { path: '', message: 'as a whole' }
    },
  },
)

/** Types by what their two ends can do: for how a lane between them delivers. */
const ends = Object.entries({
  plain: BOTH,
  durable: { source: { ...SOURCE, ack: true, pause: true, replay: true }, target: { ...TARGET, confirm: true } },
  /** Who sends is told what became of it, and cannot be paused: an application. */
  asking: { source: { ...SOURCE, ack: true }, target: TARGET },
  clients: { source: SOURCE, target: { ...TARGET, clients: true } },
}).map(([name, capabilities]) =>
  endpointType(`endpoint-${name}`, { type: 'object', properties: {} }, { capabilities: () => capabilities }),
)

/** A route from `a` to `b`, endpoints of these types, with these lines in its long form; and an endpoint `graveyard`. */
export function withEnds(source: string, target: string, lines: string): string {
  return `plugins:
  araldo.endpoints.endpoint:
    - { name: a, id: endpoint-${source} }
    - { name: b, id: endpoint-${target} }
    - { name: graveyard, id: endpoint-plain }
routes:
  a:
    - to: b
${lines.replace(/^/gm, '      ')}
`
}

export function registries(): PluginRegistries {
  const found: PluginRegistries = { endpoints: new Registry(), marshallers: new Registry() }
  const nothing: JsonSchema = { type: 'object', properties: {} }
  for (const type of [
    endpointType('endpoint-mock', { type: 'object', properties: { channel: { type: 'string' } } }),
    endpointType('endpoint-in', nothing, { capabilities: () => ({ source: SOURCE, target: null }) }),
    endpointType('endpoint-out', nothing, {
      capabilities: () => ({ source: null, target: { ...TARGET, topics: false } }),
    }),
    endpointType('endpoint-needy', nothing, { packages: { ajv: '8', 'no-such-package': '5' } }),
    endpointType('endpoint-dated', nothing, { packages: { ajv: '6', mqtt: '5' } }),
    endpointType('endpoint-sated', nothing, { packages: { ajv: '8', mqtt: '^5.1', '@nats-io/jetstream': '3' } }),
    picky,
    ...ends,
  ]) {
    found.endpoints.add(type, 'the test')
  }
  for (const type of builtinMarshallers) found.marshallers.add(type, 'araldo')
  return found
}

export async function load(input: string | object, options?: LoadOptions): Promise<Config> {
  return loadConfig(input, registries(), { env: {}, ...options })
}

export async function failure(input: string | object, options?: LoadOptions): Promise<ConfigError> {
  try {
    await load(input, options)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    assert.equal(error.code, 'ARALDO_ERR_CONFIG')
    assert.ok(error.diagnostics.some(({ severity }) => severity === 'error'))
    return error
  }
  return assert.fail('it loaded')
}

/** `9:3 error: message`, one line for each error and warning. */
export async function problems(input: string | object, options?: LoadOptions): Promise<string[]> {
  const { diagnostics } = await failure(input, options)
  return diagnostics.map(({ severity, line, column, message }) =>
    line === undefined ? `${severity}: ${message}` : `${line}:${column} ${severity}: ${message}`,
  )
}

/** An endpoint `e`, routed to itself, with these lines as its own parameters. */
export function withParameters(lines: string, id = 'endpoint-picky'): string {
  const own = lines.trim() === '' ? '' : `${lines.replace(/^/gm, '      ')}\n`
  return `plugins:\n  araldo.endpoints.endpoint:\n    - name: e\n      id: ${id}\n${own}routes:\n  e: [e]\n`
}

/** A route from `a` to `b`, with these lines in its long form. */
export function withLane(lines: string): string {
  return `plugins:
  araldo.endpoints.endpoint:
    - { name: a, id: endpoint-mock }
    - { name: b, id: endpoint-mock }
routes:
  a:
    - to: b
${lines.replace(/^/gm, '      ')}
`
}

interface CompiledSteps {
  readonly when?: Expression
  readonly map?: Expression
  readonly key?: Expression
  readonly topic?: Template
  readonly headers?: Readonly<Record<string, Template>>
}

/** What the steps of the config's first lane were compiled to, by their names. */
export function firstSteps({ routes }: Config): CompiledSteps {
  const steps = routes[0]?.lanes[0]?.steps ?? []
  const compiled = steps.map((step) => {
    if (step.name === 'headers') return [step.name, step.templates]
    if (step.name === 'topic') return [step.name, step.template]
    return [step.name, 'expression' in step ? step.expression : step]
  })
  return Object.fromEntries(compiled) as CompiledSteps
}
