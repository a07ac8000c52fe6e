/**
 * Floor 1. Text with expressions in braces: `orders.{body.region}`, `user.{headers.user}`. `{{` and `}}` are braces.
 *
 * What an expression gives is data, and data must not choose another topic: a value that holds one of the protocol's
 * separators or wildcards is refused, and so is one that is empty or no scalar.
 */
import { compileExpression, ExpressionError, type Expression } from './expression.ts'
import { errors } from './errors.ts'
import type { Message } from './message.ts'
import { quote } from './config/words.ts'

/** A compiled template. `render` throws ARALDO_ERR_EXPRESSION_FAILED, ARALDO_ERR_UNDECODABLE, ARALDO_ERR_TOPIC_INVALID. */
export interface Template {
  readonly text: string
  readonly usesBody: boolean
  render(message: Message): string
}

export interface TemplateOptions {
  /** Matches what no value may hold; or gives that for each expression, by its text. */
  readonly refuse?: RegExp | ((expression: string) => RegExp | undefined) | undefined
  /** The name of the endpoint that this is for, for errors. */
  readonly what?: string | undefined
  /** What of a message it is, where that is not the topic: `header 'user'`. */
  readonly part?: string | undefined
  /** Stands for the text in errors, where the text itself holds a secret. */
  readonly shown?: string | undefined
}

/** They end a line in most text protocols, or a string in C. Written out: a template is text on one line. */
// eslint-disable-next-line no-control-regex
const BREAKS = /[\r\n\u0000]/

/** An expression within a template, and what its value may not hold. */
interface Slot {
  readonly expression: Expression
  readonly refused: RegExp | undefined
}

/** @throws ExpressionError with the offset in the text. */
export function compileTemplate(text: string, options: TemplateOptions = {}): Template {
  const { what = '', part: label, shown = text } = options
  const parts = parse(text, options)
  if (parts.every((part) => typeof part === 'string')) {
    const constant = parts.join('')
    return { text: shown, usesBody: false, render: () => constant }
  }
  const fill = ({ expression, refused }: Slot, message: Message): string => {
    const value = expression.evaluate(message) as string | undefined
    const problem = problemOf(value, refused, shown === text)
    if (problem === undefined) return value as string
    throw new errors.TOPIC_INVALID(what, `${label === undefined ? '' : `${label}: `}{${expression.text}} ${problem}`)
  }
  return {
    text: shown,
    usesBody: parts.some((part) => typeof part !== 'string' && part.expression.usesBody),
    render: (message) => {
      let rendered = ''
      for (const part of parts) rendered += typeof part === 'string' ? part : fill(part, message)
      return rendered
    },
  }
}

/** @param mayQuote false where the value may hold a secret of the config's. */
function problemOf(value: string | undefined, refused: RegExp | undefined, mayQuote: boolean): string | undefined {
  if (value === undefined) return 'gives no text'
  if (value === '') return 'is empty'
  const found = mayQuote ? quote(value) : 'a value'
  if (BREAKS.test(value)) return `gives ${found}, which holds a line break or NUL`
  if (refused?.test(value) === true) return `gives ${found}, which holds a separator or a wildcard`
  return undefined
}

/** Literal text and expressions, in turn. */
function parse(text: string, options: TemplateOptions): (string | Slot)[] {
  const parts: (string | Slot)[] = []
  let literal = ''
  let index = 0
  while (index < text.length) {
    const character = text[index] as string
    if (character !== '{' && character !== '}') {
      literal += character
      index++
    } else if (text[index + 1] === character) {
      literal += character
      index += 2
    } else if (character === '}') {
      throw new ExpressionError("'}' without '{'; write }} for a brace", index)
    } else {
      const end = closing(text, index)
      if (literal !== '') parts.push(literal)
      literal = ''
      parts.push(slot(text.slice(index + 1, end), index + 1, options))
      index = end + 1
    }
  }
  if (BREAKS.test(literal) || parts.some((part) => typeof part === 'string' && BREAKS.test(part))) {
    throw new ExpressionError('a line break or NUL cannot stand here', 0)
  }
  if (literal !== '' || parts.length === 0) parts.push(literal)
  return parts
}

function slot(text: string, offset: number, { refuse, shown }: TemplateOptions): Slot {
  const refused = typeof refuse === 'function' ? refuse(text.trim()) : refuse
  try {
    return {
      expression: compileExpression(text, 'scalar', shown === undefined ? text : '…'),
      // A global or sticky expression would remember where it was.
      refused: refused && new RegExp(refused.source, refused.flags.replace(/[gy]/g, '')),
    }
  } catch (error) {
    if (error instanceof ExpressionError) throw new ExpressionError(error.message, offset + error.offset)
    throw error
  }
}

/** The brace that closes the one at `start`: braces within it are counted, those in its strings are not. */
function closing(text: string, start: number): number {
  let depth = 0
  let quoteMark: string | undefined
  for (let index = start; index < text.length; index++) {
    const character = text[index] as string
    if (quoteMark !== undefined) {
      if (character === '\\') index++
      else if (character === quoteMark) quoteMark = undefined
    } else if (character === '"' || character === "'") quoteMark = character
    else if (character === '{') depth++
    else if (character === '}' && --depth === 0) return index
  }
  throw new ExpressionError("'{' without '}'; write {{ for a brace", start)
}
