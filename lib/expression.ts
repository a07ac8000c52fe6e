/**
 * Floor 1. CEL expressions over a message, compiled and type-checked at load.
 *
 * | name      | CEL type                   | holds |
 * | ---       | ---                        | --- |
 * | `body`    | dyn                        | the decoded payload; a JSON number is a double |
 * | `headers` | map(string, string)        | the message's headers |
 * | `topic`   | string                     | where it came from; `''` where there are no topics |
 * | `key`     | string                     | what its order is kept by; `''` where there is none |
 * | `source`  | string                     | the name of the endpoint that it came in by |
 * | `time`    | google.protobuf.Timestamp  | when it came in: `time.getHours("Europe/Rome") < 8` |
 *
 * Optional fields are there (`body.?region.orValue("eu")`), and lists and maps may mix types. `matches` runs on RE2 (as
 * the language's definition has it): JavaScript's regular expressions can take minutes on a text that a peer chose.
 */
import { Environment, Optional, type ASTNode } from '@marcbachmann/cel-js'
import { Duration, UnsignedInt } from '@marcbachmann/cel-js/evaluator'
import { RE2JS } from 're2js'
import { nearest, oneLine } from './config/words.ts'
import { errors } from './errors.ts'
import type { Message } from './message.ts'
import { exact, toPlain } from './plain.ts'

/** A compiled expression. `evaluate` throws ARALDO_ERR_EXPRESSION_FAILED, ARALDO_ERR_UNDECODABLE. */
export interface Expression {
  readonly text: string
  /** Whether it reads `body`: the message must be decoded for it. */
  readonly usesBody: boolean
  evaluate(message: Message): unknown
}

/**
 * What an expression is for.
 * - `bool`: evaluates to true or false.
 * - `string`: text, a number, true or false; evaluates to text.
 * - `scalar`: the same, but undefined where it gives something else.
 * - `list`: evaluates to a list of what JSON can carry, and bytes.
 * - `any`: evaluates to what JSON can carry, and bytes.
 */
export type Expected = 'bool' | 'string' | 'scalar' | 'list' | 'any'

/** What is wrong with an expression's or a template's text, and where. */
export class ExpressionError extends Error {
  /** UTF-16 code units from the start of the text. */
  readonly offset: number

  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

/** Text of an expression; the parser's own limits are far above what anybody writes. */
const MAX_LENGTH = 10_000
const VARIABLES = ['body', 'headers', 'topic', 'key', 'source', 'time']
const TEXT_TYPES = new Set(['string', 'int', 'uint', 'double', 'bool', 'dyn'])
const ARITHMETIC = new Set(['+', '-', '*', '/', '%'])
/** What `matches` is renamed to in a parsed expression: the library lets nobody replace its own. */
const MATCHES = 'matchesLinear'

const environment = new Environment({
  homogeneousAggregateLiterals: false,
  enableOptionalTypes: true,
  limits: { maxAstNodes: 10_000, maxDepth: 100 },
})
  .registerVariable('body', 'dyn')
  .registerVariable('headers', 'map<string, string>')
  .registerVariable('topic', 'string')
  .registerVariable('key', 'string')
  .registerVariable('source', 'string')
  .registerVariable('time', 'google.protobuf.Timestamp')
  .registerFunction(`string.${MATCHES}(string): bool`, (text: string, pattern: string) => linear(pattern).test(text), {
    async: false,
  })

/** Patterns that were compiled lately. A pattern is usually a literal, but a message may hold one. */
const patterns = new Map<string, RE2JS>()
const MAX_PATTERNS = 100

function linear(pattern: string): RE2JS {
  const known = patterns.get(pattern)
  if (known !== undefined) return known
  if (pattern.length > 1000) throw new Error('a regular expression of more than 1000 characters')
  const compiled = RE2JS.compile(pattern)
  if (patterns.size >= MAX_PATTERNS) patterns.clear()
  patterns.set(pattern, compiled)
  return compiled
}

/** What an expression sees: a window on one message at a time. The body is decoded only when it is asked for. */
class Scope {
  message: Message | undefined

