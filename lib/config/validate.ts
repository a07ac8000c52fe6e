/**
 * Floor 1. Parameters against a schema: defaults filled in, sizes and durations made numbers, everything that is wrong
 * reported at its place. One validator is compiled for each schema that is used.
 */
import { Ajv, type FuncKeywordDefinition, type SchemaValidateFunction, type ValidateFunction } from 'ajv'
import type { JsonSchema } from '../types.ts'
import { closeEntry } from './closed.ts'
import type { Diagnostics } from './diagnostics.ts'
import { toValue, type ConfigNode, type MapNode } from './node.ts'
import { problemsOf, type Problem } from './problems.ts'
import { formatQuantity, parseQuantity, type Unit } from './units.ts'

/** Turns text with a unit into a number where it stands. Text of another form is left to the schema's `pattern`. */
const convert: SchemaValidateFunction = (unit: Unit, data: unknown, schema, context) => {
  if (typeof data !== 'string' || context === undefined) return true
  const value = parseQuantity(data, unit)
  if (value === undefined) return true
  const { minimum, maximum } = (schema ?? {}) as { minimum?: number; maximum?: number }
  const message =
    minimum !== undefined && value < minimum
      ? `expected at least ${formatQuantity(minimum, unit)}`
      : maximum !== undefined && value > maximum
        ? `expected at most ${formatQuantity(maximum, unit)}`
        : undefined
  convert.errors = message === undefined ? [] : [{ keyword: 'unit', message, params: {} }]
  if (message === undefined)
    (context.parentData as Record<string | number, unknown>)[context.parentDataProperty] = value
  return message === undefined
}

const UNIT_KEYWORD: FuncKeywordDefinition = {
  keyword: 'unit',
  schemaType: 'string',
  modifying: true,
  errors: true,
  validate: convert,
}

export class Validator {
  readonly #diagnostics: Diagnostics
  readonly #ajv: Ajv
  readonly #compiled = new Map<JsonSchema, ValidateFunction>()

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics
    this.#ajv = new Ajv({
      allErrors: true,
      verbose: true,
      useDefaults: true,
      ownProperties: true,
      allowUnionTypes: true,
      strictTypes: false,
      strictTuples: false,
      // Formats are for editors; a type's `check` can look at more than a format can.
      validateFormats: false,
      // The types' schemas are checked by compiling them; checking them against the meta-schema would triple the time.
      meta: false,
      validateSchema: false,
      logger: false,
    })
    this.#ajv.addKeyword(UNIT_KEYWORD)
  }

  /**
   * Validates a map, whose keys are those of the schema and no others.
   * @param label whose parameters these are, for messages: `endpoint 'orders'`.
   * @param otherKeys keys that stand beside the schema's, but are not in the map: a misspelt one is told.
   * @returns the parameters, complete; undefined where something is wrong with them.
   * @throws what Ajv throws on a schema that it cannot compile.
   */
  validate(schema: JsonSchema, node: MapNode, label: string, otherKeys: readonly string[] = []): object | undefined {
    const validate = this.#compile(schema, otherKeys)
    let { value, problems } = attempt(validate, node)
    const alternatives = new Set(problems.map((problem) => problem.node).filter(hasAlternative))
    if (alternatives.size > 0) {
      const second = attempt(validate, node, alternatives)
      if (second.problems.length < problems.length) ({ value, problems } = second)
    }
    for (const { message, offset } of problems) this.#diagnostics.error(`${label}: ${message}`, offset)
    return problems.length > 0 || isBroken(node) ? undefined : (value as object)
  }

  #compile(schema: JsonSchema, otherKeys: readonly string[]): ValidateFunction {
    let compiled = this.#compiled.get(schema)
    if (compiled !== undefined) return compiled
    compiled = this.#ajv.compile(closeEntry(schema, Object.fromEntries(otherKeys.map((key) => [key, {}]))))
    this.#compiled.set(schema, compiled)
    return compiled
  }
}

function attempt(
  validate: ValidateFunction,
  node: MapNode,
  alternatives?: ReadonlySet<ConfigNode>,
): { value: unknown; problems: Problem[] } {
  // A fresh value each time: validating fills in defaults and converts units.
  const value = toValue(node, alternatives)
  return { value, problems: validate(value) ? [] : problemsOf(validate.errors ?? [], node) }
}

/** What a variable gave can be read in two ways: a password of digits, a port that had to be quoted. */
function hasAlternative(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.alternative !== undefined
}

function isBroken(node: ConfigNode): boolean {
  if (node.kind === 'scalar') return node.broken
  const children = node.kind === 'list' ? node.items : [...node.entries.values()].map((entry) => entry.value)
  return children.some(isBroken)
}
