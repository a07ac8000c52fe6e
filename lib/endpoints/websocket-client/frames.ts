/**
 * Floor 3. The client's side of `araldo.v1` (docs/connectors/websocket.md): what is sent to the server is written here,
 * what it sends is read here. A server is not trusted either: what is no frame is an error.
 */
import { createHash } from 'node:crypto'
import type { Message } from '../../message.ts'
import type { Headers } from '../../types.ts'
import { type Content, contentIn, frameOf, member, payloadIn } from '../common/araldo-v1/content.ts'
import { membersOf } from '../common/araldo-v1/members.ts'

export interface Ack {
  readonly type: 'ack'
  readonly id: string
}

export interface Nack {
  readonly type: 'nack'
  readonly id: string
  readonly reason: string
  readonly retry: boolean
}

export interface Push {
  readonly type: 'message'
  readonly id: string | undefined
  readonly time: number | undefined
  readonly payload: Buffer
}

const MEMBERS = new Set(['type', 'id', 'time', 'body', 'text', 'base64', 'code', 'reason', 'retry'])
const CODE = /^ARALDO_ERR_[A-Z_]{1,64}$/
const MAX_REASON = 200
const MAX_ID = 512
const MAX_TIME = 8.64e15

/** @throws Error where it is none that a server sends. It quotes nothing of it. */
export function parseServerFrame(frame: Buffer): Ack | Nack | Push {
  const members = membersOf(frame, (name) => MEMBERS.has(name))
  const type = member(members, 'type')
  const id = member(members, 'id')
  if (id !== undefined && (typeof id !== 'string' || id === '' || id.length > MAX_ID))
    throw new Error("its 'id' is none")
  if (type === 'message') return pushIn(frame, members, id)
  if (id === undefined) throw new Error("it has no 'id'")
  if (type === 'ack') return { type, id }
  if (type !== 'nack') throw new Error("its 'type' is none of ack, nack, message")
  const retry = member(members, 'retry')
  if (typeof retry !== 'boolean') throw new Error("its 'retry' is neither true nor false")
  return { type, id, retry, reason: reasonIn(members) }
}

function pushIn(frame: Buffer, members: ReadonlyMap<string, Buffer>, id: string | undefined): Push {
  const content = contentIn(members)
  if (content === undefined) throw new Error("its payload is not in one of 'body', 'text', 'base64'")
  const time = member(members, 'time')
  const isTime = typeof time === 'number' && Number.isFinite(time) && Math.abs(time) <= MAX_TIME
  if (time !== undefined && !isTime) throw new Error("its 'time' is none")
  return { type: 'message', id, time, payload: payloadIn(frame, members, content) }
}

/** For people: the server's code, and its sentence without what a terminal would obey. */
function reasonIn(members: ReadonlyMap<string, Buffer>): string {
  const code = member(members, 'code')
  const reason = member(members, 'reason')
  const text = typeof reason === 'string' ? reason.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, MAX_REASON) : ''
  return (
    [typeof code === 'string' && CODE.test(code) ? code : '', text].filter(Boolean).join(': ') || 'it gave no reason'
  )
}

export function sessionFrame(session: string): Buffer {
  return Buffer.from(JSON.stringify({ type: 'session', session }))
}

const ID = /^[\x21-\x7e]{1,120}$/

/** What names a message at the server: its id, where a frame can hold that. */
export function frameId(messageId: string): string {
  return ID.test(messageId) ? messageId : createHash('sha256').update(messageId).digest('base64url')
}

const MAX_KEY = 256
const MAX_HEADERS = 32
const HEADER_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/
/** What each relay says of a message itself: no client may. */
const RELAYS_OWN = /^(araldo|param_|connection_id$)/i
const UNCLEAN = /[\p{Cc}\p{Cs}]/u

/**
 * @param payload JSON where the content is `body`.
 * @throws Error where the message has a key or headers that no frame can hold.
 */
export function messageFrame(id: string, message: Message, payload: Buffer, content: Content): Buffer {
  const headers = headersFor(message.headers)
  const { key } = message
  if (key !== undefined && (key.length > MAX_KEY || UNCLEAN.test(key))) {
    throw new Error(`a key of more than ${MAX_KEY} characters, or with control characters`)
  }
  const head = JSON.stringify({
    type: 'message',
    id,
    ...(key === undefined || key === '' ? {} : { key }),
    ...(headers === undefined ? {} : { headers }),
  })
  return frameOf(head.slice(0, -1), payload, content)
}

function headersFor(headers: Headers): Headers | undefined {
  let own: Record<string, string> | undefined
  let count = 0
  for (const name in headers) {
    if (RELAYS_OWN.test(name)) continue
    const value = headers[name] as string
    if (!HEADER_NAME.test(name)) throw new Error(`the name '${name.slice(0, 64)}' is not of letters, digits, _ . -`)
    if (UNCLEAN.test(value)) throw new Error(`'${name}' has control characters`)
    if (++count > MAX_HEADERS) throw new Error(`there are more than ${MAX_HEADERS}`)
    ;(own ??= Object.create(null) as Record<string, string>)[name] = value
  }
  return own
}
