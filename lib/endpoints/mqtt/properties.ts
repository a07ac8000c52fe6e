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
import {
  type Attributes,
  AttributesReader,
  CONTENT_TYPE,
  contentTypeOf,
  ID,
  KEY,
  NO_ATTRIBUTES,
  TIME,
} from '../common/attributes.ts'
import type { Properties } from './publish.ts'
import { textProblem } from './text.ts'
import { topicProblem } from './topic.ts'

export const RESPONSE_TOPIC = 'mqtt-response-topic'
export const CORRELATION_DATA = 'mqtt-correlation-data'
export const RETAINED = 'mqtt-retained'

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** What a packet says of its message beside topic and payload. Never throws. */
export function attributesOfPacket({ properties = {}, retain }: IPublishPacket, version: 5 | '3.1.1'): Attributes {
  // A packet of 3.1.1 says nothing of its message: that it was retained would be all.
  if (version !== 5) return NO_ATTRIBUTES
  const { userProperties = {}, contentType, responseTopic, correlationData } = properties
  const attributes = new AttributesReader()
  for (const name in userProperties) {
    // MQTT.js gives a list where a name comes twice, and null for what is cut off.
    const value: unknown = userProperties[name]
    const last: unknown = Array.isArray(value) ? value.at(-1) : value
    if (typeof last === 'string') attributes.add(name, last)
  }
  if (typeof contentType === 'string') attributes.add(CONTENT_TYPE, contentType)
  if (typeof responseTopic === 'string') attributes.add(RESPONSE_TOPIC, responseTopic)
  if (Buffer.isBuffer(correlationData)) attributes.add(CORRELATION_DATA, correlationData.toString('base64'))
  if (retain) attributes.add(RETAINED, 'true')
  return attributes
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
  const contentType = checked(endpoint, CONTENT_TYPE, contentTypeOf(message, marshaller))
  const user = [ID, checked(endpoint, ID, message.id), TIME, String(message.time)]
  if (key !== undefined) user.push(KEY, checked(endpoint, KEY, key))
  let responseTopic: string | undefined
  let correlationData: Buffer | undefined
  for (const name in headers) {
    const value = headers[name] as string
    if (name === CONTENT_TYPE || name === RETAINED) continue
    if (name === RESPONSE_TOPIC) responseTopic = responseTopicOf(endpoint, value)
    else if (name === CORRELATION_DATA) correlationData = correlationDataOf(endpoint, value)
    else if (name !== ID && name !== TIME && name !== KEY) {
      user.push(checked(endpoint, name, name), checked(endpoint, name, value))
    }
  }
  const isText = !marshaller.binary && isUtf8(payload)
  return { isText, expiry, contentType, responseTopic, correlationData, user }
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
