/** Floor 3. What an endpoint's options mean together: mistakes that no schema can name, and what they make it capable of. */
import type { OptionIssue } from '../../endpoint.ts'
import { reasonOf } from '../../errors.ts'
import type { Capabilities } from '../../types.ts'
import { parseAddress, parseUrl } from './address.ts'
import { literalPrefix, matches } from './glob.ts'
import type { RedisOptions, TlsOptions } from './options.ts'
import { compileTopic } from './topic.ts'

/** Each of these says which server it is; the others say how to reach the one of url, host and port. */
const PLACES = ['connection', 'url', 'cluster', 'sentinel'] as const

/** What excludes what: `[which, what must not stand beside it, why]`. */
const EXCLUSIONS: readonly (readonly [keyof RedisOptions, readonly (keyof RedisOptions)[], string])[] = [
  [
    'connection',
    ['host', 'port', 'tls', 'username', 'password', 'db'],
    'the application has made it, with its own settings',
  ],
  ['url', ['host', 'port'], 'write them into the url'],
  ['cluster', ['host', 'port'], "write them into 'cluster: nodes'"],
  ['cluster', ['db'], 'a cluster has one database'],
  ['sentinel', ['host', 'port'], 'the sentinels know where the master is'],
  ['channels', ['channel'], "write all of them in 'channels', and where to publish in 'topic'"],
  ['patterns', ['pattern'], "write all of them in 'patterns'"],
  ['sharded', ['pattern', 'patterns'], 'sharded Pub/Sub has no patterns'],
]

/** The channels and patterns that an endpoint subscribes to. */
export function subscriptionsOf(options: RedisOptions): { channels: readonly string[]; patterns: readonly string[] } {
  const { channel, channels = channel === undefined ? [] : [channel] } = options
  const { pattern, patterns = pattern === undefined ? [] : [pattern] } = options
  return { channels, patterns }
}

/** Errors that the schema cannot say. */
export function* check(options: RedisOptions): Iterable<OptionIssue> {
  const isSet = (key: keyof RedisOptions): boolean => options[key] !== undefined && options[key] !== false
  const [first, ...others] = PLACES.filter(isSet)
  for (const other of others) yield { path: other, message: `excludes '${first}': each says which server it is` }
  for (const [key, excluded, why] of EXCLUSIONS) {
    if (!isSet(key)) continue
    for (const other of excluded.filter(isSet)) yield { path: other, message: `excludes '${key}': ${why}` }
  }
  yield* checkServer(options)
  yield* checkTopics(options)
}

function* checkServer(options: RedisOptions): Iterable<OptionIssue> {
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

function* checkUrl(url: string, { username, password, db, tls }: RedisOptions): Iterable<OptionIssue> {
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

function* checkTopics(options: RedisOptions): Iterable<OptionIssue> {
  const { channels, patterns } = subscriptionsOf(options)
  const { topic } = options
  if (channels.length + patterns.length === 0 && topic === undefined) {
    yield {
      path: '',
      message: "needs 'channel', 'channels', 'pattern' or 'patterns' to subscribe to, or 'topic' to publish to",
    }
  }
  for (const channel of channels) {
    const pattern = patterns.find((each) => matches(each, channel))
    if (pattern === undefined) continue
    const path = options.channel === undefined ? 'channels' : 'channel'
    yield { path, message: `'${channel}' is matched by '${pattern}' too: each of its messages would come in twice` }
  }
  if (topic !== undefined) yield* problemOf('topic', () => compileTopic(topic, ''))
}

function* problemOf(path: string, attempt: () => unknown): Iterable<OptionIssue> {
  try {
    attempt()
  } catch (error) {
    yield { path, message: reasonOf(error) }
  }
}

export function capabilities(options: RedisOptions): Capabilities {
  const { channels, patterns } = subscriptionsOf(options)
  const { channel, topic = channel } = options
  const isSource = channels.length + patterns.length > 0
  return {
    source: isSource ? { ack: false, pause: false, replay: false, headers: false, topics: true } : null,
    target:
      topic === undefined
        ? null
        : {
            confirm: false,
            headers: false,
            topics: options.topic !== undefined,
            echo: isSource && echoes(options, topic),
          },
  }
}

/** Whether something that is published can come in again. Where data chooses the channel, what it begins with decides. */
function echoes(options: RedisOptions, topic: string): boolean {
  const { channels, patterns } = subscriptionsOf(options)
  const brace = options.topic === undefined ? -1 : topic.search(/[{}]/)
  if (brace === -1) return channels.includes(topic) || patterns.some((pattern) => matches(pattern, topic))
  const begin = topic.slice(0, brace)
  if (channels.some((channel) => channel.startsWith(begin))) return true
  return patterns.map(literalPrefix).some((prefix) => prefix.startsWith(begin) || begin.startsWith(prefix))
}
