/** Floor 3. What the schema cannot say of an endpoint of PostgreSQL, and what follows from its options. */
import type { OptionIssue } from '../../endpoint.ts'
import type { Capabilities } from '../../types.ts'
import { checkExclusions, checkHost, type Exclusion, isSet, problemOf } from '../common/checks.ts'
import { mayGive } from '../common/template.ts'
import { checkTls } from '../common/tls.ts'
import { checkSaidOnce } from '../common/url.ts'
import { nameProblem, parseTable } from './names.ts'
import { type ColumnOptions, columnsOf, type PostgresOptions } from './options.ts'
import { isSamePlace, parseUrl, placeOf } from './place.ts'
import { compileTopic } from './writes.ts'

const EXCLUSIONS: readonly Exclusion<keyof PostgresOptions>[] = [
  ['url', ['host', 'port'], 'write them into the url'],
  ['channels', ['channel'], "write all of them in 'channels', and where to send in 'topic'"],
  ['outbox', ['channels'], 'an endpoint reads rows, or listens: declare two'],
  ['table', ['topic'], 'an endpoint inserts rows, or notifies: declare two'],
]

/** What means something beside the other alone. */
const NEEDS = [
  ['wake-channel', 'outbox'],
  ['max-pending', 'outbox'],
  ['deduplicate', 'table'],
] as const

/** The channels that an endpoint listens to. */
export function channelsOf({ channel, channels, outbox }: PostgresOptions): readonly string[] {
  if (outbox !== undefined) return []
  return channels ?? (channel === undefined ? [] : [channel])
}

/** The channel that wakes the reader of an outbox. */
export function wakeChannelOf({ outbox = '', 'wake-channel': wakeChannel = outbox }: PostgresOptions): string {
  return wakeChannel
}

/** Whether it sends by NOTIFY. */
export function notifies({ table, topic, channel }: PostgresOptions): boolean {
  return table === undefined && (topic !== undefined || channel !== undefined)
}

/** Errors that the schema cannot say. */
export function* check(options: PostgresOptions): Iterable<OptionIssue> {
  yield* checkServer(options)
  yield* checkExclusions(options, EXCLUSIONS)
  yield* checkHost(options)
  const { topic, outbox, table, create } = options
  for (const [key, other] of NEEDS) {
    if (isSet(options, key) && options[other] === undefined) yield { path: key, message: `needs '${other}' beside it` }
  }
  if (outbox === undefined && table === undefined && topic === undefined && channelsOf(options).length === 0) {
    yield { path: '', message: "needs 'channel', 'channels' or 'outbox' to read, or 'topic' or 'table' to write to" }
  }
  if (create && outbox === undefined && table === undefined) {
    yield { path: 'create', message: "makes tables: needs 'outbox' or 'table'" }
  }
  if (topic !== undefined) yield* problemOf('topic', () => compileTopic(topic, ''))
  if (options.columns !== undefined && outbox === undefined && table === undefined) {
    yield { path: 'columns', message: "are of a table: needs 'outbox' or 'table'" }
  }
  yield* checkNames(options)
}

function* checkServer(options: PostgresOptions): Iterable<OptionIssue> {
  const { url, tls } = options
  if (url !== undefined) {
    let parsed
    try {
      parsed = parseUrl(url)
    } catch (error) {
      yield* problemOf('url', () => {
        throw error
      })
      return
    }
    yield* checkSaidOnce(options, parsed, ['username', 'password', 'database'])
    if (parsed.tls !== undefined && tls !== undefined && parsed.tls !== (tls !== false)) {
      yield { path: 'tls', message: 'the url says otherwise: leave one of them out' }
    }
  }
  if (placeOf(options).username === undefined) {
    yield { path: url === undefined ? 'username' : 'url', message: 'needs a user: the role to connect as' }
  }
  yield* checkTls('tls', tls)
}

function* checkNames(options: PostgresOptions): Iterable<OptionIssue> {
  const { channel, channels = [], columns = {}, outbox, deduplicate } = options
  for (const path of ['outbox', 'table'] as const) {
    const name = options[path]
    if (name !== undefined) yield* problemOf(path, () => parseTable(name))
  }
  const names: [string, string | false | undefined][] = [
    ['channel', channel],
    ...channels.map((name): [string, string] => ['channels', name]),
    ['wake-channel', outbox === undefined ? undefined : wakeChannelOf(options)],
    ...Object.values(columns).map((name): [string, string | false] => ['columns', name]),
  ]
  for (const [path, name] of names) {
    const problem = typeof name === 'string' ? nameProblem(name) : undefined
    if (problem !== undefined) yield { path, message: problem }
  }
  const used = Object.values(columnsOf(options)).filter((name) => name !== false)
  if (new Set(used).size < used.length) yield { path: 'columns', message: 'one column is to be two things' }
  if (deduplicate && columnsOf(options)['message-id'] === false) {
    yield { path: 'deduplicate', message: "goes by 'columns: message-id', and there is to be none" }
  }
}

export function capabilities(options: PostgresOptions): Capabilities {
  const { outbox, table, topic } = options
  const columns = columnsOf(options)
  const echo = mayHear(options, options)
  const isWritten = table !== undefined || notifies(options)
  return {
    source: sourceOf(outbox !== undefined, channelsOf(options).length > 0, columns),
    target: isWritten
      ? {
          confirm: true,
          pipelined: true,
          headers: table !== undefined && columns.headers !== false,
          topics: table === undefined ? topic !== undefined : columns.topic !== false,
          echo,
          shared: true,
        }
      : null,
  }
}

function sourceOf(reads: boolean, listens: boolean, { headers }: ColumnOptions): Capabilities['source'] {
  if (reads) return { ack: true, pause: true, replay: true, headers: headers !== false, topics: true }
  return listens ? { ack: false, pause: false, replay: false, headers: false, topics: true } : null
}

/** Whether what an endpoint sends may come in at another. */
export function hears(options: PostgresOptions, sender: PostgresOptions): boolean {
  return isSamePlace(options, sender) && mayHear(options, sender)
}

/** The same for two at one database. */
function mayHear(options: PostgresOptions, sender: PostgresOptions): boolean {
  const { outbox } = options
  if (outbox !== undefined) return sender.table !== undefined && fullName(sender.table) === fullName(outbox)
  if (!notifies(sender)) return false
  const { topic, channel } = sender
  return channelsOf(options).some((each) => (topic === undefined ? each === channel : mayGive(topic, each)))
}

/** A table without a schema is in `public`, as far as one can tell from here. */
function fullName(text: string): string {
  const { schema = 'public', name } = parseTable(text)
  return JSON.stringify([schema, name])
}
