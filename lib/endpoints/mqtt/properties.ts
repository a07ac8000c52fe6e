/**
 * Floor 3. What of a message is in which property of a PUBLISH packet of MQTT 5 (section 3.3.2.3).
 *
 *     Content Type              the header `content-type`
 *     Response Topic            the header `mqtt-response-topic`
 *     Correlation Data          the header `mqtt-correlation-data`, in base64
 *     Payload Format Indicator  1 where the payload is text; not looked at when it comes in
 *     Message Expiry Interval   the option `message-expiry`; not looked at when it comes in
 *     User Property             every other header; id, key and time of the message as `araldo-id` …
 *
 * The retained flag of what comes in is the header `mqtt-retained`, which does not go out again.
 */
import { isUtf8 } from 'node:buffer'
import type { IPublishPacket } from 'mqtt'
import { quote } from '../../config/words.ts'
import { errors } from '../../errors.ts'
import type { Marshaller, Message } from '../../message.ts'
import { type Attributes, attributesOf, CONTENT_TYPE, contentTypeOf, ID, KEY, TIME } from '../common/attributes.ts'
import { textProblem } from './text.ts'
import { topicProblem } from './topic.ts'

export const RESPONSE_TOPIC = 'mqtt-response-topic'
export const CORRELATION_DATA = 'mqtt-correlation-data'
export const RETAINED = 'mqtt-retained'

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

type Properties = NonNullable<IPublishPacket['properties']>

/** A packet of 3.1.1 says nothing of its message: that it was retained would be all. */
const NONE: Attributes = { id: undefined, key: undefined, time: undefined, headers: undefined }

/** What a packet says of its message beside topic and payload. Never throws. */
export function attributesOfPacket({ properties, retain }: IPublishPacket, version: 5 | '3.1.1'): Attributes {
  return version === 5 ? attributesOf(pairsOf(properties ?? {}, retain)) : NONE
}

function* pairsOf(properties: Properties, isRetained: boolean): Iterable<readonly [string, string]> {
  const { userProperties = {}, contentType, responseTopic, correlationData } = properties
  for (const [name, value] of Object.entries(userProperties)) {
    // MQTT.js gives a list where a name comes twice, and null for what is cut off.
    const last: unknown = Array.isArray(value) ? value.at(-1) : value
    if (typeof last === 'string') yield [name, last]
  }
  if (typeof contentType === 'string') yield [CONTENT_TYPE, contentType]
  if (typeof responseTopic === 'string') yield [RESPONSE_TOPIC, responseTopic]
  if (Buffer.isBuffer(correlationData)) yield [CORRELATION_DATA, correlationData.toString('base64')]
  if (isRetained) yield [RETAINED, 'true']
}

export interface Sending {
  /** The endpoint's name, for errors. */
  readonly endpoint: string
  readonly marshaller: Marshaller
  /** Seconds. */
  readonly expiry: number | undefined
}

/**
 * The properties of a message that is published.
 * @throws ARALDO_ERR_HEADER_INVALID where a header is none that MQTT can carry.
 */
export function propertiesOf(message: Message, payload: Buffer, sending: Sending): Properties {
  const { endpoint, marshaller, expiry } = sending
  const { headers, key } = message
  const properties: Properties = { contentType: checked(endpoint, CONTENT_TYPE, contentTypeOf(message, marshaller)) }
  const userProperties = Object.create(null) as Record<string, string>
  userProperties[ID] = checked(endpoint, ID, message.id)
  userProperties[TIME] = String(message.time)
  if (key !== undefined) userProperties[KEY] = checked(endpoint, KEY, key)
  for (const name in headers) {
    const value = headers[name] as string
    if (name === CONTENT_TYPE || name === RETAINED) continue
    if (name === RESPONSE_TOPIC) properties.responseTopic = responseTopicOf(endpoint, value)
    else if (name === CORRELATION_DATA) properties.correlationData = correlationDataOf(endpoint, value)
    else if (name !== ID && name !== TIME && name !== KEY) {
      checked(endpoint, name, name)
      userProperties[name] = checked(endpoint, name, value)
    }
  }
  properties.userProperties = userProperties
  if (!marshaller.binary && isUtf8(payload)) properties.payloadFormatIndicator = true
  if (expiry !== undefined) properties.messageExpiryInterval = expiry
  return properties
}

function checked(endpoint: string, name: string, text: string): string {
  const problem = textProblem(text)
  if (problem !== undefined) throw new errors.HEADER_INVALID(endpoint, `${quote(name)}: ${problem}`)
  return text
}

function responseTopicOf(endpoint: string, topic: string): string {
  // MQTT-3.3.2-14: no wildcards. Whether it is reserved is for whoever answers.
  const problem = topicProblem(topic, true)
  if (problem !== undefined) throw new errors.HEADER_INVALID(endpoint, `'${RESPONSE_TOPIC}': ${problem}`)
  return topic
}

function correlationDataOf(endpoint: string, text: string): Buffer {
  const bytes = BASE64.test(text) ? Buffer.from(text, 'base64') : undefined
  if (bytes !== undefined && bytes.length <= 65_535) return bytes
  throw new errors.HEADER_INVALID(endpoint, `'${CORRELATION_DATA}' is base64 of 65,535 bytes at most`)
}

/**
 * Bytes of the PUBLISH packet (MQTT 5 and 3.1.1, section 3.3).
 * @param properties undefined in 3.1.1.
 */
export function packetSize(topic: string, payload: Buffer, qos: number, properties: Properties | undefined): number {
  let remaining = 2 + Buffer.byteLength(topic) + (qos > 0 ? 2 : 0) + payload.length
  if (properties !== undefined) {
    const length = propertiesSize(properties)
    remaining += numberSize(length) + length
  }
  return 1 + numberSize(remaining) + remaining
}

function propertiesSize(properties: Properties): number {
  const { contentType, responseTopic, correlationData, userProperties } = properties
  let size = properties.payloadFormatIndicator === undefined ? 0 : 2
  if (properties.messageExpiryInterval !== undefined) size += 5
  if (contentType !== undefined) size += 3 + Buffer.byteLength(contentType)
  if (responseTopic !== undefined) size += 3 + Buffer.byteLength(responseTopic)
  if (correlationData !== undefined) size += 3 + correlationData.length
  return size + userPropertiesSize(userProperties ?? {})
}

function userPropertiesSize(properties: NonNullable<Properties['userProperties']>): number {
  let size = 0
  for (const name in properties) size += 5 + Buffer.byteLength(name) + Buffer.byteLength(properties[name] as string)
  return size
}

/** Bytes of a number that is written in as many as it needs. Source: MQTT 5, section 1.5.5. */
function numberSize(value: number): number {
  if (value < 128) return 1
  if (value < 16_384) return 2
  return value < 2_097_152 ? 3 : 4
}
