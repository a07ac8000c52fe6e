/**
 * Floor 2. The configuration: from YAML text, a file or an object of the same shape to something that the relay can
 * be built from, or to all errors at once, each at its file, line and column.
 *
 * In this order: text to a tree, variables, plugins that must be found, entries, routes. What is wrong in one part does
 * not keep the others from being looked at, and no error is reported that only follows from another.
 */
import { dirname, resolve } from 'node:path'
import type { Validate } from './config/delivery.ts'
import { ConfigError, Diagnostics, formatDiagnostic, type Diagnostic } from './config/diagnostics.ts'
import { EntryReader, type Category, type Entry, type PluginType } from './config/entries.ts'
import { readTextFile, UnreadableError } from './config/file.ts'
import { interpolate, secretsIn } from './config/interpolation.ts'
import { locateTypes } from './config/located.ts'
import { type LoopInit, reportLoops } from './config/loops.ts'
import { capabilitiesOf, checkMarshalling, hears, warnOfUnused } from './config/meaning.ts'
import { shown, type ConfigNode, type MapNode } from './config/node.ts'
import { fromObject } from './config/object.ts'
import { RouteReader, type LaneConfig, type RoutableEndpoint, type RouteConfig } from './config/routes.ts'
import { checkKeys, listUnder, mapUnder } from './config/sections.ts'
import { StepReader, type StepConfig } from './config/steps.ts'
import { Validator } from './config/validate.ts'
import { oneLine, oneOf } from './config/words.ts'
import { parseYaml } from './config/yaml.ts'
import { discoverTypes, loadTypeModule, type FoundTypes, type PluginRegistries } from './discovery.ts'
import type { EndpointType, MarshallerType } from './endpoint.ts'
import { reasonOf } from './errors.ts'
import { deliverySchema, globalSchema } from './schema.ts'
import { loadFunctions } from './steps/load.ts'
import type { LogLevel } from './types.ts'

export { ConfigError, formatDiagnostic }
export type { Diagnostic, LaneConfig, PluginRegistries, RouteConfig, StepConfig }

export interface GlobalConfig {
  /** TCP port of the web server; 0 for any free one. Used by the command. */
  readonly serverPort: number
  /** Used by the command; loopback only by default. */
  readonly serverHost: string
  /** What the relay calls itself in the header `araldo-hops`; it makes an id up where the config says nothing. */
  readonly instance?: string
  /** undefined where the config says nothing: the host's own level then holds. */
  readonly logLevel: LogLevel | undefined
  /** Milliseconds. */
  readonly shutdownTimeout: number
  /** Whether the console page is served. */
  readonly console: boolean
}

/** A declared marshaller, ready to be created. */
export interface MarshallerConfig {
  readonly name: string
  readonly type: MarshallerType
  readonly options: object
}

/** A declared endpoint, ready to be created. */
export interface EndpointConfig {
  readonly name: string
  readonly type: EndpointType
  /** The name of a declared marshaller; undefined for the built-in JSON. */
  readonly marshalling: string | undefined
  /** Boot waits for it and fails without it. */
  readonly required: boolean
  readonly options: object
}

export interface Config {
  /** The file's path, or undefined for text and objects. */
  readonly file: string | undefined
  /** Absolute: what relative paths in the config are relative to. */
  readonly directory: string
  readonly global: GlobalConfig
  readonly marshallers: readonly MarshallerConfig[]
  readonly endpoints: readonly EndpointConfig[]
  readonly routes: readonly RouteConfig[]
  readonly warnings: readonly Diagnostic[]
  /**
   * Values that came from the environment or a file into plugins' parameters and steps: never to be shown. What stands
   * under `global`, and what names a type, an endpoint or a marshaller, is no secret.
   */
  readonly secrets: ReadonlySet<string>
}

export interface LoadOptions {
  /** What relative paths are relative to where the config is no file; the current folder by default. */
  readonly directory?: string | undefined
  /** What `${VAR}` stands for; the process's own by default. */
  readonly env?: NodeJS.ProcessEnv | undefined
}

/** Bytes of a config. */
const MAX_CONFIG = 1024 * 1024
const SECTIONS = ['global', 'plugins', 'routes']
const MARSHALLING = 'araldo.marshalling'
const ENDPOINTS = 'araldo.endpoints.endpoint'

