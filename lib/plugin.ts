/**
 * Floor 5. The Fastify plugin: reads the config, builds the endpoints in scopes of their own, ties the relay to the
 * server's life, and decorates the instance with `araldo`.
 */
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { loadConfig, type Config, type EndpointConfig, type PluginRegistries } from './config.ts'
import { isEndpointType, isMarshallerType } from './discovery.ts'
import type { Endpoint, EndpointHooks, EndpointType, MarshallerType } from './endpoint.ts'
import { builtinEndpoints } from './endpoints/index.ts'
import { errors } from './errors.ts'
import { EndpointFactory } from './factory.ts'
import { configHash } from './reload/fingerprint.ts'
import { countRequests, registerMonitoring, type MonitoringOptions } from './http/index.ts'
import { LateRoutes } from './reload/late-routes.ts'
import { builtinMarshallers } from './marshallers/index.ts'
import { Registry } from './registry.ts'
import { type Araldo, Relay } from './relay.ts'
import { Reloader, type Timeouts } from './reload/reload.ts'
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
  const hash = await configHash(config)
  const log = fastify.log.child({ module: 'araldo' }, levelOf(config))
  for (const warning of config.warnings) log.warn({ line: warning.line }, warning.message)

  const hooks = options.hooks ?? {}
  requireKnown(Object.keys(hooks), config)
  let relay: Relay | undefined
  let reloader: Reloader | undefined
  const timeouts = timeoutsOf(fastify, config)
  const close = async (): Promise<void> => {
    await relay?.close(timeouts.close)
    await reloader?.close()
  }
  // Registered before any endpoint's own, so that browsers are closed in order before @fastify/websocket ends them.
  fastify.addHook('preClose', close)
  fastify.addHook('onClose', close)

  const requests = options.metrics === false ? undefined : countRequests(fastify)
  await fastify.register(
    async (scope) => {
      const factory = new EndpointFactory(log)
      const routes = new LateRoutes(scope, hooks)
      const isWebSocket = ({ type }: EndpointConfig): boolean => type.websocket === true
      const listenToUpgrades = await registerWebSocket(scope, { listens: config.endpoints.some(isWebSocket) })
      const endpoints = await buildAll(scope, { config, factory, routes, hooks })
      await routes.register()
      relay = new Relay(config, endpoints, log, hash)
      const secrets = new Set(config.secrets)
      reloader = new Reloader({
        relay,
        factory,
        routes,
        host: scope,
        log,
        requests,
        timeouts,
        load: async (input) => {
          const next = await reloadedConfig(input ?? config.file, options)
          requireKnown(Object.keys(hooks), next)
          return next
        },
        onSwitch: (next) => {
          for (const secret of next.secrets) secrets.add(secret)
          if (next.endpoints.some(isWebSocket)) listenToUpgrades()
        },
      })
      relay.onReload = (input) => (reloader as Reloader).reload(input)
      await registerMonitoring(scope, relay, options, { requests, secrets, console: config.global.console })
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
      void close()
      throw error
    }
    log.info({ config: hash }, 'started')
  })
  // Fastify's listen() does not look whether close() was called meanwhile: nobody else would close the port.
  fastify.addHook('onListen', async () => {
    if (started.closing) fastify.server.close()
  })
}

interface Parts {
  readonly config: Config
  readonly factory: EndpointFactory
  readonly routes: LateRoutes
  readonly hooks: Readonly<Record<string, EndpointHooks>>
}

/** The endpoints of the config, each in a scope of its own within `scope`. */
async function buildAll(scope: FastifyInstance, { config, factory, routes, hooks }: Parts) {
  const endpoints = new Map<string, Endpoint>()
  const marshallers = await factory.marshallers(config)
  for (const declared of config.endpoints) {
    const { name } = declared
    const surroundings = {
      config,
      marshallers,
      hooks: Object.hasOwn(hooks, name) ? (hooks[name] as EndpointHooks) : {},
      prepare: (inner: FastifyInstance) => routes.settle(name, inner),
    }
    endpoints.set(name, await factory.build(scope, declared, surroundings))
  }
  return endpoints
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

/** @param input what `reload` was called with, or the file that was loaded at first. */
function reloadedConfig(input: string | object | undefined, options: CommonOptions): Promise<Config> {
  if (input === undefined) {
    throw new errors.RELOAD_REFUSED('the config was no file that could be read again: pass the new one to reload()')
  }
  return configOf({ ...options, config: input })
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
 * Fastify ends hooks that take longer than its plugin timeout; 0 switches that off. What the relay gives itself is a
 * margin less than what it was given, so that the process can still exit in time. All of it is set up at the start: a
 * reload changes none of it.
 */
function timeoutsOf(fastify: FastifyInstance, { global }: Config): Timeouts {
  const limit = fastify.initialConfig.pluginTimeout ?? DEFAULT_PLUGIN_TIMEOUT
  const less = (timeout: number): number => Math.max(timeout / 2, timeout - MARGIN)
  return {
    start: less(limit === 0 ? DEFAULT_PLUGIN_TIMEOUT : limit),
    close: less(limit === 0 ? global.shutdownTimeout : Math.min(global.shutdownTimeout, limit)),
  }
}

export default fp(araldo, { fastify: '5.x', name: 'araldo' })
