/**
 * Floor 3. The header block of a NATS message: what of a message is in which header, both ways.
 *
 * Source: ADR-4, "NATS Message Headers". Names are printable ASCII without a colon, values any text without a line end.
 * Headers whose names begin with `Nats-` are orders to a server with JetStream (`Nats-Rollup: all` purges a stream):
 * none is taken from a message, whoever made it.
 */
import { type Msg, MsgHdrsImpl } from '@nats-io/transport-node'
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

const VERSION = 'NATS/1.0\r\n'
/** A colon ends a name; all else that is no printable ASCII has no place in one. */
const NAME = /^[!-9;-~]+$/
/** Readers cut white space off at both ends; half a surrogate pair has no bytes. */
// eslint-disable-next-line no-control-regex
const UNCARRIED = /[\r\n\u0000]|^\s|\s$|\p{Surrogate}/u
const RESERVED = /^nats-/i
const OWN = new Set([ID, KEY, TIME, CONTENT_TYPE])

/** A block that is encoded already, as the library wants to be given it. */
export class HeaderBlock extends MsgHdrsImpl {
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    super()
    this.#bytes = bytes
  }

  override encode(): Buffer {
    return this.#bytes
  }
}

/**
 * The block for a message.
 * @param extra lines of the protocol's own, each with its line end: `Nats-Msg-Id: 1\r\n`.
 * @throws ARALDO_ERR_HEADER_INVALID where a header cannot go through as it is.
 */
export function blockOf(message: Message, marshaller: Marshaller, endpoint: string, extra = ''): Buffer {
  const { id, key, time, headers } = message
  let text = `${VERSION}${extra}${line(ID, id, endpoint)}${TIME}: ${time}\r\n`
  if (key !== undefined) text += line(KEY, key, endpoint)
  text += line(CONTENT_TYPE, contentTypeOf(message, marshaller), endpoint)
  for (const name in headers) {
    if (OWN.has(name)) continue
    if (!NAME.test(name)) throw new errors.HEADER_INVALID(endpoint, `${quote(name)} is no name of a header in NATS`)
    if (RESERVED.test(name)) throw new errors.HEADER_INVALID(endpoint, `${quote(name)} would be an order to the server`)
    text += line(name, headers[name] as string, endpoint)
  }
  return Buffer.from(`${text}\r\n`)
}

/** @throws ARALDO_ERR_HEADER_INVALID. */
export function line(name: string, value: string, endpoint: string): string {
  if (UNCARRIED.test(value)) {
    const why = 'has a line end, NUL, white space at an end or broken Unicode in its value, which NATS cannot carry'
    throw new errors.HEADER_INVALID(endpoint, `${quote(name)} ${why}`)
  }
  return `${name}: ${value}\r\n`
}

/**
 * What the headers of a message that came in say of it, but for the server's own.
 * @throws Error where the library cannot read the block.
 */
export function attributesIn({ headers }: Msg): Attributes {
  if (headers === undefined) return NO_ATTRIBUTES
  const attributes = new AttributesReader()
  for (const [name, values] of headers) {
    const value = values.at(-1)
    if (value === undefined || RESERVED.test(name)) continue
    // Elsewhere it is written in one way only; NATS' headers are told apart by their case.
    attributes.add(isContentType(name) ? CONTENT_TYPE : name, value)
  }
  return attributes
}

function isContentType(name: string): boolean {
  return name.length === CONTENT_TYPE.length && name.toLowerCase() === CONTENT_TYPE
}
