/** A relay from one stream to others, as most fault tests have it. */
import type { ConfigObject } from '../../../lib/plugin.ts'
import { configOf } from '../../support/relay.ts'
import { GROUP } from './redis.ts'

export const STREAM_TYPE = 'endpoint-redis-stream'

/** The stream that the tests write to, and the endpoint that reads it. */
export const SOURCE = 'in'

export interface StreamsOptions {
  /** Of the server that the source is on. */
  readonly from: string
  /** URLs of servers, by the name of the target on them: endpoint and stream are called so. */
  readonly to: Readonly<Record<string, string>>
  /** The long form of the lanes to targets that need it. */
  readonly lanes?: Readonly<Record<string, object>>
  /** URLs of servers that are no lanes' targets: dead letters. */
  readonly beside?: Readonly<Record<string, string>>
  readonly global?: object
  /** Options of every endpoint. */
  readonly options?: object
}

export function streams({ from, to, lanes = {}, beside = {}, global, options }: StreamsOptions): ConfigObject {
  const targets = Object.entries({ ...to, ...beside }).map(
    ([name, url]) => [name, { id: STREAM_TYPE, url, stream: name, ...options }] as const,
  )
  const source = { id: STREAM_TYPE, url: from, stream: SOURCE, group: GROUP, consumer: 'relay', ...options }
  const route = Object.keys(to).map((name) => Object.assign({ to: name }, lanes[name]))
  return configOf({ [SOURCE]: source, ...Object.fromEntries(targets) }, { [SOURCE]: route }, global)
}
