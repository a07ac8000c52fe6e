/**
 * Floor 1. `${VAR}`, `${VAR:-default}` and `${file:path}` in the scalars of a configuration. It runs on the tree, after
 * parsing, so that no value can add to the structure. `$${` is a literal `${`.
 *
 * As in a shell, `:-` gives its default where the variable is unset or empty.
 */
import { isAbsolute, join } from 'node:path'
import type { Diagnostics } from './diagnostics.ts'
import { readTextFile, UnreadableError } from './file.ts'
import type { ConfigNode, Piece, ScalarNode } from './node.ts'
import { pathWords, quote } from './words.ts'
import { readPlain } from './yaml.ts'

/** Bytes of a `${file:…}`: a chain of certificates fits. */
const MAX_FILE = 64 * 1024
const OPENING = /\$?\$\{/g
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]{0,99})(?::-(.*))?$/s

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  /** Absolute; what `${file:…}` is relative to. */
  readonly directory: string
}

/** Replaces what the tree's scalars hold. What cannot be had is an error, and its scalar `broken`. */
export async function interpolate(
  root: ConfigNode,
  surroundings: Surroundings,
  diagnostics: Diagnostics,
): Promise<void> {
  const files = new Map<string, Promise<string>>()
  for (const [node, path] of scalarsIn(root)) {
    if (typeof node.value !== 'string' || !node.text.includes('${')) continue
    const where = node.offset === undefined ? pathWords(path) : ''
    try {
      node.pieces = await piecesOf(node.text, surroundings, files)
    } catch (error) {
      if (!(error instanceof InterpolationError)) throw error
      node.broken = true
      diagnostics.error(
        where + error.message,
        node.textOffset === undefined ? node.offset : node.textOffset + error.index,
      )
      continue
    }
    replace(node, node.pieces.map((piece) => piece.text).join(''))
  }
}

/** An interpolated scalar's type follows from its new text if it stood unquoted. */
function replace(node: ScalarNode, text: string): void {
  node.text = text
  node.textOffset = undefined
  const typed = readPlain(text)
  node.value = node.plain ? typed : text
  if (node.pieces?.every((piece) => piece.variable === undefined) === true) node.pieces = undefined
  else if (typeof typed !== 'string') node.alternative = node.plain ? text : typed
}

class InterpolationError extends Error {
  readonly index: number

  constructor(message: string, index: number) {
    super(message)
    this.index = index
  }
}

async function piecesOf(
  text: string,
  { env, directory }: Surroundings,
  files: Map<string, Promise<string>>,
): Promise<Piece[]> {
  const pieces: Piece[] = []
  const literal = (part: string): void => {
    if (part !== '') pieces.push({ text: part, variable: undefined, secret: false })
  }
  let end = 0
  for (const { 0: opening, index } of text.matchAll(OPENING)) {
    if (index < end) continue
    literal(text.slice(end, index))
    end = index + opening.length
    if (opening === '$${') {
      literal('${')
      continue
    }
    const close = text.indexOf('}', end)
    if (close < 0) throw new InterpolationError(`'\${' without '}': write $\${ for a literal \${`, index)
    const inner = text.slice(end, close)
    end = close + 1
    if (inner.startsWith('file:')) pieces.push(await filePiece(inner.slice('file:'.length), directory, files, index))
    else pieces.push(variablePiece(inner, env, index))
  }
  literal(text.slice(end))
  return pieces
}

function variablePiece(inner: string, env: NodeJS.ProcessEnv, index: number): Piece {
  const [, name, fallback] = VARIABLE.exec(inner) ?? []
  if (name === undefined || fallback?.includes('${') === true) {
    const what = `${quote(`\${${inner}}`)} is none of \${VAR}, \${VAR:-default} and \${file:path}`
    throw new InterpolationError(`${what}; write $\${ for a literal \${`, index)
  }
  const variable = `\${${name}}`
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (value !== undefined && (value !== '' || fallback === undefined)) return { text: value, variable, secret: true }
  if (fallback !== undefined) return { text: fallback, variable, secret: false }
  const advice = `set it, or give a default: \${${name}:-…}`
  throw new InterpolationError(`the environment variable ${quote(name)} is not set; ${advice}`, index)
}

async function filePiece(
  path: string,
  directory: string,
  files: Map<string, Promise<string>>,
  index: number,
): Promise<Piece> {
  const absolute = isAbsolute(path) ? path : join(directory, path)
  let reading = files.get(absolute)
  if (reading === undefined) files.set(absolute, (reading = readTextFile(absolute, MAX_FILE)))
  try {
    const text = await reading
    return { text: text.replace(/\r?\n$/, ''), variable: `\${file:${quote(path).slice(1, -1)}}`, secret: true }
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error
    throw new InterpolationError(`the file ${quote(path)} cannot be read: ${error.message}`, index)
  }
}

/** Every scalar once, however many aliases lead to it, with the first path to it. */
function* scalarsIn(
  node: ConfigNode,
  path: readonly string[] = [],
  seen = new Set<ConfigNode>(),
): Generator<[ScalarNode, readonly string[]]> {
  if (seen.has(node)) return
  seen.add(node)
  if (node.kind === 'scalar') yield [node, path]
  else if (node.kind === 'list') {
    for (const [index, item] of node.items.entries()) yield* scalarsIn(item, [...path, `item ${index + 1}`], seen)
  } else {
    for (const { key, value } of node.entries.values()) yield* scalarsIn(value, [...path, key], seen)
  }
}

/** The values under a node that came from the environment or a file. */
export function secretsIn(node: ConfigNode, secrets: Set<string>): void {
  for (const [{ pieces = [] }] of scalarsIn(node)) {
    for (const { secret, text } of pieces) if (secret && text !== '') secrets.add(text)
  }
}
