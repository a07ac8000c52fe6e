/** Floor 3. What a request says of its message beside the payload. */
import type { FastifyRequest } from 'fastify'
import { errors } from '../../errors.ts'
import type { MessageInit } from '../../message.ts'
import { CONTENT_TYPE, ID, KEY, TIME } from '../common/attributes.ts'
import type { NameFilter } from './names.ts'
import { fromField } from './text.ts'

/** Characters. */
const MAX_ID = 256
const MAX_KEY = 1_024

export interface AttributesInit {
  /** The endpoint's name. */
  readonly name: string
  /** Of the scope that its route is in; no part of a topic. */
  readonly prefix: string
  readonly forwards: NameFilter
  /** A header that holds the id where no other does. */
  readonly idHeader: string | undefined
}

export type Attributes = Pick<MessageInit, 'topic' | 'id' | 'key' | 'time' | 'headers'>

/** @throws ARALDO_ERR_REQUEST_INVALID */
export function attributesOf(request: FastifyRequest, init: AttributesInit): Attributes {
  const { headers } = request
  const text = (name: string): string | undefined => {
    const value = headers[name]
    return typeof value === 'string' && value !== '' ? fromField(value) : undefined
  }
  const key = text(KEY)
  const id =
    text(ID) ?? unquoted(text('idempotency-key')) ?? (init.idHeader === undefined ? undefined : text(init.idHeader))
  if (id !== undefined && id.length > MAX_ID) throw tooLong(init.name, 'its id', MAX_ID)
  if (key !== undefined && key.length > MAX_KEY) throw tooLong(init.name, 'its key', MAX_KEY)
  return { topic: topicOf(request, init), id, key, time: timeOf(text(TIME)), headers: headersOf(request, init) }
}

function tooLong(name: string, what: string, limit: number): Error {
  return new errors.REQUEST_INVALID(name, `${what} has more than ${limit} characters`)
}

/** Its path, percent-decoded, without the prefix. */
function topicOf({ raw }: FastifyRequest, { name, prefix }: AttributesInit): string {
  const [path = ''] = (raw.url ?? '').split(/[?#]/)
  const parts = path.split('/').map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      throw new errors.REQUEST_INVALID(name, 'its path cannot be decoded')
    }
  })
  // Two paths must not become one topic.
  if (parts.some((part) => part.includes('/'))) throw new errors.PATH_REFUSED(name)
  const topic = parts.join('/')
  return topic.startsWith(`${prefix}/`) ? topic.slice(prefix.length) : topic
}

/** Who says that a message is from the future would have it outlive all others. */
function timeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Math.min(Number(text), Date.now()) : undefined
}

/** A string of RFC 9651, as the Idempotency-Key draft has it, or the bare text that most clients write. */
function unquoted(text: string | undefined): string | undefined {
  return text === undefined || !/^".+"$/.test(text) ? text : text.slice(1, -1).replace(/\\(["\\])/g, '$1')
}

function headersOf({ headers, params }: FastifyRequest, { forwards }: AttributesInit): Record<string, string> {
  const own = Object.create(null) as Record<string, string>
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !forwards(name)) continue
    own[name] = fromField(typeof value === 'string' ? value : value.join(', '))
  }
  for (const [name, value] of Object.entries(params ?? {})) {
    if (typeof value === 'string') own[`param_${name}`] = value
  }
  if (headers[CONTENT_TYPE] !== undefined) own[CONTENT_TYPE] = headers[CONTENT_TYPE]
  return own
}
