/** Floor 3. Finds a message type in a .proto file and in what that imports. */
import { dirname, relative, resolve, sep } from 'node:path'
import { existsSync } from 'node:fs'
import protobuf from 'protobufjs'
import { nearest } from '../../config/words.ts'
import { loading } from '../common/file.ts'
import type { ProtobufOptions } from './options.ts'

const ID = 'marshal-protobuf'
/** Names of messages that an error lists. */
const MAX_LISTED = 20

/**
 * @returns the type, everything that it refers to resolved.
 * @throws ARALDO_ERR_CONFIG where a file cannot be read or understood, lies elsewhere, or has no such message.
 */
export function loadType({ file, message }: ProtobufOptions, directory: string): protobuf.Type {
  const path = resolve(directory, file)
  const folder = dirname(path)
  const root = new protobuf.Root()
  root.resolvePath = (origin, target) => (origin === '' ? target : importPath(folder, origin, target))
  loading(ID, `file '${file}'`, () => root.loadSync(path, { keepCase: true }))
  return loading(ID, `message '${message}'`, () => lookup(root, message))
}

/** Beside the file that imports it, or from the folder of the first one, as protoc would with that as its `-I`. */
function importPath(folder: string, origin: string, target: string): string {
  const candidates = [resolve(folder, target), resolve(dirname(origin), target)]
  const within = candidates.filter((path) => !relative(folder, path).startsWith(`..${sep}`))
  const found = within.find((path) => existsSync(path))
  if (found !== undefined) return found
  const why = within.length === 0 ? 'is outside of its folder' : 'is not in its folder'
  throw new Error(`it imports '${target}', which ${why}; put the file beside it`)
}

function lookup(root: protobuf.Root, name: string): protobuf.Type {
  const wanted = name.replace(/^\./, '')
  const types = [...typesIn(root)]
  const found = types.find((type) => type.fullName === `.${wanted}`)
  if (found !== undefined) return found
  const names = types.map((type) => type.fullName.slice(1))
  const near = nearest(wanted, names)
  const list = names.length === 0 ? 'it has none' : `it has ${names.slice(0, MAX_LISTED).join(', ')}`
  throw new Error(`the file has no such message; ${near === undefined ? list : `did you mean '${near}'?`}`)
}

function* typesIn(space: protobuf.NamespaceBase): Iterable<protobuf.Type> {
  for (const each of space.nestedArray) {
    if (each instanceof protobuf.Type) yield each
    if (each instanceof protobuf.Namespace) yield* typesIn(each)
  }
}
