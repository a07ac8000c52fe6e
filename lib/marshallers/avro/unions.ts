/**
 * Floor 3. Which branch of a union a value is of. A value stands for itself where that says it; else it is in a map whose
 * one key is the branch, `{ long: 5 }`, as in Avro's own JSON encoding.
 */
import type { Type, types } from 'avsc'

type Kind = 'null' | 'boolean' | 'number' | 'text' | 'bytes' | 'list' | 'map'

export interface Union {
  readonly branches: readonly Type[]
  /** Undefined where two branches are of one kind, so that values are in maps. */
  readonly byKind: ReadonlyMap<Kind, Type> | undefined
  readonly byName: ReadonlyMap<string, Type>
}

const KINDS: Readonly<Record<string, Kind>> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  'abstract:long': 'number',
  float: 'number',
  double: 'number',
  string: 'text',
  enum: 'text',
  bytes: 'bytes',
  fixed: 'bytes',
  array: 'list',
  map: 'map',
  record: 'map',
  error: 'map',
}

const unions = new WeakMap<Type, Union>()

export function isUnion(type: Type): boolean {
  return type.typeName.startsWith('union:')
}

export function unionOf(type: Type): Union {
  const known = unions.get(type)
  if (known !== undefined) return known
  const branches = (type as types.WrappedUnionType).types
  const byKind = new Map(branches.map((branch) => [KINDS[branch.typeName] as Kind, branch]))
  // A large long is text in a body.
  const isVague = byKind.has('text') && branches.some(({ typeName }) => typeName === 'abstract:long')
  const union: Union = {
    branches,
    byKind: byKind.size < branches.length || isVague ? undefined : byKind,
    byName: new Map(branches.map((branch) => [nameOf(branch), branch])),
  }
  unions.set(type, union)
  return union
}

/** What stands for the branch in a map. */
export function nameOf(branch: Type): string {
  return branch.typeName === 'abstract:long' ? 'long' : (branch.branchName ?? branch.typeName)
}

/** @returns the branch, and the value in it. @throws Error where it is of none. */
export function branchFor(union: Union, value: unknown, path: string): { branch: Type; value: unknown } {
  const { byKind, byName } = union
  if (byKind === undefined && value !== null) {
    const [name, ...more] = typeof value === 'object' ? Object.keys(value) : []
    const branch = name === undefined || more.length > 0 ? undefined : byName.get(name)
    if (branch === undefined) {
      throw new Error(`${path} must say its branch, as in { ${[...byName.keys()].find((each) => each !== 'null')}: … }`)
    }
    return { branch, value: (value as Record<string, unknown>)[name as string] }
  }
  const branch =
    value === null
      ? byName.get('null')
      : kindsFor(value)
          .map((kind) => byKind?.get(kind))
          .find(Boolean)
  if (branch === undefined) throw new Error(`${path} is none of ${[...byName.keys()].join(', ')}`)
  return { branch, value }
}

/** The first that there is. */
function kindsFor(value: unknown): Kind[] {
  switch (typeof value) {
    case 'boolean':
      return ['boolean']
    case 'number':
      return ['number']
    case 'string':
      return ['text', 'number', 'bytes']
    default:
      if (Array.isArray(value)) return ['list']
      return value instanceof Uint8Array ? ['bytes'] : ['map']
  }
}
