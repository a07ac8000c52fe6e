/**
 * Floor 3. What a delivery says of its message. Never throws, whatever others have written into it: what is no text in a
 * field table becomes text.
 */
import type { ConsumeMessage } from 'amqplib'
import type { MessageInit } from '../../message.ts'
import { type Attributes, AttributesReader, CONTENT_TYPE } from '../common/attributes.ts'
import { CONTENT_ENCODING, COPIES, PRIORITY, TEXT_PROPERTIES, USER_ID } from './properties.ts'

/** Tables within tables are read so deep. */
const MAX_DEPTH = 32

/** The headers that stand for properties. */
const PROPERTIES: readonly (readonly [string, keyof ConsumeMessage['properties']])[] = [
  [CONTENT_TYPE, 'contentType'],
  [CONTENT_ENCODING, 'contentEncoding'],
  [PRIORITY, 'priority'],
  [USER_ID, 'userId'],
  ...Object.entries(TEXT_PROPERTIES),
]

/** A header of the table that is called so is none: only the property counts, which the broker may have checked. */
const OF_PROPERTIES = new Set([COPIES, ...PROPERTIES.map(([name]) => name)])

/** The last that a Date can hold (milliseconds). */
const MAX_TIME = 8.64e15
const MAX_SECONDS = 1e11

export type Content = Required<Pick<MessageInit, 'payload' | 'topic'>> &
  Pick<MessageInit, 'id' | 'key' | 'time' | 'headers'>

export function contentOf({ content, fields, properties }: ConsumeMessage): Content {
  const { id, key, time, headers } = attributesIn(properties)
  const seconds: unknown = properties.timestamp
  const messageId: unknown = properties.messageId
  return {
    payload: content,
    topic: fields.routingKey,
    id: typeof messageId === 'string' && messageId !== '' ? messageId : id,
    key,
    time: time ?? timeOf(seconds),
    headers,
  }
}

/** What is no second of the next millennia has been written by a client that takes it for milliseconds. */
function timeOf(timestamp: unknown): number | undefined {
  if (typeof timestamp !== 'number' || timestamp > MAX_TIME) return undefined
  return timestamp < MAX_SECONDS ? timestamp * 1_000 : timestamp
}

function attributesIn(properties: ConsumeMessage['properties']): Attributes {
  const attributes = new AttributesReader()
  const table: unknown = properties.headers
  if (isTable(table)) {
    for (const name of Object.keys(table)) {
      // RabbitMQ takes BCC away before it delivers.
      if (name === 'CC') attributes.add(COPIES, textOf(table[name]))
      else if (!OF_PROPERTIES.has(name)) attributes.add(name, textOf(table[name]))
    }
  }
  for (const [name, property] of PROPERTIES) {
    const value: unknown = properties[property]
    if (typeof value === 'string' || typeof value === 'number') attributes.add(name, String(value))
  }
  return attributes
}

/**
 * A value of a field table as text: numbers and booleans as JSON writes them, bytes as UTF-8 or else in base64, times in
 * seconds since 1970, no value as an empty text; arrays and tables as JSON.
 */
export function textOf(value: unknown): string {
  const plain = plainOf(value, 0)
  if (typeof plain === 'string') return plain
  if (typeof plain === 'number') return String(plain)
  return plain === null ? '' : JSON.stringify(plain)
}

/** What JSON can carry. Times and decimals come from amqplib as `{ '!': 'timestamp', value }`. */
function plainOf(value: unknown, depth: number): unknown {
  if (Buffer.isBuffer(value)) return bytesOf(value)
  if (typeof value !== 'object' || value === null) return value ?? null
  if (depth >= MAX_DEPTH) return null
  if (Array.isArray(value)) return value.map((each) => plainOf(each, depth + 1))
  if (!isTable(value)) return null
  const type = Object.hasOwn(value, '!') ? value['!'] : undefined
  if (type === 'timestamp') return plainOf(value['value'], depth + 1)
  if (type === 'decimal') return decimalOf(value['value'])
  const copy = Object.create(null) as Record<string, unknown>
  for (const name of Object.keys(value)) copy[name] = plainOf(value[name], depth + 1)
  return copy
}

function bytesOf(bytes: Buffer): string {
  const text = bytes.toString()
  return text.includes('\ufffd') ? bytes.toString('base64') : text
}

function decimalOf(value: unknown): number | null {
  if (!isTable(value)) return null
  const { digits, places } = value
  return typeof digits === 'number' && typeof places === 'number' ? digits / 10 ** places : null
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
