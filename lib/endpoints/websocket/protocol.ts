/**
 * Floor 3. The subprotocol `araldo.v1`: messages with ids that are answered, as JSON in text frames. What clients send
 * is read here, what they are sent is written here; docs/connectors/websocket.md is the specification.
 *
 *     client   {"type":"session","session":"…"}                      once, before the first message; may be left out
 *              {"type":"message","id":"…","key"?,"headers"?,"body":…}
 *     server   {"type":"ack","id":"…"}
 *              {"type":"nack","id":"…","code":"…","reason":"…","retry":true}
 *              {"type":"message","id":"…","time":…,"body":…}
 */
import { isUtf8 } from 'node:buffer'
import { isRetryable } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Headers } from '../../types.ts'
import { type Content, frameOf, member, payloadIn } from '../common/araldo-v1/content.ts'
import { membersOf } from '../common/araldo-v1/members.ts'

// ── What a client sends ───────────────────────────────────────────────────────────────────────────────────────────

export interface ClientMessage {
  readonly type: 'message'
  readonly id: string
  readonly key: string | undefined
  /** Its own ones. */
  readonly headers: Headers | undefined
  /** Not decoded. */
  readonly payload: Buffer
}

export interface ClientSession {
  readonly type: 'session'
  readonly session: string
}

/** A frame that is none of the protocol's. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  /** The message that it would have been, where that much could be read. */
  readonly id: string | undefined

  constructor(why: string, id?: string) {
    super(why)
    this.id = id
  }
}

const MEMBERS = {
  message: new Set(['type', 'id', 'key', 'headers', 'body', 'text', 'base64']),
  session: new Set(['type', 'session']),
} as const
const isKnown = (name: string): boolean => MEMBERS.message.has(name) || MEMBERS.session.has(name)

const ID = /^[\x21-\x7e]{1,128}$/
/** Shorter ones could be guessed. */
const SESSION = /^[\x21-\x7e]{16,128}$/
const MAX_KEY = 256
const MAX_HEADERS = 32
const HEADER_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/
/** The relay's own: what a client says of itself must not pass for what the relay knows of it. */
const RESERVED_HEADER = /^(araldo|param_|connection_id$)/i
/** Control characters, and halves of a character. */
const UNCLEAN = /[\p{Cc}\p{Cs}]/u

/**
 * Reads a client's frame. The payload of a message may be a part of the frame where the content is JSON.
 * @throws FrameError
 */
export function parseFrame(frame: Buffer, content: Content): ClientMessage | ClientSession {
  try {
    return frameIn(frame, content)
  } catch (error) {
    throw error instanceof FrameError ? error : new FrameError((error as Error).message)
  }
}

function frameIn(frame: Buffer, content: Content): ClientMessage | ClientSession {
  const members = membersOf(frame, isKnown)
  const type = member(members, 'type')
  if (type !== 'message' && type !== 'session') throw new FrameError("its 'type' is neither 'message' nor 'session'")
  for (const name of members.keys()) {
    if (!MEMBERS[type].has(name)) throw new FrameError(`a ${type} has no '${name}'`)
  }
  if (type === 'message') return messageOf(frame, members, content)
  const session = member(members, 'session')
  if (typeof session === 'string' && SESSION.test(session)) return { type, session }
  throw new FrameError("its 'session' is no text of 16 to 128 visible ASCII characters")
}

function messageOf(frame: Buffer, members: Map<string, Buffer>, content: Content): ClientMessage {
  const id = member(members, 'id')
  if (typeof id !== 'string' || !ID.test(id)) {
    throw new FrameError("its 'id' is no text of 1 to 128 visible ASCII characters")
  }
  try {
    return {
      type: 'message',
      id,
      key: keyOf(member(members, 'key')),
      headers: headersOf(member(members, 'headers')),
      payload: payloadIn(frame, members, content),
    }
  } catch (error) {
    throw new FrameError((error as Error).message, id)
  }
}

