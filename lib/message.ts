/**
 * Floor 0. A message on its way through the relay, and the marshaller that turns its bytes into a body and back.
 *
 * Cheap by construction: an id is made when somebody asks for it, a payload is decoded when somebody reads the body,
 * and a body is encoded once per format, however many targets want it. What came in untouched goes out untouched.
 */
import { randomBytes } from 'node:crypto'
import { errors } from './errors.ts'
import type { Headers } from './types.ts'

/** Turns payload bytes into a body and back. Stateless: one instance serves every message. */
export interface Marshaller {
  /**
   * Names the byte format. Two marshallers with one format understand each other's bytes, so a payload passes
   * between them untouched: `json`, `text`, `protobuf:orders.proto#Order`.
   */
  readonly format: string
  /** The IANA media type of the payload. */
  readonly contentType: string
  /** Whether the bytes are no text (WebSocket: binary frames). Text formats are UTF-8. */
  readonly binary: boolean
  /** Throws on bytes that are not of the format. Must be safe on hostile input. */
  decode(payload: Buffer): unknown
  /** Throws on a body that the format cannot carry. */
  encode(body: unknown): Buffer
  /**
   * For a format that says more of a message than its body, or says it in headers: the message as it is in the relay,
   * with a payload of this format. Called with each message that comes in at an endpoint of this marshaller. Must not
   * throw: what it cannot read it gives back as it is, for {@link decode} to say why.
   */
  incoming?(message: Message): Message
  /**
   * The opposite of {@link incoming}: what an endpoint of this marshaller is given to send, its payload in the bytes that
   * are to be sent, whose `marshaller` has this one's format. Throws where the format cannot carry the message.
   * @param carriesHeaders whether headers reach the endpoint's peer.
   */
  outgoing?(message: Message, carriesHeaders: boolean): Message
}

/** What a source knows of a message. All but `source` and `marshaller` may be left out. */
export interface MessageInit {
  /** The endpoint that it came in by. */
  readonly source: string
  readonly marshaller: Marshaller
  /** The bytes as they came. Not copied: the source hands them over and must not write to them again. */
  readonly payload?: Buffer | undefined
  /** The body, where there are no bytes yet (the application publishes), or where it was decoded already. */
  readonly body?: unknown
  readonly topic?: string | undefined
  readonly key?: string | undefined
  readonly headers?: Headers | undefined
  /** A stable id, where the protocol carries one; made on first use otherwise. */
  readonly id?: string | undefined
  /** Milliseconds since the epoch; now, if left out. */
  readonly time?: number | undefined
  /**
   * The connection that it came in by, for the source's own use: how an endpoint that is also the target knows
   * whom not to send it back to.
   */
  readonly origin?: unknown
}

/** What a step may change. Whatever is left out stays. */
export interface MessageChange {
  readonly body?: unknown
  readonly topic?: string
  readonly key?: string
  readonly headers?: Headers
}

/** Of every message that came without any. */
export const NO_HEADERS: Headers = Object.freeze(Object.create(null) as Record<string, string>)
const ID_PREFIX = `${randomBytes(9).toString('base64url')}-`
let sequence = 0

export class Message {
  readonly source: string
  /** Where in its endpoint it came from, or is to go: channel, subject, path. `''` where there is none. */
  readonly topic: string
  /** What its order is kept by. */
  readonly key: string | undefined
  readonly headers: Headers
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly origin: unknown
  #id: string | undefined
  readonly #marshaller: Marshaller
  #payload: Buffer | undefined
  #body: unknown
  #hasBody: boolean
  /** It came as bytes: what they mean can be read from them again. */
  readonly #isDecodable: boolean
  /** Encodings for other formats than its own; most messages never need one. */
  #encodings: Map<string, Buffer> | undefined
  /** The message that this one was made from, where both have one body: what one decodes or encodes, all have. */
  #base: Message | undefined

  constructor(init: MessageInit) {
    this.source = init.source
    this.topic = init.topic ?? ''
    this.key = init.key
    this.headers = init.headers ?? NO_HEADERS
    this.time = init.time ?? Date.now()
    this.origin = init.origin
    this.#id = init.id
    this.#marshaller = init.marshaller
    this.#payload = init.payload
    this.#body = init.body
    this.#hasBody = init.payload === undefined || init.body !== undefined
    this.#isDecodable = init.payload !== undefined
    this.#encodings = undefined
    this.#base = undefined
  }

