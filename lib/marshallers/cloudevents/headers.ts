/**
 * Floor 3. The attributes of an event in headers, as the bindings to HTTP and NATS have them: `ce-` before the name, and
 * what is not visible ASCII percent-encoded (cloudevents/bindings/http-protocol-binding.md, section 3.1.3.2).
 */
import type { Headers } from '../../types.ts'
import { type Attributes, newAttributes } from './event.ts'

export const CONTENT_TYPE = 'content-type'
const PREFIX = 'ce-'
const STRUCTURED = /^application\/cloudevents/i

/** Whether an event's attributes are in the headers, and the payload is its data. */
export function isBinaryMode(headers: Headers): boolean {
  return headers[`${PREFIX}specversion`] !== undefined && !STRUCTURED.test(headers[CONTENT_TYPE] ?? '')
}

/** @returns what the headers say of an event; `specversion`, too, where it is there. @throws Error where they are not UTF-8. */
export function attributesIn(headers: Headers): Attributes {
  const attributes = newAttributes()
  for (const name in headers) {
    if (name.startsWith(PREFIX)) attributes[name.slice(PREFIX.length)] = decodeValue(headers[name] as string)
  }
  return attributes
}

/** @returns the headers but for those of an event. */
export function withoutEvent(headers: Headers): Record<string, string> {
  const rest = Object.create(null) as Record<string, string>
  for (const name in headers) {
    if (!name.startsWith(PREFIX) && name !== CONTENT_TYPE) rest[name] = headers[name] as string
  }
  return rest
}

/** @param headers changed: the attributes are added. */
export function addAttributes(headers: Record<string, string>, attributes: Attributes): void {
  for (const name in attributes) headers[PREFIX + name] = encodeValue(attributes[name] as string)
}

/** Whether both say the same of an event. */
export function isSameEvent(one: Headers, other: Headers): boolean {
  let count = 0
  for (const name in one) {
    if (!name.startsWith(PREFIX)) continue
    if (one[name] !== other[name]) return false
    count++
  }
  for (const name in other) if (name.startsWith(PREFIX)) count--
  return count === 0
}

export function encodeValue(text: string): string {
  return text.replace(/[^\x21\x23\x24\x26-\x7e]+/gu, (part) => {
    return Buffer.from(part)
      .toString('hex')
      .replaceAll(/../g, (pair) => `%${pair.toUpperCase()}`)
  })
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeValue(text: string): string {
  if (!text.includes('%')) return text
  return text.replace(/(?:%[\dA-F]{2})+/gi, (part) => utf8.decode(Buffer.from(part.replaceAll('%', ''), 'hex')))
}
