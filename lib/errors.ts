/**
 * Floor 0. The one catalogue of errors that users can meet. Each has a code, a message that says what to do, and
 * `retryable` as data: the relay decides by that field, never by an error's text.
 *
 * `docs/errors.md` lists every code; a test keeps the two together.
 */
import createError from '@fastify/error'
import { DROP_REASONS, type DropReason } from './types.ts'

/** What every error of araldo looks like. `statusCode` is what an HTTP caller is answered with. */
export interface AraldoError extends Error {
  readonly code: AraldoErrorCode
  readonly statusCode: number
  /** Whether the same message may succeed when it is tried again. */
  readonly retryable: boolean
  /** What a lane counts a message under when it was dropped for this error. */
  readonly dropReason: DropReason
}

/** `new errors.X(...values for the message's %s, { cause }?)` */
export type AraldoErrorConstructor = new (...values: (string | number | { cause: unknown })[]) => AraldoError

interface Definition {
  readonly message: string
  readonly retryable?: boolean
  readonly statusCode?: number
  /** `failed` for a retryable error and `invalid` for a permanent one, if left out. */
  readonly dropReason?: DropReason
}

const definitions = {
  // Configuration
  CONFIG: { message: '%s' },
  TYPE_DUPLICATE: { message: "two plugins claim the id '%s': one from %s, one from %s; remove one of them" },
  TYPE_UNLOADABLE: { message: 'no types could be loaded from %s: %s' },
  TYPE_INVALID: { message: '%s is no endpoint type and no marshaller: %s' },
  // Life of an endpoint
  ENDPOINT_REQUIRED: { message: "endpoint '%s' is required and did not come up: %s", retryable: true },
  ENDPOINT_DOWN: { message: "endpoint '%s' is down: %s", retryable: true, statusCode: 503, dropReason: 'down' },
  CONNECT_TIMEOUT: { message: "endpoint '%s' got no connection within %s ms", retryable: true },
  CONNECTION_LOST: {
    message: "endpoint '%s' lost its connection",
    retryable: true,
    statusCode: 503,
    dropReason: 'down',
  },
  CLOSING: { message: 'the relay is shutting down', retryable: true, statusCode: 503, dropReason: 'closing' },
  // A message on its way
  UNDECODABLE: { message: "%s could not decode the payload of message '%s'", statusCode: 422 },
  UNENCODABLE: { message: "%s could not encode the body of message '%s'", statusCode: 422 },
  FRAME_INVALID: { message: "a client of '%s' sent what is no frame of araldo.v1: %s", statusCode: 400 },
  TOO_LARGE: { message: "endpoint '%s' takes at most %s bytes a message, this one has %s", statusCode: 413 },
  HEADER_INVALID: { message: "endpoint '%s' cannot send a header of this message: %s", statusCode: 422 },
  TOPIC_INVALID: { message: "endpoint '%s' cannot send to this topic: %s", statusCode: 422 },
  REFUSED: { message: "endpoint '%s' cannot take message '%s': %s", statusCode: 422 },
  EXPRESSION_FAILED: { message: "'%s' failed for message '%s': %s", statusCode: 422 },
  MODULE_FAILED: { message: "%s failed for message '%s': %s", statusCode: 422 },
  MODULE_UNREADY: { message: "%s could not yet take message '%s': %s", retryable: true, statusCode: 503 },
  MODULE_TIMEOUT: {
    message: "%s took more than %s ms for message '%s': let it give up by itself when its signal aborts",
    retryable: true,
    statusCode: 503,
  },
  EXPIRED: { message: "message '%s' is more than %s ms old", statusCode: 410, dropReason: 'expired' },
  OVERFLOW: {
    message: "the lane to '%s' is full: %s messages wait",
    retryable: true,
    statusCode: 503,
    dropReason: 'overflow',
  },
  SEND_FAILED: { message: "endpoint '%s' could not send: %s", retryable: true, statusCode: 503 },
  TOO_MANY_HOPS: {
    message: "message '%s' has been delivered by relays %s times, as often as it may: it goes round",
    statusCode: 508,
  },
  GIVEN_UP: { message: "the lane to '%s' gave the message up: %s", statusCode: 503, dropReason: 'failed' },
  UNDELIVERED: { message: "message '%s' did not reach every target of '%s': %s", retryable: true, statusCode: 503 },
  UNDELIVERABLE: { message: "message '%s' cannot reach every target of '%s': %s", statusCode: 422 },
  FEEDBACK: {
    message:
      "the targets of '%s' answer one message with %s others at once: let no target feed its own source without end",
    statusCode: 508,
    dropReason: 'overflow',
  },
  NOT_TEXT: {
    message: "endpoint '%s' sends text, message '%s' is not UTF-8: give it a binary marshaller",
    statusCode: 422,
  },
  // A durable outbox
  JOURNAL_UNUSABLE: { message: "the journal in '%s' cannot be opened: %s", retryable: true },
  JOURNAL_LOCKED: {
    message: "the journal in '%s' is in use by %s: end that one, or give this one another path",
    retryable: true,
  },
  JOURNAL_FULL: {
    message: "the journal in '%s' is full: %s",
    retryable: true,
    statusCode: 503,
    dropReason: 'overflow',
  },
  JOURNAL_TOO_LARGE: {
    message: "the journal in '%s' takes at most %s bytes a message, this one has %s",
    statusCode: 413,
  },
  JOURNAL_FAILED: { message: "the journal in '%s' cannot be written: %s", retryable: true, statusCode: 503 },
  JOURNAL_UNREADABLE: { message: "the journal in '%s' cannot be read: %s", retryable: true, statusCode: 503 },
  // A browser that wants to connect
  UPGRADE_REQUIRED: { message: "endpoint '%s' is a WebSocket: connect with ws:// or wss://", statusCode: 426 },
  ORIGIN_REFUSED: { message: "endpoint '%s' admits no page of %s: add it to its origins", statusCode: 403 },
  PATH_REFUSED: { message: "endpoint '%s' takes no path with an encoded slash in it", statusCode: 400 },
  ENDPOINT_FULL: { message: "endpoint '%s' has %s connections, as many as it takes", retryable: true, statusCode: 503 },
  SUBPROTOCOL_REQUIRED: {
    message: "endpoint '%s' admits only clients that ask for the subprotocol araldo.v1",
    statusCode: 400,
  },
  // Requests that come in, and that go out
  REQUEST_INVALID: { message: "endpoint '%s' cannot take this request: %s", statusCode: 400 },
  SIGNATURE_INVALID: { message: "endpoint '%s' cannot verify this request: %s", statusCode: 401 },
  MEDIA_TYPE_REFUSED: { message: "endpoint '%s' does not take this content type; it takes %s", statusCode: 415 },
  BATCH_TOO_LONG: { message: "endpoint '%s' takes at most %s messages a request", statusCode: 413 },
  SOURCE_BUSY: { message: "endpoint '%s' takes nothing more in for now: %s", retryable: true, statusCode: 503 },
  UNSETTLED: {
    message:
      "endpoint '%s' waited %s ms for the targets, which may have the message yet: send it again with the same id",
    retryable: true,
    statusCode: 504,
  },
  UNANSWERED: {
    message: "endpoint '%s' sent a request, and got no answer: %s",
    retryable: true,
    statusCode: 504,
    dropReason: 'down',
  },
  RECEIVER_REFUSED: { message: "the receiver of endpoint '%s' refused the message: it answered %s", statusCode: 422 },
  // The application's calls
  UNKNOWN_ENDPOINT: { message: "no endpoint is named '%s'; there are %s", statusCode: 404 },
  NOT_A_SOURCE: { message: "endpoint '%s' has no route: nothing that is published there would go anywhere" },
  NOT_AN_APP: { message: "endpoint '%s' is of type %s: only an endpoint-app can be subscribed to" },
  RELOADING: { message: 'a reload is under way: call again when it has ended', retryable: true, statusCode: 409 },
  RELOAD_REFUSED: { message: 'the reload was refused and nothing has changed: %s', statusCode: 409 },
  LIMIT_INVALID: { message: "the option 'limit' of subscribe is a whole number of messages, at least 1; got %s" },
  NOT_A_TARGET: { message: "endpoint '%s' of type %s cannot be sent to" },
  // What shows the relay
  METRICS_CONFLICT: { message: 'the prom-client registry has %s already: set the option %s to something else' },
  CONSOLE_FORBIDDEN: { message: 'the console does not answer here: %s', statusCode: 403 },
  CONSOLE_FULL: {
    message: 'the console has %s viewers, as many as it takes: close one',
    retryable: true,
    statusCode: 429,
  },
} satisfies Record<string, Definition>

