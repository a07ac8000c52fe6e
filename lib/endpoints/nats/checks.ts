/** Floor 3. Mistakes in which server an endpoint of NATS is at that no schema can name; and whether two are at one. */
import type { OptionIssue } from '../../endpoint.ts'
import { reasonOf } from '../../errors.ts'
import { checkExclusions, type Exclusion } from '../common/checks.ts'
import { checkTls } from '../common/tls.ts'
import { serverName } from '../common/url.ts'
import { type Address, parseAddress } from './address.ts'
import type { ServerOptions } from './options.ts'

const DEFAULT_SERVER = 'nats://127.0.0.1:4222'

const ONE_WAY = 'there is one way to log in'
const EXCLUSIONS: readonly Exclusion<keyof ServerOptions>[] = [
  ['servers', ['url'], "write all of them in 'servers'"],
  ['username', ['token', 'creds', 'nkey', 'jwt'], ONE_WAY],
  ['token', ['creds', 'nkey', 'jwt'], ONE_WAY],
  ['creds', ['nkey', 'jwt'], 'it holds both'],
]

/** The servers of an endpoint, in the order in which they are written. */
export function serversOf({ url = DEFAULT_SERVER, servers = [url] }: ServerOptions): Address[] {
  return servers.map(parseAddress)
}

/** Errors that the schema cannot say. */
export function* checkServer(options: ServerOptions): Iterable<OptionIssue> {
  yield* checkExclusions(options, EXCLUSIONS)
  const { username, password, nkey, jwt, tls, token, creds } = options
  if ((username === undefined) !== (password === undefined)) {
    const [there, missing] = username === undefined ? ['password', 'username'] : ['username', 'password']
    yield { path: there, message: `needs '${missing}' beside it` }
  }
  if (jwt !== undefined && nkey === undefined) yield { path: 'jwt', message: "needs 'nkey', its seed, beside it" }
  const path = options.servers === undefined ? 'url' : 'servers'
  let addresses: Address[]
  try {
    addresses = serversOf(options)
  } catch (error) {
    yield { path, message: reasonOf(error) }
    return
  }
  const logsIn = [username, token, creds, nkey].some((value) => value !== undefined)
  if (logsIn && addresses.some((address) => address.username !== undefined || address.token !== undefined)) {
    yield { path, message: 'says who to log in as, and so do the options beside it: leave one of them out' }
  }
  if (tls === false && addresses.some((address) => address.tls)) {
    yield { path: 'tls', message: 'the url says TLS: write nats:// to go without' }
  }
  yield* checkTls('tls', tls)
}

/** Endpoints are compared with one another: each is read once. */
const known = new WeakMap<ServerOptions, ReadonlySet<string>>()

/** Whether two endpoints name one server. A name and an address of it are two servers to this; so are two of a cluster. */
export function isSameServer(one: ServerOptions, other: ServerOptions): boolean {
  const names = namesOf(other)
  for (const name of namesOf(one)) if (names.has(name)) return true
  return false
}

function namesOf(options: ServerOptions): ReadonlySet<string> {
  let names = known.get(options)
  if (names === undefined) {
    names = new Set(serversOf(options).map(serverName))
    known.set(options, names)
  }
  return names
}