/**
 * @param input a file's path, YAML text (anything with a line break), or an object of the same shape.
 * @param registries what is known already; what is discovered is added.
 * @throws ConfigError
 */
export async function loadConfig(
  input: string | object,
  registries: PluginRegistries,
  { directory, env = process.env }: LoadOptions = {},
): Promise<Config> {
  const file = typeof input === 'string' && !/[\r\n]/.test(input) && input !== '' ? input : undefined
  const folder = resolve(file === undefined ? (directory ?? '.') : dirname(file))
  const diagnostics = new Diagnostics(file)
  const root = await readTree(input, file, diagnostics)
  if (root !== undefined) await interpolate(root, { env, directory: folder }, diagnostics)
  if (root?.kind !== 'map') {
    if (root !== undefined && diagnostics.errors === 0)
      diagnostics.error(`expected a map with ${oneOf(SECTIONS, 'and')}, got ${shown(root)}`, root.offset)
    throw diagnostics.toError()
  }
  const loaded = await new Loader(registries, folder, diagnostics).load(root)
  if (diagnostics.errors > 0) throw diagnostics.toError()
  return { file, directory: folder, ...loaded, warnings: diagnostics.list() }
}

async function readTree(
  input: string | object,
  file: string | undefined,
  diagnostics: Diagnostics,
): Promise<ConfigNode | undefined> {
  if (typeof input !== 'string') return fromObject(input, diagnostics)
  let text = input
  if (file !== undefined) {
    try {
      text = await readTextFile(file, MAX_CONFIG)
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error
      const hint = /[:{[]\s/.test(file) ? ' (a text without a line break is taken for a path)' : ''
      diagnostics.error(`the config cannot be read: ${error.message}${hint}`)
      return undefined
    }
  } else if (Buffer.byteLength(text) > MAX_CONFIG) {
    diagnostics.error('the config is larger than 1 MiB')
    return undefined
  }
  diagnostics.source = { file, text }
  return parseYaml(diagnostics.source, diagnostics)
}

type Loaded = Omit<Config, 'file' | 'directory' | 'warnings'>
type Entries<Type extends PluginType> = Map<string, Entry<Type>>

class Loader {
  readonly #registries: PluginRegistries
  readonly #directory: string
  readonly #diagnostics: Diagnostics
  readonly #validator: Validator

  constructor(registries: PluginRegistries, directory: string, diagnostics: Diagnostics) {
    this.#registries = registries
    this.#directory = directory
    this.#diagnostics = diagnostics
    this.#validator = new Validator(diagnostics)
  }

  async load(root: MapNode): Promise<Loaded> {
    const diagnostics = this.#diagnostics
    checkKeys(root, SECTIONS, [], diagnostics)
    const global = this.#global(root)
    const { marshallers, endpoints } = await this.#plugins(root)
    const routable = endpoints && new Map([...endpoints].map(([name, entry]) => [name, this.#routable(entry)]))
    for (const entry of endpoints?.values() ?? []) checkMarshalling(entry, marshallers, diagnostics)

    const section = mapUnder(root, 'routes', [], diagnostics)
    const validate: Validate = (node, label) => this.#validator.validate(deliverySchema, node, label)
    const functions = await loadFunctions(section, this.#directory)
    const steps = new StepReader(diagnostics, this.#validator, (path) => functions.get(path))
    const reader = new RouteReader(routable, diagnostics, validate, steps, this.#directory)
    const routes = section === undefined ? [] : reader.read(section)
    if (section?.entries.size === 0) diagnostics.warning('there are no routes: nothing is relayed')
    else if (section !== undefined && endpoints !== undefined) {
      warnOfUnused(endpoints, marshallers ?? new Map(), reader.used, diagnostics)
    }

    const loops: LoopInit = {
      routes,
      capabilitiesOf: (name) => routable?.get(name)?.capabilities,
      hears: (listener, sender) => hears(endpoints?.get(listener), endpoints?.get(sender), diagnostics),
      offsetOf: (lane) => reader.offsetOf(lane),
    }
    reportLoops(loops, diagnostics)

    const secrets = new Set(reader.secrets)
    const entries = [...(endpoints?.values() ?? []), ...(marshallers?.values() ?? [])]
    for (const { parameters } of entries) secretsIn(parameters, secrets)
    return {
      global,
      marshallers: [...(marshallers?.values() ?? [])].flatMap(toMarshaller),
      endpoints: [...(endpoints?.values() ?? [])].flatMap(toEndpoint),
      routes,
      secrets,
    }
  }

  #global(root: MapNode): GlobalConfig {
    const section = mapUnder(root, 'global', [], this.#diagnostics)
    const given = section ?? { kind: 'map', offset: undefined, entries: new Map() }
    const options = this.#validator.validate(globalSchema, given, 'global') as Record<string, unknown> | undefined
    return {
      serverPort: options?.['server-port'] as number,
      serverHost: options?.['server-host'] as string,
      logLevel: options?.['log-level'] as LogLevel | undefined,
      shutdownTimeout: options?.['shutdown-timeout'] as number,
      console: options?.['console'] as boolean,
      ...(options?.['instance'] === undefined ? {} : { instance: options['instance'] as string }),
    }
  }

  /** What is declared; undefined where errors leave that unknown. */
  async #plugins(
    root: MapNode,
  ): Promise<{ marshallers: Entries<MarshallerType> | undefined; endpoints: Entries<EndpointType> | undefined }> {
    const diagnostics = this.#diagnostics
    const plugins = mapUnder(root, 'plugins', [], diagnostics)
    if (plugins === undefined) return { marshallers: undefined, endpoints: undefined }
    checkKeys(plugins, [MARSHALLING, ENDPOINTS], ['plugins'], diagnostics)
    const marshallerList = listUnder(plugins, MARSHALLING, ['plugins'], diagnostics)
    const endpointList = listUnder(plugins, ENDPOINTS, ['plugins'], diagnostics)
    const { marshaller, endpoint } = this.#categories()
    await this.#discover()
    const find = async (id: string): Promise<FoundTypes | undefined> =>
      loadTypeModule(id, this.#directory, this.#registries)
    // All modules first, so that an id that one of them brings is known wherever it stands.
    const marshallerTypes =
      marshallerList &&
      (await locateTypes(marshallerList, marshaller, async (id) => (await find(id))?.marshallers, diagnostics))
    const endpointTypes =
      endpointList &&
      (await locateTypes(endpointList, endpoint, async (id) => (await find(id))?.endpoints, diagnostics))
    return {
      marshallers:
        marshallerTypes &&
        new EntryReader(marshaller, marshallerTypes, this.#validator, diagnostics).read(marshallerList),
      endpoints:
        endpointTypes && new EntryReader(endpoint, endpointTypes, this.#validator, diagnostics).read(endpointList),
    }
  }

  #categories(): { marshaller: Category<MarshallerType>; endpoint: Category<EndpointType> } {
    const { endpoints, marshallers } = this.#registries
    return {
      marshaller: {
        key: MARSHALLING,
        noun: 'marshaller',
        typeNoun: 'marshaller type',
        commonKeys: ['name', 'id'],
        registry: marshallers,
        other: { key: ENDPOINTS, has: (id) => endpoints.get(id) !== undefined },
      },
      endpoint: {
        key: ENDPOINTS,
        noun: 'endpoint',
        typeNoun: 'endpoint type',
        commonKeys: ['name', 'id', 'marshalling', 'required'],
        registry: endpoints,
        other: { key: MARSHALLING, has: (id) => marshallers.get(id) !== undefined },
      },
    }
  }

  async #discover(): Promise<void> {
    try {
      await discoverTypes(this.#directory, this.#registries)
    } catch (error) {
      const failures: unknown[] = error instanceof AggregateError ? error.errors : [error]
      for (const failure of failures) this.#diagnostics.error(oneLine(reasonOf(failure)))
    }
  }

  #routable(entry: Entry<EndpointType>): RoutableEndpoint {
    const capabilities = capabilitiesOf(entry, this.#diagnostics)
    return { name: entry.name, typeId: entry.type?.id ?? '', capabilities }
  }
}

function toMarshaller({ name, type, options }: Entry<MarshallerType>): MarshallerConfig[] {
  return type === undefined || options === undefined ? [] : [{ name, type, options }]
}

function toEndpoint({ name, type, options, marshalling, required }: Entry<EndpointType>): EndpointConfig[] {
  return type === undefined || options === undefined
    ? []
    : [{ name, type, marshalling: marshalling?.text, required, options }]
}
