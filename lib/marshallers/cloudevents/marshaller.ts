/**
 * Floor 3. Events of CloudEvents at an endpoint. In the relay the body of one is its data, its attributes are headers
 * (`ce-type`), and its payload is the event in the JSON format, in whichever mode it came.
 */
import { isUtf8 } from 'node:buffer'
import { createHash, randomUUID } from 'node:crypto'
import { errors } from '../../errors.ts'
import { type Marshaller, Message } from '../../message.ts'
import type { Headers } from '../../types.ts'
import { json } from '../json.ts'
import {
  type Attributes,
  checkAttributes,
  type Data,
  dataOf,
  isJsonType,
  newAttributes,
  parseEvent,
  timeOf,
  writeEvent,
} from './event.ts'
import {
  addAttributes,
  attributesIn,
  CONTENT_TYPE,
  encodeValue,
  isBinaryMode,
  isSameEvent,
  withoutEvent,
} from './headers.ts'

export interface CloudEventsOptions {
  readonly mode: 'structured' | 'binary'
  readonly source?: string
  readonly type: string
}

/** Characters of a message's id. */
const MAX_ID = 256

/** How an event came: while nothing of it is changed, it leaves in the same bytes. */
interface Origin {
  readonly headers: Headers
  /** Its data by itself. Undefined where it came in structured mode. */
  readonly data: Buffer | undefined
}

export class CloudEvents implements Marshaller {
  readonly format = 'cloudevents'
  readonly contentType = 'application/cloudevents+json'
  readonly binary = false
  readonly #options: CloudEventsOptions
  readonly #origins = new WeakMap<Buffer, Origin>()

  constructor(options: CloudEventsOptions) {
    this.#options = options
  }

  decode(payload: Buffer): unknown {
    return parseEvent(payload).data
  }

  /** An event of a body by itself; {@link outgoing} makes better ones, of messages. */
  encode(body: unknown): Buffer {
    if (body === undefined) throw new Error('there is no body')
    const data = dataOf(body, undefined)
    const { source = '/', type } = this.#options
    return writeEvent({ id: randomUUID(), source, type, ...typed(data) }, data).payload
  }

  incoming(message: Message): Message {
    try {
      return isBinaryMode(message.headers) ? this.#fromBinary(message) : this.#fromStructured(message)
    } catch {
      return message
    }
  }

