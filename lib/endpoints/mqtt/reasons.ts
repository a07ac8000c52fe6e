/** Floor 3. What a broker means by refusing: reason codes of MQTT 5 (section 2.4), return codes of 3.1.1. */
import { ReasonCodes } from 'mqtt'
import { quote } from '../../config/words.ts'
import { errors } from '../../errors.ts'

const NOT_AUTHORIZED = 0x87
const SESSION_TAKEN_OVER = 0x8e
const TOPIC_NAME_INVALID = 0x90
const PAYLOAD_FORMAT_INVALID = 0x99

/** The code in words, as the specification names it. */
export function reasonText(code: number): string {
  const text = (ReasonCodes as Readonly<Record<number, string>>)[code] ?? ''
  return text === '' ? `reason code ${code}` : text
}

/** Why the broker has ended the connection (DISCONNECT). */
export function disconnection(code: number, clientId: string): Error {
  const advice =
    code === SESSION_TAKEN_OVER
      ? `: another client has the client id ${quote(clientId)}; give each a 'client-id' of its own`
      : ''
  return new Error(`the broker ended the connection: ${reasonText(code)}${advice}`)
}

export interface Refused {
  readonly endpoint: string
  readonly topic: string
  /** The message's. */
  readonly id: string
}

/**
 * What a PUBACK, PUBREC or PUBCOMP with an error means for the message. What is a matter of its topic or its payload
 * stays so; all else is the broker's state, and may pass: a quota, a fault within.
 */
export function refusalOf(code: number, { endpoint, topic, id }: Refused): Error {
  switch (code) {
    case NOT_AUTHORIZED:
      return new errors.TOPIC_INVALID(endpoint, `the broker does not authorize it to publish to ${quote(topic)}`)
    case TOPIC_NAME_INVALID:
      return new errors.TOPIC_INVALID(endpoint, `the broker takes nothing for ${quote(topic)}`)
    case PAYLOAD_FORMAT_INVALID:
      return new errors.NOT_TEXT(endpoint, id)
    default:
      return new errors.SEND_FAILED(endpoint, `the broker refused it: ${reasonText(code)}`)
  }
}
