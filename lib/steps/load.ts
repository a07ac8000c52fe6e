/** Floor 2. The functions of JavaScript modules that lanes name as steps, loaded before the routes are read. */
import { stat } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ConfigNode, MapNode } from '../config/node.ts'
import { didYouMean, oneLine, quote } from '../config/words.ts'
import { reasonOf } from '../errors.ts'
import type { StepFunction } from './function.ts'

/**
 * @param routes the config's section.
 * @returns by what the config calls each: its function, or why there is none.
 */
export async function loadFunctions(
  routes: MapNode | undefined,
  directory: string,
): Promise<ReadonlyMap<string, StepFunction | string>> {
  const functions = new Map<string, StepFunction | string>()
  for (const path of pathsIn(routes)) {
    if (!functions.has(path)) functions.set(path, await loadFunction(path, directory))
  }
  return functions
}

function* pathsIn(routes: MapNode | undefined): Generator<string> {
  for (const { value: route } of routes?.entries.values() ?? []) {
    for (const lane of itemsOf(route)) {
      for (const step of [lane, ...itemsOf(valueOf(lane, 'steps'))]) {
        const module = valueOf(step, 'module')
        const path = module?.kind === 'map' ? valueOf(module, 'path') : module
        if (path?.kind === 'scalar' && typeof path.value === 'string' && !path.broken) yield path.value
      }
    }
  }
}

function itemsOf(node: ConfigNode | undefined): readonly ConfigNode[] {
  return node?.kind === 'list' ? node.items : []
}

function valueOf(node: ConfigNode, key: string): ConfigNode | undefined {
  return node.kind === 'map' ? node.entries.get(key)?.value : undefined
}

/** A module is loaded once for a process: one that has changed since is not loaded anew. */
async function loadFunction(path: string, directory: string): Promise<StepFunction | string> {
  const [, file = path, name = 'default'] = /^(.*)#([^#/\\]+)$/.exec(path) ?? []
  if (!/^\.{1,2}[\\/]/.test(file) && !isAbsolute(file)) return "expected a file's path, such as './enrich.js'"
  const full = resolve(directory, file)
  if (!(await isFile(full))) return `there is no file ${full}`
  let module: Readonly<Record<string, unknown>>
  try {
    module = (await import(pathToFileURL(full).href)) as Record<string, unknown>
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const hint =
      code === 'ERR_UNKNOWN_FILE_EXTENSION' ? `; Node ${process.version} runs JavaScript: compile it first` : ''
    return `${oneLine(reasonOf(error))}${hint}`
  }
  // A CommonJS module's exports are what is in its default export.
  const exports = { ...(isObject(module['default']) ? module['default'] : {}), ...module }
  const found = exports[name]
  if (typeof found === 'function') return found as StepFunction
  const functions = Object.keys(exports).filter((key) => typeof exports[key] === 'function')
  const what = name === 'default' ? 'no function as its default' : `no function ${quote(name)}`
  const near = didYouMean(name, functions)
  const rest = functions.length === 0 ? '' : `; name one of its own: ${file}#${functions[0]}`
  return `it exports ${what}${near === '' ? rest : near}`
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

async function isFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch {
    return false
  }
}
