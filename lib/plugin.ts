/**
 * Floor 5. The Fastify plugin: reads the config, builds the endpoints in scopes of their own, ties the relay to the
 * server's life, and decorates the instance with `araldo`.
 */
import type { FastifyInstance } from 'fastify'
import { resolve } from 'node:path'
import fp from 'fastify-plugin'
import { loadConfig, type Config, type EndpointConfig, type PluginRegistries } from './config.ts'
import { isEndpointType, isMarshallerType } from './discovery.ts'
import type { Endpoint, EndpointContext, EndpointHooks, EndpointType, MarshallerType } from './endpoint.ts'
import { builtinEndpoints } from './endpoints/index.ts'
import { errors } from './errors.ts'
import { countRequests, registerMonitoring, type MonitoringOptions } from './http/index.ts'
import { builtinMarshallers } from './marshallers/index.ts'
import { json } from './marshallers/json.ts'
import type { Marshaller } from './message.ts'
import { Registry } from './registry.ts'
import { type Araldo, Relay } from './relay.ts'
import { loggerLevel } from './types.ts'
import { registerWebSocket } from './upgrade.ts'

declare module 'fastify' {
  interface FastifyInstance {
    araldo: Araldo
  }
}

/** A configuration as an object: the shape of the YAML file. */
export interface ConfigObject {
  readonly global?: object
  readonly plugins?: object
  readonly routes?: object
}

export interface CommonOptions extends MonitoringOptions {
  /** Before every path of the relay: WebSocket endpoints, health, metrics. */
  readonly prefix?: string
  /** What relative paths in the config are relative to, where the config is no file. The current folder by default. */
  readonly directory?: string
  /** Endpoint types and marshallers of the application's own. */
  readonly types?: readonly (EndpointType | MarshallerType)[]
  /** Hooks for the routes of single endpoints, by the endpoint's name: authentication, rate limits. */
  readonly hooks?: Readonly<Record<string, EndpointHooks>>
}

/** `fastify.register(araldo, options)`: the config in `config`, or its three keys beside the other options. */
export type AraldoOptions = CommonOptions &
  (
    | {
        /** A file's path, YAML text, an object of the same shape, or what `loadConfig` has made of one of these. */
        readonly config: string | ConfigObject | Config
      }
    | ConfigObject
  )

const CONFIG_MISSING =
  "the plugin's option 'config' is missing: a file's path, YAML text, or an object of the same shape"

/** What Fastify gives a plugin or a hook if the host says nothing (milliseconds). */
const DEFAULT_PLUGIN_TIMEOUT = 10_000
/** Our own deadlines end this much (milliseconds) before Fastify's, so that ours give the clearer error. */
const MARGIN = 500

async function araldo(fastify: FastifyInstance, options: AraldoOptions): Promise<void> {
  if (Object.hasOwn(fastify, 'araldo')) {
    throw new errors.CONFIG(
      'this scope of the server has a relay already: register the other one in a scope of its own',
    )
  }
  const config = await configOf(options)
  const log = fastify.log.child({ module: 'araldo' }, levelOf(config))
  for (const warning of config.warnings) log.warn({ line: warning.line }, warning.message)

  const endpoints = new Map<string, Endpoint>()
  const hooks = options.hooks ?? {}
  requireKnown(Object.keys(hooks), config)
  let relay: Relay | undefined
  const timeouts = timeoutsOf(fastify, config)

  // Registered before any endpoint's own, so that browsers are closed in order before @fastify/websocket ends them.
  fastify.addHook('preClose', async () => {
    await relay?.close(timeouts.close)
  })
  fastify.addHook('onClose', async () => {
    await relay?.close(timeouts.close)
  })

  const requests = options.metrics === false ? undefined : countRequests(fastify)
  await fastify.register(
    async (scope) => {
      const build = await endpointBuilder(scope, config, hooks, log)
      for (const endpoint of config.endpoints) endpoints.set(endpoint.name, await build(endpoint))
      relay = new Relay(config, endpoints, log)
      const { global, secrets } = config
      await registerMonitoring(scope, relay, options, { requests, secrets, console: global.console })
    },
    options.prefix === undefined ? {} : { prefix: options.prefix },
  )
  const started = relay as unknown as Relay
  fastify.decorate<Araldo>('araldo', started)
  fastify.addHook('onReady', async () => {
    try {
      await started.start(timeouts.start)
    } catch (error) {
      // Not waited for: the error must come before Fastify's own, which only says that this took too long.
      void started.close(timeouts.close)
      throw error
    }
  })
  // Fastify's listen() does not look whether close() was called meanwhile: nobody else would close the port.
  fastify.addHook('onListen', async () => {
    if (started.closing) fastify.server.close()
  })
}

/**
 * The registries of one relay: built-in types, then the application's.
 * @throws ARALDO_ERR_TYPE_INVALID, ARALDO_ERR_TYPE_DUPLICATE
 */