/** A key of {@link errors}: the code without its prefix. */
export type AraldoErrorName = keyof typeof definitions
export type AraldoErrorCode = `ARALDO_ERR_${AraldoErrorName}`

function define(name: string, definition: Definition): AraldoErrorConstructor {
  const { message, retryable = false, statusCode = 500 } = definition
  const { dropReason = retryable ? 'failed' : 'invalid' } = definition
  const constructor = createError(`ARALDO_ERR_${name}`, message, statusCode)
  Object.defineProperties(constructor.prototype, {
    retryable: { value: retryable, enumerable: true },
    dropReason: { value: dropReason, enumerable: true },
  })
  return constructor as unknown as AraldoErrorConstructor
}

/** The catalogue: `throw new errors.ENDPOINT_DOWN(name, reason, { cause })`. */
export const errors = Object.fromEntries(
  Object.entries(definitions).map(([name, definition]) => [name, define(name, definition)]),
) as Readonly<Record<AraldoErrorName, AraldoErrorConstructor>>

/** Whether trying again can help. Errors from elsewhere count as transient unless they say otherwise. */
export function isRetryable(error: unknown): boolean {
  return !(typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === false)
}

/** What a lane counts a message under when `error` kept it from its target. */
export function dropReasonOf(error: unknown): DropReason {
  if (typeof error === 'object' && error !== null && 'dropReason' in error) {
    const reason = DROP_REASONS.find((known) => known === error.dropReason)
    if (reason !== undefined) return reason
  }
  return isRetryable(error) ? 'failed' : 'invalid'
}

/** `804C4D76D07F0000:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/…/ssl3_record.c:350:` */
const OPENSSL = /(?:[\dA-F]+:)?error:[\dA-F]+:SSL routines:[^:\n]*:([^:\n]+):[^\n]*\n?/g

function plainTls(_all: string, what: string): string {
  return what === 'wrong version number' ? 'TLS: what answers there speaks no TLS' : `TLS: ${what}`
}

/** An error's text for people: its own, never its stack. Never throws, whatever a library throws. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(reasonOf).join('; ')
  }
  try {
    const text = String(error instanceof Error ? error.message || error.name : error)
    return text.includes(':SSL routines:') ? text.replace(OPENSSL, plainTls) : text
  } catch {
    return 'something without a text'
  }
}