  get body(): unknown {
    const body = this.message?.body
    // CEL knows bytes by their class.
    if (Buffer.isBuffer(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
    return body === undefined ? null : body
  }
  get headers(): unknown {
    return this.message?.headers
  }
  get topic(): unknown {
    return this.message?.topic
  }
  get key(): unknown {
    return this.message?.key ?? ''
  }
  get source(): unknown {
    return this.message?.source
  }
  get time(): unknown {
    return new Date(this.message?.time ?? 0)
  }
}

/** What CEL says of an error may quote the text. */
const SECRET_REASON = 'the reason may hold the value of a variable, so it is not shown'

/**
 * @param shown stands for the text in errors, where the text itself holds a secret.
 * @throws ExpressionError
 */
export function compileExpression(text: string, expects: Expected = 'any', shown = text): Expression {
  const evaluateOn = check(text, expects)
  const scope = new Scope()
  const finish = FINISH[expects]
  return {
    text: shown,
    usesBody: some(evaluateOn.ast, (node) => node.op === 'id' && node.args === 'body'),
    evaluate(message) {
      scope.message = message
      try {
        return finish(evaluateOn(scope))
      } catch (error) {
        if (isAraldoError(error)) throw error
        const reason = shown === text ? explain(error) : SECRET_REASON
        throw new errors.EXPRESSION_FAILED(shown, message.id, reason)
      } finally {
        scope.message = undefined
      }
    },
  }
}

const FINISH: Readonly<Record<Expected, (value: unknown) => unknown>> = {
  bool(value) {
    if (typeof value !== 'boolean') throw new Error(`expected true or false, got ${typeName(value)}`)
    return value
  },
  string(value) {
    const text = asText(value)
    if (text === undefined) throw new Error(`expected text, got ${typeName(value)}`)
    return text
  },
  scalar: asText,
  list(value) {
    if (!Array.isArray(value)) throw new Error(`expected a list, got ${typeName(value)}`)
    return toPlain(value, replaceCel)
  },
  any: (value) => toPlain(value, replaceCel),
}

/** CEL's own objects. An optional without a value is null. */
function replaceCel(value: object): unknown {
  if (value instanceof UnsignedInt) return exact(value.valueOf())
  if (value instanceof Duration) return String(value)
  if (value instanceof Optional) return value.hasValue() ? value.value() : null
  if (value.constructor?.name === 'Type') throw new Error('a type cannot be carried: write string(type(…))')
  return undefined
}

function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  const isScalar = typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean'
  return isScalar || value instanceof UnsignedInt ? String(value) : undefined
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'a map' : typeof value
}

type Parsed = ReturnType<Environment['parse']>

function check(text: string, expects: Expected): Parsed {
  if (text.trim() === '') throw new ExpressionError('an expression is missing', 0)
  if (text.length > MAX_LENGTH) throw new ExpressionError(`an expression has at most ${MAX_LENGTH} characters`, 0)
  const parsed = parse(text)
  visit(parsed.ast, prepare)
  const { valid, type = 'dyn', error } = parsed.check()
  if (!valid) throw new ExpressionError(explain(error), offsetOf(error))
  visit(parsed.ast, refuseMixedArithmetic)
  if (expects === 'bool' && type !== 'bool' && type !== 'dyn') {
    throw new ExpressionError(`expected an expression that gives true or false, this gives ${type}`, 0)
  }
  if ((expects === 'string' || expects === 'scalar') && !TEXT_TYPES.has(type)) {
    throw new ExpressionError(`expected an expression that gives text, this gives ${type}`, 0)
  }
  if (expects === 'list' && type !== 'dyn' && !/^list\b/.test(type)) {
    throw new ExpressionError(`expected an expression that gives a list, this gives ${type}`, 0)
  }
  return parsed
}

function parse(text: string): Parsed {
  try {
    return environment.parse(text)
  } catch (error) {
    throw new ExpressionError(explain(error), offsetOf(error))
  }
}

/** Puts our `matches` in the place of the library's, and compiles the pattern where it is a literal. */
function prepare(node: ASTNode): void {
  if (node.op !== 'rcall' || node.args[0] !== 'matches') return
  node.args[0] = MATCHES
  const pattern = node.args[2][0]
  if (pattern?.op !== 'value' || typeof pattern.args !== 'string') return
  try {
    linear(pattern.args)
  } catch (error) {
    throw new ExpressionError(`no regular expression (RE2): ${(error as Error).message}`, pattern.start)
  }
}

/** `body.total * 2` can be checked only when there is a body, and then it fails for every message: a JSON number is a double. */
function refuseMixedArithmetic(node: ASTNode): void {
  if (!ARITHMETIC.has(node.op) || !Array.isArray(node.args)) return
  const operands = node.args as ASTNode[]
  const number = operands.find((operand) => typeof operand.args === 'bigint')
  if (number === undefined || !operands.some(isPartOfBody)) return
  const literal = (number.args as bigint).toString()
  const advice =
    node.op === '%'
      ? `'%' is for whole numbers: write int(…) % ${literal}`
      : `a JSON number is a double: write ${literal}.0 in place of ${literal}`
  throw new ExpressionError(advice, number.start)
}

/** `body`, and what is read from it: its type is known only when there is a message. */
function isPartOfBody(node: ASTNode): boolean {
  let part = node
  while (part.op === '.' || part.op === '[]') part = part.args[0]
  return part.op === 'id' && part.args === 'body'
}

function visit(node: ASTNode, visitor: (node: ASTNode) => void): void {
  visitor(node)
  for (const child of childrenOf(node.args)) visit(child, visitor)
}

function some(node: ASTNode, test: (node: ASTNode) => boolean): boolean {
  return test(node) || childrenOf(node.args).some((child) => some(child, test))
}

/** Operands are nodes, lists of nodes, or lists of pairs of them, among names. */
function childrenOf(args: unknown): ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf)
  return typeof args === 'object' && args !== null && 'op' in args ? [args as ASTNode] : []
}

function offsetOf(error: unknown): number {
  return (error as { range?: { start: number } } | undefined)?.range?.start ?? 0
}

/** The library's error in one line, with what to do about it. */
function explain(error: unknown): string {
  const { summary, message } = error as { summary?: string; message: string }
  const text = lowerFirst(oneLine(summary ?? message))
    .replaceAll(MATCHES, 'matches')
    .replaceAll('dyn<double>', 'double')
    .replace('unexpected token: EOF', 'it ends where more was expected')
  const variable = /^unknown variable: (\w+)$/.exec(text)?.[1]
  if (variable !== undefined) {
    const near = nearest(variable, VARIABLES)
    const rest = near === undefined ? `there are ${VARIABLES.join(', ')}` : `did you mean '${near}'?`
    return `there is no variable '${variable}'; ${rest}`
  }
  if (/^no such overload: (double . int|int . double)$/.test(text)) {
    return `${text}; a JSON number is a double: write 2.0 in place of 2, or int(…) around the double`
  }
  return text
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1)
}

function isAraldoError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ARALDO_ERR_')
}
