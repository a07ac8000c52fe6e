/**
 * Floor 1. What a schema found wrong, in the words of the config: what was expected, what stood there, and the nearest
 * name. Ajv reports every branch of an `anyOf`; people want to hear of the branch that they meant.
 */
import type { ErrorObject } from 'ajv'
import { knownKeys } from './closed.ts'
import { shown, type ConfigNode } from './node.ts'
import { formatQuantity, type Unit } from './units.ts'
import { didYouMean, nearest, oneLine, oneOf, pathWords, quote } from './words.ts'

export interface Problem {
  /** With the path in words: `tls: ca: expected text, got 5`. */
  readonly message: string
  readonly offset: number | undefined
  /** The node that it is about. */
  readonly node: ConfigNode
}

/** What is looked at of a schema. */
interface Schema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly properties?: object
  readonly required?: readonly string[]
  readonly pattern?: string
  readonly format?: string
  readonly examples?: readonly unknown[]
  readonly unit?: Unit
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  null: 'nothing',
}

const EXAMPLES: Readonly<Record<Unit, string>> = {
  bytes: 'a size such as 64KiB, or a whole number of bytes',
  milliseconds: 'a duration such as 500ms or 30s, or a whole number of milliseconds',
}

/** What their parts found wrong is reported beside them. */
const COMPOSED = new Set(['anyOf', 'oneOf', 'contains'])

/** @param errors of Ajv's, with `allErrors` and `verbose`. */
export function problemsOf(errors: readonly ErrorObject[], root: ConfigNode): Problem[] {
  const problems: Problem[] = []
  for (const error of relevant(errors)) {
    const { node, path, offset } = locate(root, error)
    if (node.kind === 'scalar' && node.broken) continue
    const { keyword, params } = error
    const key: unknown = keyword === 'additionalProperties' ? params['additionalProperty'] : params['propertyName']
    const entry = node.kind === 'map' && typeof key === 'string' ? node.entries.get(key) : undefined
    problems.push({ message: pathWords(path) + describe(error, node, errors), offset: entry?.offset ?? offset, node })
  }
  return problems
}

/** Without the errors that follow from others. */
function relevant(errors: readonly ErrorObject[]): ErrorObject[] {
  const hidden = new Set(errors.filter(({ keyword, propertyName }) => keyword === 'if' || propertyName !== undefined))
  for (const error of errors) {
    if (!COMPOSED.has(error.keyword)) continue
    const meant = meantBranch(error, errors)
    if (meant !== undefined) hidden.add(error)
    for (const each of branchErrors(error, errors)) if (!(meant?.includes(each) ?? false)) hidden.add(each)
  }
  return errors.filter((error) => !hidden.has(error) && !isSlip(error, errors))
}

function branchErrors(choice: ErrorObject, errors: readonly ErrorObject[]): ErrorObject[] {
  return errors.filter((error) => error.schemaPath.startsWith(`${choice.schemaPath}/`))
}

/** The errors of the one branch whose type fits what stands there; undefined where no single branch does. */
function meantBranch(choice: ErrorObject, errors: readonly ErrorObject[]): ErrorObject[] | undefined {
  const branches = new Map<string, ErrorObject[]>()
  for (const error of branchErrors(choice, errors)) {
    const branch = error.schemaPath.slice(choice.schemaPath.length + 1).split('/')[0] as string
    branches.set(branch, [...(branches.get(branch) ?? []), error])
  }
  const fitting = [...branches.values()].filter((branch) =>
    branch.every(({ keyword, instancePath }) => keyword !== 'type' || instancePath !== choice.instancePath),
  )
  return branches.size > 1 && fitting.length === 1 ? fitting[0] : undefined
}

/** A key that is missing because it is misspelt: the misspelt one is reported. */
function isSlip(error: ErrorObject, errors: readonly ErrorObject[]): boolean {
  if (error.keyword !== 'required') return false
  const missing = String(error.params['missingProperty'])
  return errors.some(
    ({ keyword, instancePath, params, parentSchema }) =>
      keyword === 'additionalProperties' &&
      instancePath === error.instancePath &&
      nearest(String(params['additionalProperty']), Object.keys((parentSchema?.['properties'] ?? {}) as object)) ===
        missing,
  )
}

function locate(
  root: ConfigNode,
  { instancePath }: ErrorObject,
): { node: ConfigNode; path: string[]; offset: number | undefined } {
  let node = root
  let offset = root.offset
  const path: string[] = []
  for (const part of instancePath.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    const next =
      node.kind === 'list' ? node.items[Number(key)] : node.kind === 'map' ? node.entries.get(key)?.value : undefined
    path.push(node.kind === 'list' ? `item ${Number(key) + 1}` : key)
    // A default's own content has no place: the nearest that has is named.
    if (next === undefined) break
    node = next
    offset = next.offset ?? offset
  }
  return { node, path, offset }
}

