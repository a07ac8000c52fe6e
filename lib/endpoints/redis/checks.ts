/** Floor 3. Mistakes in which server an endpoint of Redis is at that no schema can name. */
import type { OptionIssue } from '../../endpoint.ts'
import { reasonOf } from '../../errors.ts'
import { parseAddress, parseUrl } from './address.ts'
import { checkExclusions, type Exclusion, isSet, problemOf } from '../common/checks.ts'
import { checkTls } from '../common/tls.ts'
import { checkSaidOnce, checkUrlTls } from '../common/url.ts'
import type { ServerOptions } from './options.ts'

/** Each of these says which server it is; the others say how to reach the one of url, host and port. */
const PLACES = ['connection', 'url', 'cluster', 'sentinel'] as const

const EXCLUSIONS: readonly Exclusion<keyof ServerOptions>[] = [
  [
    'connection',
    ['host', 'port', 'tls', 'username', 'password', 'db'],
    'the application has made it, with its own settings',
  ],
  ['url', ['host', 'port'], 'write them into the url'],
  ['cluster', ['host', 'port'], "write them into 'cluster: nodes'"],
  ['cluster', ['db'], 'a cluster has one database'],
  ['sentinel', ['host', 'port'], 'the sentinels know where the master is'],
]

/** Errors that the schema cannot say. */
export function* checkServer(options: ServerOptions): Iterable<OptionIssue> {
  const [first, ...others] = PLACES.filter((key) => isSet(options, key))
  for (const other of others) yield { path: other, message: `excludes '${first}': each says which server it is` }
  yield* checkExclusions(options, EXCLUSIONS)
  yield* checkPlace(options)
}

function* checkPlace(options: ServerOptions): Iterable<OptionIssue> {
  const { url, username, password, cluster, sentinel, tls } = options
  if (url !== undefined) yield* checkUrl(url, options)
  else if (username !== undefined && password === undefined) yield { path: 'username', message: "needs a 'password'" }
  for (const address of cluster?.nodes ?? []) yield* problemOf('cluster', () => parseAddress(address, 0))
  for (const address of sentinel?.nodes ?? []) yield* problemOf('sentinel', () => parseAddress(address, 0))
  for (const [path, natMap] of Object.entries({ cluster: cluster?.['nat-map'], sentinel: sentinel?.['nat-map'] })) {
    for (const address of Object.entries(natMap ?? {}).flat()) yield* problemOf(path, () => parseAddress(address, 0))
  }
  yield* checkTls('tls', tls)
  yield* checkTls('sentinel', sentinel?.tls)
}

function* checkUrl(url: string, options: ServerOptions): Iterable<OptionIssue> {
  const { username, password, tls } = options
  let parsed
  try {
    parsed = parseUrl(url)
  } catch (error) {
    yield { path: 'url', message: reasonOf(error) }
    return
  }
  yield* checkSaidOnce(options, parsed, ['username', 'password', 'db'])
  if ((username ?? parsed.username) !== undefined && (password ?? parsed.password) === undefined) {
    yield { path: username === undefined ? 'url' : 'username', message: "needs a 'password'" }
  }
  yield* checkUrlTls(tls, parsed.tls, ['redis://', 'rediss://'])
}