  /** Stable through the relay: receivers can be idempotent by it. */
  get id(): string {
    return (this.#id ??= ID_PREFIX + (sequence++).toString(36))
  }

  /** The format of {@link payload}. */
  get marshaller(): Marshaller {
    return this.#marshaller
  }

  /**
   * The bytes in the message's own format. Shared by everyone who has the message: never write to them.
   * @throws ARALDO_ERR_UNENCODABLE where the message came as a body that the format cannot carry.
   */
  get payload(): Buffer {
    const owner = this.#base ?? this
    return (owner.#payload ??= owner.#encode(owner.#marshaller))
  }

  /** Bytes of the payload, or of what it was encoded to, as far as there are any yet; else 0. Encodes nothing. */
  get byteLength(): number {
    const owner = this.#base ?? this
    if (owner.#payload !== undefined) return owner.#payload.length
    if (owner.#encodings !== undefined) for (const encoded of owner.#encodings.values()) return encoded.length
    return 0
  }

  /**
   * The decoded payload; decoded on first use. Shared: never write to it.
   * @throws ARALDO_ERR_UNDECODABLE
   */
  get body(): unknown {
    const owner = this.#base ?? this
    if (!owner.#hasBody) {
      try {
        owner.#body = owner.#marshaller.decode(owner.#payload as Buffer)
      } catch (cause) {
        throw new errors.UNDECODABLE(owner.#marshaller.format, owner.id, { cause })
      }
      owner.#hasBody = true
    }
    return owner.#body
  }

  /**
   * Lets go of a body that can be decoded again: a message that waits is to cost its bytes, which are bounded, and not
   * what they look like decoded, which is several times as much.
   */
  forgetBody(): void {
    const owner = this.#base ?? this
    if (!owner.#isDecodable) return
    owner.#body = undefined
    owner.#hasBody = false
  }

  /**
   * The bytes in the target's format: the payload as it is where the formats are one, else encoded once per format.
   * @throws ARALDO_ERR_UNDECODABLE, ARALDO_ERR_UNENCODABLE
   */
  encode(marshaller: Marshaller): Buffer {
    if (marshaller.format === this.#marshaller.format) return this.payload
    const owner = this.#base ?? this
    const known = owner.#encodings?.get(marshaller.format)
    if (known !== undefined) return known
    const encoded = owner.#encode(marshaller)
    ;(owner.#encodings ??= new Map()).set(marshaller.format, encoded)
    return encoded
  }

  /** A message like this one but for the change; this one stays as it is. Same id, same origin. */
  with(change: MessageChange): Message {
    return this.#derive(change, this.id)
  }

  /** One of several that this message becomes. Its id follows from this one's, and is the same each time. */
  part(index: number, change: MessageChange): Message {
    return this.#derive(change, `${this.id}/${index}`)
  }

  /** The same message, with a body and headers that are nobody else's: whoever has it may write to them. */
  copy(): Message {
    const owner = this.#base ?? this
    const hasPayload = owner.#payload !== undefined
    return new Message({
      source: this.source,
      marshaller: this.#marshaller,
      payload: owner.#payload,
      body: hasPayload ? undefined : structuredClone(owner.#body),
      topic: this.topic,
      key: this.key,
      headers: Object.assign(Object.create(null) as Record<string, string>, this.headers),
      id: this.id,
      time: this.time,
      origin: this.origin,
    })
  }

  #derive(change: MessageChange, id: string): Message {
    const changesBody = 'body' in change
    const message = new Message({
      source: this.source,
      marshaller: this.#marshaller,
      body: changesBody ? change.body : undefined,
      topic: change.topic ?? this.topic,
      key: change.key ?? this.key,
      headers: change.headers ?? this.headers,
      id,
      time: this.time,
      origin: this.origin,
    })
    if (!changesBody) message.#base = this.#base ?? this
    return message
  }

  #encode(marshaller: Marshaller): Buffer {
    const body = this.body
    try {
      return marshaller.encode(body)
    } catch (cause) {
      throw new errors.UNENCODABLE(marshaller.format, this.id, { cause })
    }
  }
}

/** A message that came in. Field by field: to spread it would take as long as all the rest. */
export function messageOf(source: string, marshaller: Marshaller, init: Omit<MessageInit, 'source' | 'marshaller'>) {
  const { payload, body, topic, key, headers, id, time, origin } = init
  return new Message({ source, marshaller, payload, body, topic, key, headers, id, time, origin })
}
