/**
 * Floor 3. What of a message is in which property of AMQP's basic class (0-9-1, 1.8), and which headers stand for the
 * others: docs/connectors/amqp.md has the table.
 *
 * The broker closes the channel of whoever sends what it takes for wrong, and would do so again with each try: what it is
 * known to refuse is refused here, message by message.
 */
import { quote } from '../../config/words.ts'
import { errors } from '../../errors.ts'
import type { Marshaller, Message } from '../../message.ts'
import { CONTENT_TYPE, contentTypeOf, ID, KEY, TIME } from '../common/attributes.ts'
import { MAX_SHORT } from './options.ts'

export const CONTENT_ENCODING = 'content-encoding'

/** The headers that stand for properties of text, both ways. */
export const TEXT_PROPERTIES = {
  'amqp-correlation-id': 'correlationId',
  'amqp-reply-to': 'replyTo',
  'amqp-type': 'type',
  'amqp-app-id': 'appId',
  'amqp-expiration': 'expiration',
} as const satisfies Record<string, keyof Properties>

export const PRIORITY = 'amqp-priority'
/** Come in and do not go out: the one is the sender's name, which the broker checks; the other, copies that were made. */
export const USER_ID = 'amqp-user-id'
export const COPIES = 'amqp-cc'

/** What the broker itself writes into the headers of what it has dead-lettered or delivered again: its own, not the message's. */
const BROKERS_OWN = new Set([
  'x-death',
  'x-delivery-count',
  'x-acquired-count',
  'x-first-death-exchange',
  'x-first-death-queue',
  'x-first-death-reason',
  'x-last-death-exchange',
  'x-last-death-queue',
  'x-last-death-reason',
])

/** By these names RabbitMQ would send a message to more queues (sender-selected distribution). */
const ROUTING = new Set(['CC', 'BCC'])

/** Only a consumer of the same channel may ask for answers by it. Source: "Direct Reply-to", RabbitMQ. */
const DIRECT_REPLY_TO = 'amq.rabbitmq.reply-to'
/** Milliseconds. Source: rabbit_basic:parse_expiration. */
const MAX_EXPIRATION = 2 ** 32 - 1
const MAX_PRIORITY = 255

/** Those that are sent. Texts have at most 255 bytes each, but for the values of headers. */
export interface Properties {
  readonly contentType: string
  contentEncoding: string | undefined
  /** Name and value of the first one, name and value of the second one, … */
  readonly headers: string[]
  /** 0 to 255. */
  priority: number | undefined
  correlationId: string | undefined
  replyTo: string | undefined
  /** Milliseconds. */
  expiration: string | undefined
  readonly messageId: string | undefined
  /** Seconds since 1970. */
  readonly timestamp: number
  type: string | undefined
  appId: string | undefined
}

/**
 * @param marshaller the target's.
 * @throws ARALDO_ERR_HEADER_INVALID
 */
export function propertiesOf(message: Message, marshaller: Marshaller, endpoint: string): Properties {
  const { id, key, time } = message
  const headers: string[] = []
  const seconds = Math.max(0, Math.floor(time / 1_000))
  const hasShortId = isShort(id)
  const properties: Properties = {
    contentType: short(CONTENT_TYPE, contentTypeOf(message, marshaller), endpoint),
    contentEncoding: undefined,
    headers,
    priority: undefined,
    correlationId: undefined,
    replyTo: undefined,
    expiration: undefined,
    messageId: hasShortId ? id : undefined,
    timestamp: seconds,
    type: undefined,
    appId: undefined,
  }
  const hasTime = seconds * 1_000 === time
  for (const name in message.headers) {
    // A table must not have a name twice: what the message is counts for more than what it says.
    if ((name === ID && !hasShortId) || (name === KEY && key !== undefined) || (name === TIME && !hasTime)) continue
    addHeader(properties, name, message.headers[name] as string, endpoint)
  }
  // What re-encodes the body has undone it.
  const encoding = message.headers[CONTENT_ENCODING]
  if (encoding !== undefined && message.marshaller.format === marshaller.format) {
    properties.contentEncoding = short(CONTENT_ENCODING, encoding, endpoint)
  }
  if (!hasShortId) headers.push(ID, id)
  if (key !== undefined) headers.push(KEY, key)
  if (!hasTime) headers.push(TIME, String(time))
  return properties
}

function addHeader(properties: Properties, name: string, value: string, endpoint: string): void {
  if (name === CONTENT_TYPE || name === CONTENT_ENCODING) return
  if (name.startsWith('amqp-')) {
    if (name === USER_ID || name === COPIES) return
    if (name in TEXT_PROPERTIES) {
      const text = short(name, value, endpoint)
      const problem = problemOf(name, text)
      if (problem !== undefined) throw invalid(endpoint, name, problem)
      properties[TEXT_PROPERTIES[name as keyof typeof TEXT_PROPERTIES]] = text
      return
    }
    if (name === PRIORITY) {
      properties.priority = priorityOf(value, endpoint)
      return
    }
  }
  if (BROKERS_OWN.has(name)) return
  if (ROUTING.has(name)) throw invalid(endpoint, name, 'by it the broker would send the message to more queues')
  if (!isShort(name)) throw invalid(endpoint, name.slice(0, 40), `its name has more than ${MAX_SHORT} bytes`)
  properties.headers.push(name, value)
}

function problemOf(name: string, value: string): string | undefined {
  if (name === 'amqp-reply-to' && value === DIRECT_REPLY_TO) return 'answers by it reach only who publishes by itself'
  if (name !== 'amqp-expiration') return undefined
  const isMilliseconds = /^\d{1,10}$/.test(value) && Number(value) <= MAX_EXPIRATION
  return isMilliseconds ? undefined : `it is a whole number of milliseconds, ${MAX_EXPIRATION} at most`
}

function priorityOf(value: string, endpoint: string): number {
  const priority = /^\d{1,3}$/.test(value) ? Number(value) : Infinity
  if (priority <= MAX_PRIORITY) return priority
  throw invalid(endpoint, PRIORITY, `it is a whole number from 0 to ${MAX_PRIORITY}`)
}

function short(name: string, value: string, endpoint: string): string {
  if (isShort(value)) return value
  throw invalid(endpoint, name, `its value has more than ${MAX_SHORT} bytes, as many as a property of AMQP holds`)
}

function isShort(text: string): boolean {
  // No character of a string has more than three bytes.
  return text.length * 3 <= MAX_SHORT || Buffer.byteLength(text) <= MAX_SHORT
}

function invalid(endpoint: string, name: string, problem: string): Error {
  return new errors.HEADER_INVALID(endpoint, `${quote(name)}: ${problem}`)
}
