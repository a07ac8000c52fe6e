/**
 * Floor 1. A configuration as a tree that remembers where each part of it stood. YAML text and objects both become
 * this; everything after it reads this alone, so that both load alike.
 */
import { quote } from './words.ts'

export type Scalar = string | number | boolean | null

/** A piece of a scalar's text: as it was written, or what a variable or file gave. */
export interface Piece {
  readonly text: string
  /** `${REDIS_URL}`, for messages; undefined for text as it was written. */
  readonly variable: string | undefined
  /** Came from the environment or a file: never to be shown. A default of the config's own is no secret. */
  readonly secret: boolean
}

export interface ScalarNode {
  readonly kind: 'scalar'
  /** Where it starts in the text; undefined in an object. */
  readonly offset: number | undefined
  /** As YAML's core schema reads it; text, where it was quoted. */
  value: Scalar
  /** As text, whatever its type. */
  text: string
  /** Not quoted, so that its type follows from its text. */
  readonly plain: boolean
  /** Where its text starts, if each of its characters stands in the source as it is: so that one can be pointed at. */
  textOffset: number | undefined
  /** What it was put together from; undefined where it holds no variable. */
  pieces: readonly Piece[] | undefined
  /**
   * The other way to read what a variable gave: text, where it looks like a number, or true or false; and these, where
   * it was quoted. Used where the value itself is not what is wanted there.
   */
  alternative: Scalar | undefined
  /** An error was reported for it: what it holds means nothing, and no more errors are due for it. */
  broken: boolean
}

export interface ListNode {
  readonly kind: 'list'
  readonly offset: number | undefined
  readonly items: ConfigNode[]
}

export interface MapEntry {
  readonly key: string
  readonly offset: number | undefined
  readonly value: ConfigNode
}

export interface MapNode {
  readonly kind: 'map'
  readonly offset: number | undefined
  /** By key, in the order of the file. */
  readonly entries: Map<string, MapEntry>
}

export type ConfigNode = ScalarNode | ListNode | MapNode

/** Levels of lists and maps; a config needs 7. */
export const MAX_DEPTH = 100
/** Values in all, aliases counted for what they stand for. */
export const MAX_NODES = 100_000

/** Keys that mean something else to JavaScript; refused wherever they stand. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

export function isForbiddenKey(key: string): boolean {
  return FORBIDDEN_KEYS.has(key)
}

/** A scalar without pieces. */
export function scalar(value: Scalar, text: string, init: Partial<ScalarNode> = {}): ScalarNode {
  return {
    kind: 'scalar',
    offset: undefined,
    value,
    text,
    plain: true,
    textOffset: undefined,
    pieces: undefined,
    alternative: undefined,
    broken: false,
    ...init,
  }
}

/** What stood there, for "got …": never the value of a variable. */
export function shown(node: ConfigNode): string {
  if (node.kind !== 'scalar') return node.kind === 'list' ? 'a list' : 'a map'
  if (node.pieces !== undefined) return `the value of ${variablesOf(node)}`
  if (node.value === null) return 'nothing'
  return typeof node.value === 'string' ? quote(node.value) : node.text
}

/** The scalar as it was written, variables by their names: what may be shown of it. */
export function writtenText(node: ScalarNode): string {
  if (node.pieces === undefined) return node.text
  return node.pieces.map((piece) => piece.variable ?? piece.text).join('')
}

export function variablesOf(node: ScalarNode): string {
  return [...new Set((node.pieces ?? []).flatMap(({ variable }) => variable ?? []))].join(' and ')
}

export function booleanOf(node: ConfigNode): boolean | undefined {
  if (node.kind !== 'scalar') return undefined
  return [node.value, node.alternative].find((value) => typeof value === 'boolean')
}

/** The node's value as plain data. @param alternatives scalars to read the other way. */
export function toValue(node: ConfigNode, alternatives?: ReadonlySet<ConfigNode>): unknown {
  if (node.kind === 'scalar') return alternatives?.has(node) === true ? node.alternative : node.value
  if (node.kind === 'list') return node.items.map((item) => toValue(item, alternatives))
  const value: Record<string, unknown> = {}
  // Forbidden keys are not in the tree, so that this can set no prototype.
  for (const entry of node.entries.values()) value[entry.key] = toValue(entry.value, alternatives)
  return value
}