export function createRegistries(types: readonly (EndpointType | MarshallerType)[] = []): PluginRegistries {
  const registries: PluginRegistries = { endpoints: new Registry(), marshallers: new Registry() }
  for (const type of builtinEndpoints) registries.endpoints.add(type, 'araldo')
  for (const type of builtinMarshallers) registries.marshallers.add(type, 'araldo')
  const origin = 'the option `types`'
  for (const type of types) {
    if (isEndpointType(type, origin)) registries.endpoints.add(type, origin)
    else if (isMarshallerType(type, origin)) registries.marshallers.add(type, origin)
    else throw new errors.TYPE_INVALID(describeEntry(type, origin), "an id begins with 'endpoint-' or 'marshal-'")
  }
  return registries
}

function describeEntry(value: unknown, origin: string): string {
  const id = typeof value === 'object' && value !== null && 'id' in value ? ` with the id '${String(value.id)}'` : ''
  return `an entry of ${origin}${id}`
}

async function configOf(options: AraldoOptions): Promise<Config> {
  const input = 'config' in options ? options.config : configObjectOf(options)
  const isConfig = typeof input === 'string' || (typeof input === 'object' && input !== null)
  if (!isConfig) throw new errors.CONFIG(CONFIG_MISSING)
  if (typeof input === 'object' && isLoaded(input)) return input
  return loadConfig(input, createRegistries(options.types), { directory: options.directory })
}

/** What `loadConfig` made has names that no config has. */
function isLoaded(config: ConfigObject | Config): config is Config {
  return 'directory' in config && 'endpoints' in config
}

function configObjectOf({ global, plugins, routes }: ConfigObject): ConfigObject {
  if (plugins === undefined && routes === undefined) throw new errors.CONFIG(CONFIG_MISSING)
  return {
    ...(global === undefined ? {} : { global }),
    ...(plugins === undefined ? {} : { plugins }),
    ...(routes === undefined ? {} : { routes }),
  }
}

function levelOf({ global: { logLevel } }: Config): { level?: string } {
  return logLevel === undefined ? {} : { level: loggerLevel(logLevel) }
}

function requireKnown(names: readonly string[], config: Config): void {
  for (const name of names) {
    if (!config.endpoints.some((endpoint) => endpoint.name === name)) {
      throw new errors.UNKNOWN_ENDPOINT(name, config.endpoints.map((endpoint) => endpoint.name).join(', '))
    }
  }
}

/**
 * Fastify ends hooks that take longer than its plugin timeout; 0 switches that off. What the relay gives itself to
 * close is a margin less than what it was given, so that the process can still exit in time.
 */
function timeoutsOf(fastify: FastifyInstance, { global }: Config): { start: number; close: number } {
  const limit = fastify.initialConfig.pluginTimeout ?? DEFAULT_PLUGIN_TIMEOUT
  const less = (timeout: number): number => Math.max(timeout / 2, timeout - MARGIN)
  return {
    start: less(limit === 0 ? DEFAULT_PLUGIN_TIMEOUT : limit),
    close: less(limit === 0 ? global.shutdownTimeout : Math.min(global.shutdownTimeout, limit)),
  }
}

type Build = (declared: EndpointConfig) => Promise<Endpoint>

/** Makes what all endpoints share, and returns what makes one: its context, and its type's plugin in a scope of its own. */
async function endpointBuilder(
  scope: FastifyInstance,
  config: Config,
  hooks: Readonly<Record<string, EndpointHooks>>,
  log: FastifyInstance['log'],
): Promise<Build> {
  const marshallers = new Map<string, Marshaller>()
  for (const { name, type, options } of config.marshallers) {
    marshallers.set(name, await type.create(options, config.directory))
  }
  if (config.endpoints.some((endpoint) => endpoint.type.websocket === true)) await registerWebSocket(scope)
  const shared = new Map<string, unknown>()

  return async ({ name, type, marshalling, options }) => {
    let attached: Endpoint | undefined
    const context: EndpointContext = {
      name,
      type: type.id,
      options,
      capabilities: type.capabilities(options),
      marshaller: marshalling === undefined ? json : (marshallers.get(marshalling) as Marshaller),
      log: log.child({ endpoint: name, type: type.id }),
      hooks: hooks[name] ?? {},
      directory: resolve(config.directory),
      shared: <Value>(key: string, create: () => Value): Value => {
        const id = `${type.id}\n${key}`
        if (!shared.has(id)) shared.set(id, create())
        return shared.get(id) as Value
      },
      attach: (endpoint) => {
        if (attached !== undefined) throw new errors.TYPE_INVALID(type.id, 'its plugin attached more than one endpoint')
        attached = endpoint
      },
    }
    const plugin = fp(async (inner: FastifyInstance) => type.plugin(inner, context), {
      fastify: '5.x',
      name: `araldo:${type.id}:${name}`,
      encapsulate: true,
    })
    await scope.register(plugin)
    if (attached === undefined) throw new errors.TYPE_INVALID(type.id, 'its plugin attached no endpoint')
    return attached
  }
}

export default fp(araldo, { fastify: '5.x', name: 'araldo' })
