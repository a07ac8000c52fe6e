/**
 * The tables of options in docs/, made from the schemas of the types: what stands between
 * `<!-- options endpoint-redis -->` and `<!-- /options -->` on lines of their own. A test holds the pages to it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { formatQuantity, type Unit } from '../lib/config/units.ts'
import { builtinEndpoints } from '../lib/endpoints/index.ts'
import { builtinMarshallers } from '../lib/marshallers/index.ts'
import type { JsonSchema } from '../lib/types.ts'

const DOCS = new URL('../docs/', import.meta.url)
const MARKED = /^<!-- options (\S+) -->\n[^]*?^<!-- \/options -->$/gm

/** Pages whose tables are made here, relative to docs/. */
export function referencePages(): string[] {
  const connectors = readdirSync(new URL('connectors/', DOCS)).filter((name) => name.endsWith('.md'))
  return [...connectors.toSorted().map((name) => `connectors/${name}`), 'marshallers.md']
}

/** The types whose options a page has. */
export function markedTypes(page: string): string[] {
  return Array.from(page.matchAll(MARKED), ([, id = '']) => id)
}

/** @returns the page with its tables made anew. @throws Error where a marker names a type that is not built in. */
export function fillOptions(page: string): string {
  const types = new Map([...builtinEndpoints, ...builtinMarshallers].map(({ id, schema }) => [id, schema]))
  return page.replaceAll(MARKED, (_all, id: string) => {
    const schema = types.get(id)
    if (schema === undefined) throw new Error(`<!-- options ${id} -->: there is no such type`)
    return `<!-- options ${id} -->\n\n${optionsTable(schema)}\n\n<!-- /options -->`
  })
}

/** A row for each option, in the schema's order; those of an option that is a map follow it as `map.option`. */
export function optionsTable(schema: JsonSchema): string {
  const rows = [...rowsOf(schema, '')]
  if (rows.length === 0) return 'It has no options.'
  return ['| option | value | default | |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

function* rowsOf(schema: JsonSchema, prefix: string): Iterable<string> {
  const required = new Set(schema['required'] as readonly string[] | undefined)
  for (const [key, option] of Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>)) {
    const name = prefix + key
    const fallback = required.has(key) ? 'required' : defaultOf(option)
    const cells = [code(name), valueOf(option), fallback, prose(String(option['description'] ?? ''))]
    yield `| ${cells.join(' | ')} |`.replaceAll('  ', ' ')
    for (const each of alternatives(option)) {
      yield* rowsOf(each, `${name}.`)
      if (each['items'] !== undefined) yield* rowsOf(each['items'] as JsonSchema, `${name}[].`)
    }
  }
}

function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return (schema['anyOf'] ?? schema['oneOf'] ?? [schema]) as readonly JsonSchema[]
}

function defaultOf(schema: JsonSchema): string {
  const value: unknown = schema['default']
  return value === undefined ? '' : code(typeof value === 'string' ? value : JSON.stringify(value))
}

/** What may be written there, in words: `size, at most 64MiB`. */
function valueOf(schema: JsonSchema): string {
  const each = alternatives(schema)
  if (each.length > 1) return each.map(valueOf).join(' or ')
  if (schema['enum'] !== undefined)
    return (schema['enum'] as readonly unknown[]).map((value) => code(String(value))).join(', ')
  if (schema['const'] !== undefined) return code(String(schema['const']))
  if (schema['unit'] !== undefined) return quantity(schema, schema['unit'] as Unit)
  const types = [schema['type'] ?? []].flat() as string[]
  return types.length === 0 ? 'any' : types.map((type) => plainValue(schema, type)).join(' or ')
}

function plainValue(schema: JsonSchema, type: string): string {
  switch (type) {
    case 'boolean':
      return '`true`, `false`'
    case 'integer':
      return `whole number${bounds(schema, thousands)}`
    case 'number':
      return `number${bounds(schema, thousands)}`
    case 'array':
      return listOf(schema)
    case 'object':
      return typeof schema['additionalProperties'] === 'object' ? 'map of names to values' : 'map'
    case 'string':
      return typeof schema['maxLength'] === 'number'
        ? `text, up to ${thousands(schema['maxLength'])} characters`
        : 'text'
    default:
      return type
  }
}

function listOf({ items, maxItems }: JsonSchema): string {
  const each = items as JsonSchema | undefined
  const most = typeof maxItems === 'number' ? `, up to ${thousands(maxItems)}` : ''
  if (each === undefined) return `list${most}`
  return `list of ${each['type'] === 'object' ? 'maps' : valueOf({ ...each, maxLength: undefined })}${most}`
}

/** Bounds that every quantity has (0, what a timer or a number can hold) are no news. */
function quantity(schema: JsonSchema, unit: Unit): string {
  const { minimum, maximum } = schema as { readonly minimum: number; readonly maximum: number }
  const isTold = maximum < (unit === 'bytes' ? Number.MAX_SAFE_INTEGER : 2 ** 31 - 1)
  const told = { ...(minimum > 1 ? { minimum } : {}), ...(isTold ? { maximum } : {}) }
  return `${unit === 'bytes' ? 'size' : 'duration'}${bounds(told, (value) => formatQuantity(value, unit))}`
}

function bounds(schema: JsonSchema, format: (value: number) => string): string {
  const { minimum, maximum } = schema as { readonly minimum?: number; readonly maximum?: number }
  const hasMaximum = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
  if (minimum !== undefined && hasMaximum) return `, ${format(minimum)} to ${format(maximum)}`
  if (hasMaximum) return `, at most ${format(maximum)}`
  return minimum === undefined ? '' : `, at least ${format(minimum)}`
}

function thousands(value: number): string {
  return value.toLocaleString('en-US')
}

function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``
}

/** What Markdown would take for its own outside of `code`. */
function prose(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll('*', '\\*').replaceAll('<', '&lt;')))
    .join('')
    .replaceAll('|', '\\|')
    .replaceAll('\n', ' ')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const page of referencePages()) {
    const file = new URL(page, DOCS)
    const text = readFileSync(file, 'utf8')
    const filled = fillOptions(text)
    if (filled !== text) writeFileSync(file, filled)
  }
}
