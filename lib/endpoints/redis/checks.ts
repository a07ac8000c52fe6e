/** Floor 3. Mistakes in which server an endpoint of Redis is at that no schema can name. */
import type { OptionIssue } from '../../endpoint.ts'
import { reasonOf } from '../../errors.ts'
import { parseAddress, parseUrl } from './address.ts'
import type { ServerOptions, TlsOptions } from './options.ts'

/** Each of these says which server it is; the others say how to reach the one of url, host and port. */
const PLACES = ['connection', 'url', 'cluster', 'sentinel'] as const

/** `[which, what must not stand beside it, why]` */
export type Exclusion<Key> = readonly [Key, readonly Key[], string]

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

/** What must not stand beside what. */
export function* checkExclusions<Options extends object>(
  options: Options,
  exclusions: readonly Exclusion<keyof Options & string>[],
): Iterable<OptionIssue> {
  for (const [key, excluded, why] of exclusions) {
    if (!isSet(options, key)) continue
    for (const path of excluded) {
      if (isSet(options, path)) yield { path, message: `excludes '${key}': ${why}` }
    }
  }
}

function isSet<Options extends object>(options: Options, key: keyof Options): boolean {
  return options[key] !== undefined && options[key] !== false
}

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

function* checkUrl(url: string, { username, password, db, tls }: ServerOptions): Iterable<OptionIssue> {
  let parsed
  try {
    parsed = parseUrl(url)
  } catch (error) {
    yield { path: 'url', message: reasonOf(error) }
    return
  }
  for (const [key, value] of Object.entries({ username, password, db })) {
    const isTwice = value !== undefined && parsed[key as 'username' | 'password' | 'db'] !== undefined
    if (isTwice) yield { path: key, message: `stands in the url already: leave one of them out` }
  }
  if ((username ?? parsed.username) !== undefined && (password ?? parsed.password) === undefined) {
    yield { path: username === undefined ? 'url' : 'username', message: "needs a 'password'" }
  }
  if (parsed.tls && tls === false) yield { path: 'tls', message: 'the url says TLS: write redis:// to go without' }
  if (!parsed.tls && tls !== undefined && tls !== false) {
    yield { path: 'tls', message: 'the url says no TLS: write rediss://' }
  }
}

function* checkTls(path: string, tls: boolean | TlsOptions | undefined): Iterable<OptionIssue> {
  if (typeof tls !== 'object' || (tls.cert === undefined) === (tls.key === undefined)) return
  const [there, missing] = tls.cert === undefined ? ['key', 'cert'] : ['cert', 'key']
  yield { path, message: `'${there}' needs '${missing}' beside it` }
}

/** What is wrong with an option, where its reader throws. */
export function* problemOf(path: string, attempt: () => unknown): Iterable<OptionIssue> {
  try {
    attempt()
  } catch (error) {
    yield { path, message: reasonOf(error) }
  }
}
