/**
 * Floor 3. What of a message a protocol has no field for: it travels in headers of these names, and is a part of the
 * message again at the next relay. `traceparent` and `tracestate` (W3C Trace Context) are headers like any other.
 */
import type { Marshaller, Message } from '../../message.ts'
import type { Headers } from '../../types.ts'

export const ID = 'araldo-id'
export const KEY = 'araldo-key'
/** Milliseconds since 1970, as a decimal number. */
export const TIME = 'araldo-time'
/** The media type of the payload, where the protocol has no field of its own for it. */
export const CONTENT_TYPE = 'content-type'

/** Characters: a longer id is no relay's, and would cost what no bound counts. The message gets one of its own. */
const MAX_ID = 1_024

/** What headers say of a message; the other headers. Fits into a `MessageInit`. */
export interface Attributes {
  readonly id: string | undefined
  readonly key: string | undefined
  readonly time: number | undefined
  readonly headers: Headers | undefined
}

export const NO_ATTRIBUTES: Attributes = { id: undefined, key: undefined, time: undefined, headers: undefined }

/** Takes in headers as they come; of two with one name the last counts. */
export class AttributesReader implements Attributes {
  id: string | undefined
  key: string | undefined
  time: number | undefined
  headers: Record<string, string> | undefined

  add(name: string, value: string): void {
    if (name === ID) this.id = value === '' || value.length > MAX_ID ? undefined : value
    else if (name === KEY) this.key = value
    else if (name === TIME) this.time = timeOf(value)
    else (this.headers ??= Object.create(null) as Record<string, string>)[name] = value
  }
}

/** @returns undefined where it is no time that a Date can hold. */
function timeOf(text: string): number | undefined {
  const time = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  return time <= 8.64e15 ? time : undefined
}

/**
 * The media type of the bytes that are sent: what the message says of itself, where these are the bytes that it says it
 * of; that of the target's format otherwise. Whoever writes it leaves the header {@link CONTENT_TYPE} out.
 * @param marshaller the target's.
 */
export function contentTypeOf(message: Message, marshaller: Marshaller): string {
  const own = message.marshaller.format === marshaller.format ? message.headers[CONTENT_TYPE] : undefined
  return own ?? marshaller.contentType
}
