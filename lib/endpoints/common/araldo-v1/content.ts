/**
 * Floor 3. What both ends of `araldo.v1` know: its name, and how a payload is in a frame. docs/connectors/websocket.md is
 * the specification.
 */
import type { Marshaller } from '../../../message.ts'

export const SUBPROTOCOL = 'araldo.v1'

const CONTENTS = ['body', 'text', 'base64'] as const
/**
 * The member that a payload is in: `body` is JSON as it is, `text` a string, `base64` bytes (RFC 4648 section 4). Which
 * one is up to the endpoint's marshaller.
 */
export type Content = (typeof CONTENTS)[number]

export function contentOf({ format, binary }: Marshaller): Content {
  if (format === 'json') return 'body'
  return binary ? 'base64' : 'text'
}

/** Bytes of a frame around its payload, where nobody pads it. */
const ENVELOPE = 512
const HALF_CHARACTER = /\p{Cs}/u
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

/** A member's value; undefined where there is no such member. @throws Error where it is no JSON. */
export function member(members: ReadonlyMap<string, Buffer>, name: string): unknown {
  const value = members.get(name)
  if (value === undefined) return undefined
  try {
    return JSON.parse(value.toString()) as unknown
  } catch {
    throw new Error(`its '${name}' is not valid JSON`)
  }
}

/** @returns where the payload is in the frame; undefined unless it is in one member. */
export function contentIn(members: ReadonlyMap<string, Buffer>): Content | undefined {
  const there = CONTENTS.filter((name) => members.has(name))
  return there.length === 1 ? there[0] : undefined
}

/**
 * A message's payload: may be a part of the frame where the content is JSON.
 * @throws Error where it is not there alone, or is not what it should be.
 */
export function payloadIn(frame: Buffer, members: ReadonlyMap<string, Buffer>, content: Content): Buffer {
  const value = members.get(content)
  if (value === undefined || contentIn(members) !== content) {
    throw new Error(`its payload is not in '${content}', or not there alone`)
  }
  const parsed = member(members, content)
  if (content === 'body') return isMostOf(frame, value) ? value : Buffer.from(value)
  if (typeof parsed !== 'string' || HALF_CHARACTER.test(parsed)) throw new Error(`its '${content}' is no text`)
  if (content === 'text') return Buffer.from(parsed)
  if (parsed.length % 4 !== 0 || !BASE64.test(parsed)) throw new Error("its 'base64' is no base64, padded with =")
  return Buffer.from(parsed, 'base64')
}

/** A part keeps the whole in memory, which is counted nowhere: of a frame that is mostly spaces, a copy is kept. */
function isMostOf(frame: Buffer, part: Buffer): boolean {
  return frame.length <= part.length * 2 + ENVELOPE
}

/** Begins a text in UTF-8, for some; JSON has none within it. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])
const CLOSE = Buffer.from('}')

/**
 * @param head JSON of an object without its closing brace.
 * @param payload JSON where the content is `body`: it is not looked at.
 */
export function frameOf(head: string, payload: Buffer, content: Content): Buffer {
  if (content === 'base64') return Buffer.from(`${head},"base64":"${payload.toString('base64')}"}`)
  if (content === 'text') return Buffer.from(`${head},"text":${JSON.stringify(payload.toString())}}`)
  const isMarked = payload.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)
  const body = isMarked ? payload.subarray(BYTE_ORDER_MARK.length) : payload
  return Buffer.concat([Buffer.from(`${head},"body":`), body, CLOSE])
}