  #fromStructured(message: Message): Message {
    // The application has published a body.
    if (message.byteLength === 0) return message
    const { attributes, data } = parseEvent(message.payload)
    return this.#arrived(message, attributes, message.payload, data, undefined)
  }

  #fromBinary(message: Message): Message {
    const payload = bytesOf(message)
    if (payload === undefined) return message
    const { specversion, ...rest } = attributesIn(message.headers)
    const attributes = Object.assign(newAttributes(), rest)
    const type = message.headers[CONTENT_TYPE] ?? attributes['datacontenttype']
    if (type !== undefined) attributes['datacontenttype'] = type
    checkAttributes(attributes, specversion)
    const body = bodyOf(payload, type)
    // JSON stays as it is written: to write it again might change large numbers.
    const isJson = payload.length > 0 && isJsonType(type)
    const data: Data = isJson ? { bytes: payload, member: 'data', value: payload, type } : dataOf(body, type)
    const { payload: event, start } = writeEvent(attributes, data)
    const own = isJson ? event.subarray(start, event.length - 1) : data.bytes
    return this.#arrived(message, attributes, event, body, own)
  }

  #arrived(
    message: Message,
    attributes: Attributes,
    payload: Buffer,
    body: unknown,
    data: Buffer | undefined,
  ): Message {
    const headers = withoutEvent(message.headers)
    addAttributes(headers, attributes)
    const { traceparent, tracestate } = attributes
    if (traceparent !== undefined) headers['traceparent'] ??= traceparent
    if (tracestate !== undefined) headers['tracestate'] ??= tracestate
    this.#origins.set(payload, { headers, data })
    return new Message({
      source: message.source,
      marshaller: this,
      payload,
      body,
      topic: message.topic,
      key: message.key ?? attributes['partitionkey'],
      headers,
      id: identityOf(attributes),
      time: timeOf(attributes) ?? message.time,
      origin: message.origin,
    })
  }

  outgoing(message: Message, carriesHeaders: boolean): Message {
    const isBinary = this.#options.mode === 'binary' && carriesHeaders
    const isOurs = message.marshaller.format === this.format
    const origin = isOurs ? this.#origins.get(message.payload) : undefined
    const isIntact = origin !== undefined && isSameEvent(origin.headers, message.headers)
    if (isIntact && !isBinary) return this.#departing(message, withoutEvent(message.headers), message.payload)
    try {
      return this.#write(message, isBinary, isIntact ? origin.data : undefined)
    } catch (error) {
      // Bytes pass as they came between endpoints of one format, whatever they are.
      if (isOurs && error instanceof errors.UNDECODABLE) return message
      throw error instanceof errors.UNDECODABLE
        ? error
        : new errors.UNENCODABLE(this.format, message.id, { cause: error })
    }
  }

  #write(message: Message, isBinary: boolean, intact: Buffer | undefined): Message {
    const headers = withoutEvent(message.headers)
    const { datacontenttype, ...attributes } = this.#attributesOf(message)
    const data = dataOf(message.body, datacontenttype)
    if (!isBinary) {
      const event = Object.assign(newAttributes(), attributes, typed(data))
      return this.#departing(message, headers, writeEvent(event, data).payload)
    }
    addAttributes(headers, Object.assign(newAttributes(), { specversion: '1.0' }, attributes))
    headers[CONTENT_TYPE] = data.type ?? 'application/json'
    return this.#departing(message, headers, intact ?? data.bytes)
  }

  /** What the message's headers say of an event, and what is missing there from the message. */
  #attributesOf(message: Message): Attributes {
    const { specversion: _version, ...given } = attributesIn(message.headers)
    const attributes: Attributes = Object.assign(newAttributes(), given)
    attributes['id'] = eventId(attributes, message.id)
    attributes['source'] ??= this.#options.source ?? `/${message.source}`
    attributes['type'] ??= this.#options.type
    attributes['time'] ??= new Date(message.time).toISOString()
    if (message.topic !== '') attributes['subject'] ??= message.topic
    if (message.key !== undefined && message.key !== '') attributes['partitionkey'] ??= message.key
    for (const name of ['traceparent', 'tracestate']) {
      const value = message.headers[name]
      if (value !== undefined) attributes[name] ??= value
    }
    if (message.marshaller.format !== this.format) {
      attributes['datacontenttype'] ??= message.headers[CONTENT_TYPE] ?? message.marshaller.contentType
    }
    checkAttributes(attributes, '1.0')
    return attributes
  }

  #departing(message: Message, headers: Record<string, string>, payload: Buffer): Message {
    headers[CONTENT_TYPE] ??= this.contentType
    const { source, topic, key, id, time, origin } = message
    return new Message({ source, marshaller: this, payload, topic, key, headers, id, time, origin })
  }
}

function typed({ type, member }: Data): { datacontenttype?: string } {
  return type === undefined || member === undefined ? {} : { datacontenttype: type }
}

/** Undefined where the application has published a body; empty where an event without data came in. */
function bytesOf(message: Message): Buffer | undefined {
  if (message.byteLength > 0) return message.payload
  try {
    return message.body === undefined ? message.payload : undefined
  } catch {
    return message.payload
  }
}

function bodyOf(payload: Buffer, type: string | undefined): unknown {
  if (payload.length === 0) return null
  if (isJsonType(type)) return json.decode(payload)
  return /^text\//i.test(type ?? '') && isUtf8(payload) ? payload.toString() : payload
}

/** Source and id name an event, the id alone does not: section 3.1.1, "id". */
function identityOf({ source = '', id = '' }: Attributes): string {
  const text = `${encodeValue(source)}#${encodeValue(id)}`
  return text.length <= MAX_ID ? text : createHash('sha256').update(text).digest('base64url')
}

/** The event's own id; where the message is a part of it (`<id>/0`), one that says so. */
function eventId(attributes: Attributes, messageId: string): string {
  const { id } = attributes
  if (id === undefined || id === '') return messageId
  const whole = identityOf(attributes)
  return messageId.startsWith(`${whole}/`) ? id + messageId.slice(whole.length) : id
}
