/** Floor 3. What all ioredis clients of the relay have in common. */
import type { Cluster, ClusterOptions, Redis, RedisOptions } from 'ioredis'
import { DISCONNECT_TIMEOUT, serverConnector } from './connector.ts'

export type Client = Redis | Cluster

/** What a client is for: subscribing needs a connection of its own, and so does a read that waits. */
export type Role = 'publisher' | 'subscriber' | 'writer' | 'reader'

/** A client, and what belongs to it. */
export interface OpenedClient {
  readonly client: Client
  /** Whether it is connected and ended with the connection. The application's own is neither. */
  readonly owned: boolean
  /** Asks the server whether it is there. Resolves with its answer; rejects with an error reply, or when it is not. */
  probe(): Promise<unknown>
  /** The error behind one that says little. */
  explain?(error: Error): Error
}

/** Makes a client; not connected yet, where it is owned. */
export type OpenClient = (role: Role, signal: AbortSignal) => OpenedClient | Promise<OpenedClient>

export const DEFAULT_PORT = 6379

const never = (): null => null

/** For a node of a cluster. */
export const NODE = {
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: false,
  // Pub/Sub works while a server loads its data; and the check asks for INFO, which the user may not be allowed.
  enableReadyCheck: false,
  maxRetriesPerRequest: null,
  reconnectOnError: null,
  // TCP and TLS must be through by then (milliseconds).
  connectTimeout: 8_000,
  disconnectTimeout: DISCONNECT_TIMEOUT,
  Connector: serverConnector(),
  keyPrefix: '',
  // The application may have chosen otherwise for the client that this is a duplicate of.
  replyMapping: 'legacy',
  stringNumbers: false,
} satisfies RedisOptions

/** For a server: nothing is queued, and nothing is tried twice. */
export const ONCE = {
  ...NODE,
  lazyConnect: true,
  enableOfflineQueue: false,
  retryStrategy: never,
  sentinelRetryStrategy: never,
} satisfies RedisOptions

/** For a cluster. Its nodes queue what is sent while they are being connected to: that is bounded by what is in flight. */
export const CLUSTER_ONCE = {
  lazyConnect: true,
  clusterRetryStrategy: never,
  // What a lost connection had in flight may have been published: it must not be published again.
  retryDelayOnFailover: 0,
  enableAutoPipelining: false,
  keyPrefix: '',
} satisfies ClusterOptions

/** The name that `CLIENT LIST` shows. */
export function connectionName(role: Role): string {
  return `araldo-${role}`
}

/** What Redis says of a command that it does not know, its arguments among it: a password, a payload. */
const ARGUMENTS = /, with args beginning with:.*$/s

/** Why a client failed, without what may be secret: ioredis hangs the command's arguments onto its errors. */
export function plainError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  const nodeError = 'lastNodeError' in error && error.lastNodeError instanceof Error ? error.lastNodeError : undefined
  if (nodeError !== undefined) return plainError(nodeError)
  if (error instanceof AggregateError && error.message === '') {
    return new Error(error.errors.map((each) => plainError(each).message).join('; '))
  }
  return new Error(error.message === '' ? error.name : error.message.replace(ARGUMENTS, ''))
}

/** Whether the server answered with an error, rather than not at all. */
export function isErrorReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}