function keyOf(key: unknown): string | undefined {
  if (key === undefined) return undefined
  if (typeof key === 'string' && key !== '' && key.length <= MAX_KEY && !UNCLEAN.test(key)) return key
  throw new FrameError(`its 'key' is no text of 1 to ${MAX_KEY} characters without control characters`)
}

function headersOf(headers: unknown): Headers | undefined {
  if (headers === undefined) return undefined
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw new FrameError("its 'headers' are no object")
  }
  const entries = Object.entries(headers)
  if (entries.length > MAX_HEADERS) throw new FrameError(`it has more than ${MAX_HEADERS} headers`)
  for (const [name, value] of entries) {
    if (!HEADER_NAME.test(name)) throw new FrameError('a header has a name that is none: letters, digits, _ . -')
    if (RESERVED_HEADER.test(name)) throw new FrameError(`the header '${name}' is the relay's own`)
    if (typeof value !== 'string' || UNCLEAN.test(value)) {
      throw new FrameError(`the header '${name}' is no text without control characters`)
    }
  }
  return headers as Headers
}

// ── What a client is sent ─────────────────────────────────────────────────────────────────────────────────────────

export function ackOf(id: string): Buffer {
  return Buffer.from(`{"type":"ack","id":${JSON.stringify(id)}}`)
}

/**
 * Errors name endpoints, hosts, and what a broker said: a client is told the code, and one of these sentences, unless
 * it is its own frame that is at fault.
 */
const REASONS: Readonly<Partial<Record<string, string>>> = {
  ARALDO_ERR_CLOSING: 'the server is going away',
  ARALDO_ERR_ENDPOINT_DOWN: 'the server is not ready',
  ARALDO_ERR_GIVEN_UP: 'it was given up: it may have arrived or not',
  ARALDO_ERR_NOT_A_SOURCE: 'what is sent here goes nowhere',
  ARALDO_ERR_OVERFLOW: 'more is waiting than is kept',
  ARALDO_ERR_TOO_LARGE: 'it is larger than a target takes',
  ARALDO_ERR_UNDECODABLE: 'its payload is not of the format that is expected here',
}
const RETRYABLE = 'it did not reach every target, and may when it is sent again'
const FINAL = 'it cannot reach every target'

/** @param reason shown to the client as it is; one of the fixed ones if left out. */
export function nackOf(id: string, error: Error, reason?: string): Buffer {
  const retry = isRetryable(error)
  const code = codeOf(error)
  const why = reason ?? REASONS[code] ?? (retry ? RETRYABLE : FINAL)
  return Buffer.from(JSON.stringify({ type: 'nack', id, code, reason: why, retry }))
}

/** That of the cause, where there is one cause with a code of ours: it says more. */
function codeOf(error: Error & { readonly code?: unknown }): string {
  const cause = error.cause as { readonly code?: unknown } | undefined
  return [cause?.code, error.code].find(isOurs) ?? 'ARALDO_ERR_SEND_FAILED'
}

function isOurs(code: unknown): code is string {
  return typeof code === 'string' && /^ARALDO_ERR_[A-Z_]+$/.test(code)
}

/**
 * A message on its way to clients: made once, however many they are. Its headers, its key and its topic are not in it:
 * clients of the plain protocol do not see them, either, and they may not be for strangers.
 * @param payload in the endpoint's format, if its sender keeps to that; nobody has looked.
 */
export function pushOf(message: Message, payload: Buffer, content: Content): Buffer {
  const head = `{"type":"message","id":${JSON.stringify(message.id)},"time":${JSON.stringify(message.time)}`
  return frameOf(head, payload, content === 'body' && !isJson(message, payload) ? 'text' : content)
}

/** What a broker passes on unread would otherwise write members of its own. Decodes the message once, for all who ask. */
function isJson(message: Message, payload: Buffer): boolean {
  if (message.marshaller.format !== 'json') return true
  try {
    return message.body !== undefined && isUtf8(payload)
  } catch {
    return false
  }
}
