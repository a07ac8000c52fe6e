/** Floor 3. Whether two endpoints of Redis are at one server, as far as their options tell. */
import { DEFAULT_HOST, serverName } from '../common/url.ts'
import { parseAddress, parseUrl } from './address.ts'
import type { ServerOptions } from './options.ts'

const DEFAULT_PORT = 6379

export interface Place {
  /** Each names the server; those of two endpoints of one server have one in common. No password is in them. */
  readonly names: ReadonlySet<string>
  readonly db: number
}

/** Endpoints are compared with one another: each is read once. */
const known = new WeakMap<ServerOptions, Place>()

/** @param options that {@link checkServer} has nothing against. */
export function placeOf(options: ServerOptions): Place {
  let place = known.get(options)
  if (place === undefined) {
    place = read(options)
    known.set(options, place)
  }
  return place
}

/**
 * Whether they are at one server. A name and an address of it are two servers to this; so is a connection of the
 * application's and everything else.
 */
export function isSameServer(one: ServerOptions, other: ServerOptions): boolean {
  const { names } = placeOf(other)
  for (const name of placeOf(one).names) if (names.has(name)) return true
  return false
}

function read({ url, host, port, db = 0, connection, cluster, sentinel }: ServerOptions): Place {
  if (connection !== undefined) return { names: new Set([`connection ${connection}`]), db }
  if (cluster !== undefined) return { names: new Set(cluster.nodes.map((node) => addressOf(node, DEFAULT_PORT))), db }
  if (sentinel !== undefined) {
    return { names: new Set(sentinel.nodes.map((node) => `${sentinel.name} of ${addressOf(node, 26_379)}`)), db }
  }
  const parsed = url === undefined ? { host, port, db } : parseUrl(url)
  const name = serverName({ host: parsed.host ?? DEFAULT_HOST, port: parsed.port ?? DEFAULT_PORT })
  return { names: new Set([name]), db: parsed.db ?? db }
}

function addressOf(text: string, defaultPort: number): string {
  return serverName(parseAddress(text, defaultPort))
}