function describe(error: ErrorObject, node: ConfigNode, errors: readonly ErrorObject[]): string {
  const { keyword, params } = error
  const parent = (error.parentSchema ?? {}) as Schema
  const got = `, got ${shown(node)}`
  switch (keyword) {
    case 'type':
      return `expected ${expectation(parent)}${got}`
    case 'enum':
    case 'const':
      return `expected ${expectation(parent)}${got}${suggestion(node, parent)}`
    case 'required':
      return `${quote(String(params['missingProperty']))} is missing`
    case 'dependencies':
      return `${quote(String(params['property']))} needs ${quote(String(params['missingProperty']))} beside it`
    case 'additionalProperties':
      return unknownKey(String(params['additionalProperty']), Object.keys(parent.properties ?? {}))
    case 'propertyNames':
      return `the key ${quote(String(params['propertyName']))} is not allowed`
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `expected ${LIMITS[keyword]} ${limit(params['limit'] as number, parent.unit)}${got}`
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return params['limit'] === 1
        ? 'must not be empty'
        : `expected at least ${count(params['limit'] as number, COUNTED[keyword])}`
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties':
      return `expected at most ${count(params['limit'] as number, COUNTED[keyword])}`
    case 'uniqueItems':
      return sameItems(params['i'] as number, params['j'] as number)
    case 'pattern':
    case 'format':
      return `expected ${form(parent)}${got}`
    case 'anyOf':
    case 'oneOf':
      return describeChoice(error, node, errors)
    case 'contains':
      return `expected ${expectation(error.schema as Schema)} among its items`
    case 'not':
    case 'false schema':
      return 'is not allowed here'
    case 'unit':
      return `${error.message}${got}`
    default:
      return oneLine(error.message ?? keyword)
  }
}

function sameItems(one: number, other: number): string {
  return `items ${Math.min(one, other) + 1} and ${Math.max(one, other) + 1} are the same`
}

const LIMITS = {
  minimum: 'at least',
  maximum: 'at most',
  exclusiveMinimum: 'more than',
  exclusiveMaximum: 'less than',
} as const

const COUNTED = {
  minLength: 'character',
  maxLength: 'character',
  minItems: 'item',
  maxItems: 'item',
  minProperties: 'key',
  maxProperties: 'key',
} as const

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function limit(value: number, unit: Unit | undefined): string {
  return unit === undefined ? String(value) : formatQuantity(value, unit)
}

/** What a schema wants, in words. */
function expectation(schema: Schema): string {
  if (schema.unit !== undefined) return EXAMPLES[schema.unit]
  if (schema.enum !== undefined) return oneOf(schema.enum.map(asText))
  if (schema.const !== undefined) return quote(asText(schema.const))
  const branches = schema.anyOf ?? schema.oneOf
  if (branches !== undefined) return [...new Set(branches.map(expectation))].join(', or ')
  const types = [schema.type ?? []].flat().map((type) => TYPE_WORDS[type] ?? type)
  return types.length === 0 ? 'another value' : types.join(' or ')
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function suggestion(node: ConfigNode, schema: Schema): string {
  if (node.kind !== 'scalar' || node.pieces !== undefined || schema.enum === undefined) return ''
  return didYouMean(node.text, schema.enum.map(asText))
}

/** Text of a form: an example says more than a regular expression. */
function form(schema: Schema): string {
  if (schema.unit !== undefined) return EXAMPLES[schema.unit]
  const examples = (schema.examples ?? []).filter((each) => typeof each === 'string')
  if (examples.length > 0) return `text such as ${oneOf(examples)}`
  return schema.pattern === undefined ? `${schema.format}` : `text that matches ${quote(schema.pattern)}`
}

export function unknownKey(key: string, known: readonly string[]): string {
  const near = didYouMean(key, known)
  const rest = known.length === 0 ? '; it takes no keys' : `; its keys are ${oneOf(known, 'and')}`
  return `unknown key ${quote(key)}${near === '' ? rest : near}`
}

/** No branch fits, or, of `oneOf`, more than one does. */
function describeChoice(error: ErrorObject, node: ConfigNode, errors: readonly ErrorObject[]): string {
  const branches = error.schema as readonly Schema[]
  const names = branches.flatMap((branch) => branch.required ?? [])
  if (Array.isArray(error.params['passingSchemas'])) return `takes only one of ${oneOf(names, 'and')}`
  if (branchErrors(error, errors).every(({ keyword }) => keyword === 'required') && names.length > 0) {
    return `${oneOf(names)} is missing`
  }
  const expected = [...new Set(branches.map((branch) => (knownKeys(branch).size > 0 ? 'a map' : expectation(branch))))]
  return `expected ${expected.join(', or ')}, got ${shown(node)}`
}
