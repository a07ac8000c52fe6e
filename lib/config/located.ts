/** Floor 1. The ids of entries that name a module or a package, and the types that those bring. */
import { reasonOf } from '../errors.ts'
import type { Diagnostics } from './diagnostics.ts'
import type { Category, PluginType } from './entries.ts'
import { shown, type ListNode, type ScalarNode } from './node.ts'
import { oneLine, oneOf } from './words.ts'

/** The types of a category that a module or package brings; undefined where the id names neither. Throws: it cannot be loaded. */
export type LoadTypes<Type> = (id: string) => Promise<readonly Type[] | undefined>

/** By id; null where it could not be loaded, or brings none or several: that was reported. */
export async function locateTypes<Type extends PluginType>(
  list: ListNode,
  category: Category<Type>,
  load: LoadTypes<Type>,
  diagnostics: Diagnostics,
): Promise<Map<string, Type | null>> {
  const located = new Map<string, Type | null>()
  for (const item of list.items) {
    const node = item.kind === 'map' ? item.entries.get('id')?.value : undefined
    if (node?.kind !== 'scalar' || typeof node.value !== 'string' || node.broken) continue
    if (located.has(node.value) || category.registry.get(node.value) !== undefined) continue
    const type = await locate(node, category, load, diagnostics)
    if (type !== undefined) located.set(node.value, type)
  }
  return located
}

async function locate<Type extends PluginType>(
  node: ScalarNode,
  { noun, typeNoun }: Category<Type>,
  load: LoadTypes<Type>,
  diagnostics: Diagnostics,
): Promise<Type | null | undefined> {
  try {
    const types = await load(node.text)
    if (types === undefined || types.length === 1) return types?.[0]
    const ids = types.map((type) => type.id)
    const found = ids.length === 0 ? `no ${typeNoun}` : `${ids.length} ${typeNoun}s: name ${oneOf(ids)} as the id`
    diagnostics.error(`${noun}: id: ${shown(node)} exports ${found}`, node.offset)
  } catch (error) {
    // What went wrong may quote the path.
    const reason =
      node.pieces === undefined ? oneLine(reasonOf(error)) : `${shown(node)} names a module that cannot be loaded`
    diagnostics.error(`${noun}: id: ${reason}`, node.offset)
  }
  return null
}
