/**
 * Floor 2. How types are found that are neither built in nor handed over in code: packages of the host that say that
 * they bring types (the `araldo` field of their package.json), and modules or packages that a config names.
 *
 *     { "name": "araldo-endpoint-foo", "araldo": { "plugins": ["./dist/endpoint-foo.js"] } }
 *
 * Everything is found relative to the config file, as Node would find it from there.
 */
import { readFile, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { EndpointType, MarshallerType } from './endpoint.ts'
import { errors, reasonOf } from './errors.ts'
import type { Registry } from './registry.ts'

/** The registries that a config's ids are looked up in; loading a config adds what it discovers. */
export interface PluginRegistries {
  readonly endpoints: Registry<EndpointType>
  readonly marshallers: Registry<MarshallerType>
}

/** What a module or a package brings. */
export interface FoundTypes {
  readonly endpoints: readonly EndpointType[]
  readonly marshallers: readonly MarshallerType[]
}

interface Manifest {
  readonly directory: string
  readonly content: Readonly<Record<string, unknown>>
}

const PACKAGE_NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/i
/** What can be installed beside a host; packages that are not there are passed over. */
const DEPENDENCY_FIELDS = ['dependencies', 'optionalDependencies', 'peerDependencies', 'devDependencies']

/**
 * Registers the types of the packages that the host depends on, and of the host itself. The host is the nearest folder
 * at or above `directory` that has a package.json; without one there is nothing to find.
 * @throws ARALDO_ERR_TYPE_UNLOADABLE, ARALDO_ERR_TYPE_INVALID, ARALDO_ERR_TYPE_DUPLICATE; an AggregateError of them
 * where there are several. The types of all other packages are registered all the same.
 */
export async function discoverTypes(directory: string, registries: PluginRegistries): Promise<void> {
  const host = await nearestManifest(resolve(directory))
  if (host === undefined) return
  const manifests = await Promise.all(dependenciesOf(host).map((name) => findPackage(name, host.directory)))
  const failures: unknown[] = []
  for (const manifest of [host, ...manifests]) {
    if (manifest === undefined || !('araldo' in manifest.content)) continue
    try {
      await loadPackage(manifest, registries)
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 1) throw new AggregateError(failures, failures.map(reasonOf).join('; '))
  if (failures.length === 1) throw failures[0]
}

/**
 * Loads what a config's `id` names if it names a module (`./my-endpoint.js`, an absolute path) or an installed package
 * (`araldo-endpoint-foo`), and registers its types.
 * @returns undefined where it names neither.
 * @throws ARALDO_ERR_TYPE_UNLOADABLE, ARALDO_ERR_TYPE_INVALID, ARALDO_ERR_TYPE_DUPLICATE
 */
export async function loadTypeModule(
  id: string,
  directory: string,
  registries: PluginRegistries,
): Promise<FoundTypes | undefined> {
  if (isPath(id)) return loadModules([resolve(directory, id)], id, id, registries)
  const manifest = PACKAGE_NAME.test(id) ? await findPackage(id, resolve(directory)) : undefined
  return manifest === undefined ? undefined : loadPackage(manifest, registries)
}

function isPath(id: string): boolean {
  return /^\.{1,2}[\\/]/.test(id) || isAbsolute(id)
}

/** The modules that its `araldo` field names, or else its main module. */
async function loadPackage(manifest: Manifest, registries: PluginRegistries): Promise<FoundTypes> {
  const { name = manifest.directory } = manifest.content as { name?: string }
  const origin = `the package ${name}`
  const modules = 'araldo' in manifest.content ? pluginsOf(manifest, origin) : [mainOf(manifest)]
  return loadModules(
    modules.map((module) => join(manifest.directory, module)),
    origin,
    origin,
    registries,
  )
}

function pluginsOf({ directory, content }: Manifest, origin: string): string[] {
  const field: unknown = content['araldo']
  const plugins: unknown = typeof field === 'object' && field !== null && 'plugins' in field ? field.plugins : undefined
  if (!Array.isArray(plugins) || !plugins.every((plugin) => typeof plugin === 'string')) {
    const expected = 'expected "araldo": { "plugins": ["./module.js"] } in its package.json'
    throw new errors.TYPE_UNLOADABLE(origin, expected)
  }
  const outside = plugins.find((plugin) => !isWithin(directory, join(directory, plugin)))
  if (outside !== undefined) throw new errors.TYPE_UNLOADABLE(origin, `${outside} is outside of the package`)
  return plugins
}

function isWithin(directory: string, file: string): boolean {
  const path = relative(directory, file)
  return path !== '' && path !== '..' && !/^\.\.[\\/]/.test(path) && !isAbsolute(path)
}

/** As Node resolves a package's main module for `import`. */
function mainOf({ content }: Manifest): string {
  const { exports, main } = content
  const target = exports === undefined ? undefined : conditional(isSubpaths(exports) ? exports['.'] : exports)
  return target ?? (typeof main === 'string' ? main : 'index.js')
}

function isSubpaths(exports: unknown): exports is Readonly<Record<string, unknown>> {
  return typeof exports === 'object' && exports !== null && Object.keys(exports).some((key) => key.startsWith('.'))
}

const CONDITIONS = new Set(['node', 'import', 'module-sync', 'default'])

function conditional(target: unknown): string | undefined {
  if (typeof target === 'string') return target
  if (typeof target !== 'object' || target === null) return undefined
  for (const [condition, each] of Object.entries(target)) {
    const found = CONDITIONS.has(condition) ? conditional(each) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/** @param origin where the types come from, for errors about two of one id. */
async function loadModules(
  files: readonly string[],
  what: string,
  origin: string,
  registries: PluginRegistries,
): Promise<FoundTypes> {
  const endpoints = new Set<EndpointType>()
  const marshallers = new Set<MarshallerType>()
  for (const file of files) {
    for (const value of exportsOf(await importModule(file, what))) {
      if (isEndpointType(value, what)) endpoints.add(value)
      else if (isMarshallerType(value, what)) marshallers.add(value)
    }
  }
  for (const type of endpoints) registries.endpoints.add(type, origin)
  for (const type of marshallers) registries.marshallers.add(type, origin)
  return { endpoints: [...endpoints], marshallers: [...marshallers] }
}

async function importModule(file: string, what: string): Promise<object> {
  const name = what.includes(file) || isPath(what) ? what : `${what}: ${file}`
  if (!(await isFile(file))) throw new errors.TYPE_UNLOADABLE(name, `there is no file ${file}`)
  try {
    return (await import(pathToFileURL(file).href)) as object
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const hint =
      code === 'ERR_UNKNOWN_FILE_EXTENSION' ? `; Node ${process.version} runs JavaScript: compile it first` : ''
    throw new errors.TYPE_UNLOADABLE(name, `${reasonOf(cause)}${hint}`, { cause })
  }
}

/** A module's exports; of a CommonJS module, what is in its `module.exports`, too. */
function exportsOf(module: object): unknown[] {
  return Object.values(module).flatMap((value: unknown) =>
    typeof value === 'object' && value !== null && !('id' in value) ? (Object.values(value) as unknown[]) : [value],
  )
}

/** @throws ARALDO_ERR_TYPE_INVALID where it has the id of one and is none. */
export function isEndpointType(value: unknown, what: string): value is EndpointType {
  return isType(value, 'endpoint-', ['capabilities', 'plugin'], what)
}

/** @throws ARALDO_ERR_TYPE_INVALID where it has the id of one and is none. */
export function isMarshallerType(value: unknown, what: string): value is MarshallerType {
  return isType(value, 'marshal-', ['create'], what)
}

/**
 * Types are recognised by their shape: what has the id of one must be one.
 * @throws ARALDO_ERR_TYPE_INVALID
 */
function isType(value: unknown, prefix: string, functions: readonly string[], what: string): boolean {
  if (typeof value !== 'object' || value === null || !('id' in value)) return false
  const { id, schema } = value as Record<string, unknown>
  if (typeof id !== 'string' || !id.startsWith(prefix)) return false
  const missing = functions.find((name) => typeof (value as Record<string, unknown>)[name] !== 'function')
  if (missing !== undefined) throw new errors.TYPE_INVALID(`'${id}' of ${what}`, `it has no function '${missing}'`)
  if (typeof schema !== 'object' || schema === null)
    throw new errors.TYPE_INVALID(`'${id}' of ${what}`, 'it has no schema')
  return true
}

function dependenciesOf({ content }: Manifest): string[] {
  const names = new Set<string>()
  for (const field of DEPENDENCY_FIELDS) {
    for (const name of Object.keys(content[field] ?? {})) if (PACKAGE_NAME.test(name)) names.add(name)
  }
  return [...names].toSorted()
}

async function nearestManifest(directory: string): Promise<Manifest | undefined> {
  for (const folder of upFrom(directory)) {
    const manifest = await readManifest(folder)
    if (manifest !== undefined) return manifest
  }
  return undefined
}

/** In the node_modules of the folder and of those above it. */
async function findPackage(name: string, directory: string): Promise<Manifest | undefined> {
  for (const folder of upFrom(directory)) {
    const manifest = await readManifest(join(folder, 'node_modules', name))
    if (manifest !== undefined) return manifest
  }
  return undefined
}

function* upFrom(directory: string): Generator<string> {
  for (let folder = directory; ; folder = dirname(folder)) {
    yield folder
    if (folder === dirname(folder)) return
  }
}

/** undefined where there is none, or none that can be read: that is for the package manager to tell. */
async function readManifest(directory: string): Promise<Manifest | undefined> {
  try {
    const content: unknown = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8'))
    if (typeof content !== 'object' || content === null) return undefined
    return { directory, content: content as Record<string, unknown> }
  } catch {
    return undefined
  }
}

async function isFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch {
    return false
  }
}
