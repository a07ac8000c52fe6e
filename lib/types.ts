/**
 * Floor 0. The words that every other file speaks: states, capabilities, headers, settling.
 * Nothing here runs; nothing here imports from the project.
 */
import type { SchemaObject } from 'ajv'

/** A JSON Schema (draft 7) as Ajv compiles it, with the project's `unit` keyword allowed. */
export type JsonSchema = SchemaObject

/** Message headers: text to text. Never mutated once a message carries them. */
export type Headers = Readonly<Record<string, string>>

/**
 * An endpoint's states, in the order in which they are usually walked through.
 * `closed` is final; between `connecting`, `up` and `down` an endpoint goes round for as long as it lives.
 */
export type EndpointState = 'connecting' | 'up' | 'down' | 'closing' | 'closed'

/** What an endpoint can do where messages come from. The router plans from this alone. */
export interface SourceCapabilities {
  /** It can tell its peer what became of a message (acknowledge, reject). */
  readonly ack: boolean
  /** It can stop fetching for a while without losing messages. */
  readonly pause: boolean
  /** Its peer sends again what was not acknowledged. */
  readonly replay: boolean
  /** Its messages carry headers of their own. */
  readonly headers: boolean
  /** Its messages say which topic they came from. */
  readonly topics: boolean
}

/** What an endpoint can do where messages go to. */
export interface TargetCapabilities {
  /** Its peer confirms what it took: `send` is given a `settle` to call. */
  readonly confirm: boolean
  /**
   * What is sent over one link arrives in the order in which it was sent, so that messages without a key need not wait
   * for the confirmation of those before them.
   */
  readonly pipelined?: boolean
  /** Headers reach the peer. */
  readonly headers: boolean
  /** A message's topic decides where in the endpoint it goes. */
  readonly topics: boolean
  /** What it sends can come back in at its own source. */
  readonly echo: boolean
  /** It is a broker's: other endpoints, and other relays, may hear what it sends. */
  readonly shared?: boolean
  /** It sends to clients of its own, and disconnects those that read too slowly. */
  readonly clients?: boolean
}

/** Both ends of an endpoint; `null` for an end that it does not have. */
export interface Capabilities {
  readonly source: SourceCapabilities | null
  readonly target: TargetCapabilities | null
}

/**
 * Tells a source what became of its message: `null` for acknowledged, an error for rejected.
 * An error whose `retryable` is false says that it is no use to send the message again: the source lets go of it.
 * Called once per message; later calls are ignored. Must not throw.
 */
export type Settle = (error: Error | null) => void

/** Why a lane dropped a message. A fixed set, so that metrics stay bounded. */
export const DROP_REASONS = ['down', 'overflow', 'invalid', 'failed', 'expired', 'lost', 'closing'] as const

/**
 * - `down`: the link to the target broke while the target had it: it arrived or did not, and at most once means once.
 * - `overflow`: a bound was reached.
 * - `invalid`: a permanent error: trying again cannot help (undecodable, too large, bad topic, failed expression).
 * - `failed`: the target refused it as often as it was to be tried.
 * - `expired`: it was older than the lane's `expire` allows.
 * - `lost`: the disk of a durable buffer has lost it.
 * - `closing`: the relay was shutting down.
 */
export type DropReason = (typeof DROP_REASONS)[number]

export const LOG_LEVELS = ['debug', 'info', 'warning', 'error', 'fatal'] as const
/** The manual's log levels; `warning` is pino's `warn`. */
export type LogLevel = (typeof LOG_LEVELS)[number]

/** What the logger (pino) calls a level. */
export function loggerLevel(level: LogLevel): string {
  return level === 'warning' ? 'warn' : level
}
