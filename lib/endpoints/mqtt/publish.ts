/**
 * Floor 3. A PUBLISH packet as it leaves, in one piece: MQTT.js would write it in some twenty, and copy it twice before.
 *
 * Source: MQTT 5, section 3.3; MQTT 3.1.1, section 3.3, which has no properties.
 */
import type { Qos } from './options.ts'

export interface Publish {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Qos
  readonly retain: boolean
  /** Undefined in 3.1.1. */
  readonly properties: Properties | undefined
}

/** Texts have at most 65,535 bytes each (text.ts). */
export interface Properties {
  /** The Payload Format Indicator: the payload is UTF-8. */
  readonly isText: boolean
  /** The Message Expiry Interval (seconds). */
  readonly expiry: number | undefined
  readonly contentType: string
  readonly responseTopic: string | undefined
  readonly correlationData: Buffer | undefined
  /** User Properties: name and value of the first one, name and value of the second one, … */
  readonly user: readonly string[]
}

const PUBLISH = 0x30
const PAYLOAD_FORMAT_INDICATOR = 0x01
const MESSAGE_EXPIRY_INTERVAL = 0x02
const CONTENT_TYPE = 0x03
const RESPONSE_TOPIC = 0x08
const CORRELATION_DATA = 0x09
const USER_PROPERTY = 0x26
/** A payload of more bytes is written by itself, and not copied. */
const LARGE = 16 * 1024

export class PublishPacket {
  /** Bytes of the whole packet. */
  readonly size: number
  readonly #publish: Publish
  readonly #properties: number
  readonly #remaining: number

  constructor(publish: Publish) {
    const { topic, payload, qos, properties } = publish
    this.#publish = publish
    this.#properties = properties === undefined ? 0 : propertiesSize(properties)
    const head = textSize(topic) + (qos > 0 ? 2 : 0)
    const block = properties === undefined ? 0 : numberSize(this.#properties) + this.#properties
    this.#remaining = head + block + payload.length
    this.size = 1 + numberSize(this.#remaining) + this.#remaining
  }

  get qos(): Qos {
    return this.#publish.qos
  }

  /**
   * @param id the packet identifier; not looked at for QoS 0.
   * @returns what is to be written, one after the other. The last one may be the payload itself.
   */
  encode(id: number): Buffer[] {
    const { topic, payload, qos, retain, properties } = this.#publish
    const isLarge = payload.length > LARGE
    const bytes = Buffer.allocUnsafe(isLarge ? this.size - payload.length : this.size)
    bytes[0] = PUBLISH | (qos << 1) | (retain ? 1 : 0)
    let at = writeNumber(bytes, 1, this.#remaining)
    at = writeText(bytes, at, topic)
    if (qos > 0) at = bytes.writeUInt16BE(id, at)
    if (properties !== undefined) at = writeProperties(bytes, writeNumber(bytes, at, this.#properties), properties)
    if (isLarge) return [bytes, payload]
    payload.copy(bytes, at)
    return [bytes]
  }
}

function propertiesSize({ isText, expiry, contentType, responseTopic, correlationData, user }: Properties): number {
  let size = 1 + textSize(contentType)
  if (isText) size += 2
  if (expiry !== undefined) size += 5
  if (responseTopic !== undefined) size += 1 + textSize(responseTopic)
  if (correlationData !== undefined) size += 3 + correlationData.length
  for (let index = 0; index < user.length; index += 2) {
    size += 1 + textSize(user[index] as string) + textSize(user[index + 1] as string)
  }
  return size
}

function writeProperties(bytes: Buffer, start: number, properties: Properties): number {
  const { isText, expiry, contentType, responseTopic, correlationData, user } = properties
  let at = start
  if (isText) {
    bytes[at++] = PAYLOAD_FORMAT_INDICATOR
    bytes[at++] = 1
  }
  if (expiry !== undefined) {
    bytes[at++] = MESSAGE_EXPIRY_INTERVAL
    at = bytes.writeUInt32BE(expiry, at)
  }
  bytes[at++] = CONTENT_TYPE
  at = writeText(bytes, at, contentType)
  if (responseTopic !== undefined) {
    bytes[at++] = RESPONSE_TOPIC
    at = writeText(bytes, at, responseTopic)
  }
  if (correlationData !== undefined) {
    bytes[at++] = CORRELATION_DATA
    at = bytes.writeUInt16BE(correlationData.length, at)
    at += correlationData.copy(bytes, at)
  }
  for (let index = 0; index < user.length; index += 2) {
    bytes[at++] = USER_PROPERTY
    at = writeText(bytes, at, user[index] as string)
    at = writeText(bytes, at, user[index + 1] as string)
  }
  return at
}

/** Two bytes of length, and UTF-8. Source: MQTT 5, section 1.5.4. */
function textSize(text: string): number {
  return 2 + Buffer.byteLength(text)
}

function writeText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2)
  bytes.writeUInt16BE(length, at)
  return at + 2 + length
}

/** Bytes of a number that is written in as many as it needs. Source: MQTT 5, section 1.5.5. */
function numberSize(value: number): number {
  if (value < 128) return 1
  if (value < 16_384) return 2
  return value < 2_097_152 ? 3 : 4
}

function writeNumber(bytes: Buffer, start: number, value: number): number {
  let at = start
  let rest = value
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>= 7
  }
  bytes[at++] = rest
  return at
}
