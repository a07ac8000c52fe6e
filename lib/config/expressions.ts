/**
 * Floor 1. Expressions and templates of the config, compiled; what is wrong with one is told at its place. A variable
 * within one must not add to what it does, and its value is not shown.
 */
import { compileExpression, ExpressionError, type Expected, type Expression } from '../expression.ts'
import { compileTemplate, type Template, type TemplateOptions } from '../template.ts'
import type { Diagnostics } from './diagnostics.ts'
import { secretsIn } from './interpolation.ts'
import { shown, variablesOf, writtenText, type ConfigNode, type Piece, type ScalarNode } from './node.ts'

/** What a variable may add to an expression: names, numbers and the insides of text, but nothing that ends a text. */
const HARMLESS = /^[\w.:@-]*$/
const NOT_HARMLESS = "cannot stand here: in an expression it may hold letters, digits, '_', '.', ':', '@' and '-' alone"

/** Each of its methods gives undefined for what is not there, and for what is wrong, which was told. */
export class ExpressionReader {
  /** Values of variables in what was compiled. */
  readonly secrets = new Set<string>()
  readonly #diagnostics: Diagnostics

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics
  }

  expression(node: ConfigNode | undefined, expects: Expected, label: string): Expression | undefined {
    const scalar = this.#source(node, 'an expression', label)
    if (scalar === undefined) return undefined
    const { pieces = [] } = scalar
    if (!pieces.every(({ variable, text }) => variable === undefined || HARMLESS.test(text))) {
      this.#diagnostics.error(`${label}: ${shown(scalar)} ${NOT_HARMLESS}`, scalar.offset)
      return undefined
    }
    return this.#compile(scalar, label, () => compileExpression(scalar.text, expects, writtenText(scalar)))
  }

  template(node: ConfigNode | undefined, label: string, options: TemplateOptions): Template | undefined {
    const scalar = this.#source(node, 'text', label)
    if (scalar === undefined) return undefined
    if (scalar.pieces === undefined) return this.#compile(scalar, label, () => compileTemplate(scalar.text, options))
    const text = templateText(scalar.pieces)
    if (text === undefined) {
      this.#diagnostics.error(`${label}: ${shown(scalar)} ${NOT_HARMLESS}`, scalar.offset)
      return undefined
    }
    return this.#compile(scalar, label, () => compileTemplate(text, { ...options, shown: writtenText(scalar) }))
  }

  /** A scalar to be compiled. Numbers and booleans are expressions and text, too. */
  #source(node: ConfigNode | undefined, expected: string, label: string): ScalarNode | undefined {
    if (node === undefined || (node.kind === 'scalar' && node.broken)) return undefined
    if (node.kind === 'scalar' && node.value !== null) return node
    this.#diagnostics.error(`${label}: expected ${expected}, got ${shown(node)}`, node.offset)
    return undefined
  }

  #compile<Compiled>(node: ScalarNode, label: string, compile: () => Compiled): Compiled | undefined {
    secretsIn(node, this.secrets)
    try {
      return compile()
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error
      if (node.pieces !== undefined) {
        // What is wrong may quote the value.
        const message = `it cannot be compiled with the value of ${variablesOf(node)} in it`
        this.#diagnostics.error(`${label}: ${message}`, node.offset)
      } else {
        const offset = node.textOffset === undefined ? node.offset : node.textOffset + error.offset
        const at = node.textOffset === undefined && error.offset > 0 ? ` (at character ${error.offset + 1})` : ''
        this.#diagnostics.error(`${label}: ${error.message}${at}`, offset)
      }
      return undefined
    }
  }
}

/**
 * A template whose variables are text, whatever braces their values have.
 * @returns undefined where one within an expression holds more than it may there.
 */
function templateText(pieces: readonly Piece[]): string | undefined {
  let text = ''
  for (const piece of pieces) {
    const literal = text.replace(/\{\{|\}\}/g, '')
    const isWithin = literal.lastIndexOf('{') > literal.lastIndexOf('}')
    if (piece.variable === undefined) text += piece.text
    else if (!isWithin) text += piece.text.replace(/[{}]/g, '$&$&')
    else if (HARMLESS.test(piece.text)) text += piece.text
    else return undefined
  }
  return text
}
