/**
 * Floor 5. Makes endpoints: each from its declaration, in a scope of its own, with its marshaller, and with what the
 * endpoints of its type share for as long as the relay lives.
 */
import { resolve } from 'node:path'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config, EndpointConfig } from './config.ts'
import type { EndpointHooks } from './endpoint-hooks.ts'
import type { Endpoint, EndpointContext } from './endpoint.ts'
import { errors, reasonOf } from './errors.ts'
import { json } from './marshallers/json.ts'
import type { Marshaller } from './message.ts'

/** A config's declared marshallers, by name. */
export type Marshallers = ReadonlyMap<string, Marshaller>

/** What an endpoint is made of, beside its declaration. */
export interface Surroundings {
  readonly config: Config
  readonly marshallers: Marshallers
  /** The application's, for this endpoint's routes. */
  readonly hooks: EndpointHooks
  /** Called with the endpoint's scope before its type's plugin. */
  readonly prepare?: (scope: FastifyInstance) => void
}

export class EndpointFactory {
  readonly #log: FastifyBaseLogger
  readonly #shared = new Map<string, unknown>()

  constructor(log: FastifyBaseLogger) {
    this.#log = log
  }

  /** @throws ARALDO_ERR_CONFIG with a line for each that cannot be made. */
  async marshallers(config: Config): Promise<Marshallers> {
    const made = new Map<string, Marshaller>()
    const failures: { readonly name: string; readonly cause: unknown }[] = []
    for (const { name, type, options } of config.marshallers) {
      try {
        made.set(name, await type.create(options, config.directory))
      } catch (cause) {
        failures.push({ name, cause })
      }
    }
    if (failures.length === 0) return made
    const lines = failures.map(({ name, cause }) => `marshaller '${name}': ${reasonOf(cause)}`)
    throw new errors.CONFIG(lines.join('\n'), { cause: failures[0]?.cause })
  }

  /** Makes the endpoint in a scope within `scope`. Not started. */
  async build(
    scope: FastifyInstance,
    { name, type, marshalling, options }: EndpointConfig,
    { config, marshallers, hooks, prepare }: Surroundings,
  ): Promise<Endpoint> {
    let attached: Endpoint | undefined
    const context: EndpointContext = {
      name,
      type: type.id,
      options,
      capabilities: type.capabilities(options),
      marshaller: marshalling === undefined ? json : (marshallers.get(marshalling) as Marshaller),
      log: this.#log.child({ endpoint: name, type: type.id }),
      hooks,
      directory: resolve(config.directory),
      shared: <Value>(key: string, create: () => Value): Value => {
        const id = `${type.id}\n${key}`
        if (!this.#shared.has(id)) this.#shared.set(id, create())
        return this.#shared.get(id) as Value
      },
      attach: (endpoint) => {
        if (attached !== undefined) throw new errors.TYPE_INVALID(type.id, 'its plugin attached more than one endpoint')
        attached = endpoint
      },
    }
    const plugin = async (inner: FastifyInstance): Promise<void> => {
      prepare?.(inner)
      await type.plugin(inner, context)
    }
    await scope.register(fp(plugin, { fastify: '5.x', name: `araldo:${type.id}:${name}`, encapsulate: true }))
    if (attached === undefined) throw new errors.TYPE_INVALID(type.id, 'its plugin attached no endpoint')
    return attached
  }
}
