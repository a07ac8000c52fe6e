/** Floor 1. The skeleton of a configuration: which sections there are, and whether their content can be known. */
import type { Diagnostics } from './diagnostics.ts'
import { shown, type ListNode, type MapNode } from './node.ts'
import { unknownKey } from './problems.ts'
import { nearest, pathWords } from './words.ts'

export function checkKeys(
  map: MapNode,
  known: readonly string[],
  path: readonly string[],
  diagnostics: Diagnostics,
): void {
  for (const { key, offset } of map.entries.values()) {
    if (!known.includes(key)) diagnostics.error(pathWords(path) + unknownKey(key, known), offset)
  }
}

/**
 * The map under a key; an empty one where nothing stands there, or only a key whose lines are commented out.
 * @param path of the map that the key is in.
 * @returns undefined where errors leave unknown what it holds: it is something else, or its key is misspelt.
 */
export function mapUnder(
  parent: MapNode,
  key: string,
  path: readonly string[],
  diagnostics: Diagnostics,
): MapNode | undefined {
  const node = parent.entries.get(key)?.value
  if (node?.kind === 'map') return node
  if (isUnknown(parent, key, 'a map', path, diagnostics)) return undefined
  return { kind: 'map', offset: parent.offset, entries: new Map() }
}

/** The list under a key, as {@link mapUnder} has it. */
export function listUnder(
  parent: MapNode,
  key: string,
  path: readonly string[],
  diagnostics: Diagnostics,
): ListNode | undefined {
  const node = parent.entries.get(key)?.value
  if (node?.kind === 'list') return node
  if (isUnknown(parent, key, 'a list', path, diagnostics)) return undefined
  return { kind: 'list', offset: parent.offset, items: [] }
}

function isUnknown(
  parent: MapNode,
  key: string,
  expected: string,
  path: readonly string[],
  diagnostics: Diagnostics,
): boolean {
  const node = parent.entries.get(key)?.value
  if (node === undefined) return [...parent.entries.keys()].some((each) => nearest(each, [key]) !== undefined)
  if (node.kind === 'scalar' && node.broken) return true
  if (node.kind === 'scalar' && node.value === null) return false
  diagnostics.error(`${pathWords([...path, key])}expected ${expected}, got ${shown(node)}`, node.offset)
  return true
}
