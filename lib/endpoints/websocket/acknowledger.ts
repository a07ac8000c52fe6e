/**
 * Floor 3. What clients send that speak `araldo.v1`: each message is answered once, with ack or nack, when the relay has
 * settled it. A message that comes twice is delivered once, as far as the conversation remembers.
 */
import { errors } from '../../errors.ts'
import type { Marshaller, MessageInit } from '../../message.ts'
import type { Headers, Settle } from '../../types.ts'
import { type Content, contentOf, SUBPROTOCOL } from '../common/araldo-v1/content.ts'
import type { Client } from './client.ts'
import { CLOSE_CODES, type CloseCode } from './close-codes.ts'
import type { Conversation, Flight } from './conversation.ts'
import { ackOf, type ClientMessage, type ClientSession, FrameError, nackOf, parseFrame } from './protocol.ts'
import type { Replies } from './replies.ts'

/** Grow with each answer, with each message that came again, and with what is not of the format. */
export interface AcknowledgerCounters {
  acknowledged: number
  rejected: number
  duplicates: number
  decodeErrors: number
}

export interface AcknowledgerInit {
  /** The endpoint's. */
  readonly name: string
  readonly marshaller: Marshaller
  readonly replies: Replies
  readonly counters: AcknowledgerCounters
  readonly receive: (init: Omit<MessageInit, 'source' | 'marshaller'>, settle: Settle) => void
  /** A client sent what is no frame of the protocol. */
  readonly onInvalid: (client: Client, code: CloseCode, value: string) => void
}

export class Acknowledger {
  readonly #init: AcknowledgerInit
  readonly #content: Content

  constructor(init: AcknowledgerInit) {
    this.#init = init
    this.#content = contentOf(init.marshaller)
  }

  /** Takes a client's frame in. */
  take(client: Client, conversation: Conversation, data: Buffer, isBinary: boolean): void {
    const { onInvalid, name } = this.#init
    if (isBinary) {
      onInvalid(client, CLOSE_CODES.textExpected, SUBPROTOCOL)
      return
    }
    let frame: ClientMessage | ClientSession
    try {
      frame = parseFrame(data, this.#content)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      const { id, message } = error
      if (id === undefined || conversation.isInFlight(id)) {
        onInvalid(client, CLOSE_CODES.undecodable, `${SUBPROTOCOL}: ${message}`)
      } else {
        this.#init.counters.decodeErrors++
        this.#reject(client, id, new errors.FRAME_INVALID(name, message), message)
      }
      return
    }
    if (frame.type === 'message') this.#receive(client, conversation, frame, data.length)
    else if (!conversation.openSession(frame.session)) {
      onInvalid(client, CLOSE_CODES.undecodable, `${SUBPROTOCOL}: a session is opened once, and first`)
    }
  }

  /** Tells a client that is about to be sent away to send again what has no answer yet. */
  giveBack(client: Client, conversation: Conversation): void {
    for (const id of conversation.unanswered) this.#reject(client, id, new errors.CLOSING())
    conversation.close()
  }

  /** @param bytes of the frame: what is not payload in it is kept, too, as headers. */
  #receive(client: Client, conversation: Conversation, frame: ClientMessage, bytes: number): void {
    const { id, key, headers, payload } = frame
    const { marshaller, replies, counters, receive } = this.#init
    if (conversation.isInFlight(id)) {
      counters.duplicates++
      return
    }
    if (conversation.wasAcknowledged(id)) {
      counters.duplicates++
      replies.send(client, ackOf(id))
      return
    }
    const messageId = conversation.messageId(id)
    let body: unknown
    try {
      body = marshaller.decode(payload)
    } catch (cause) {
      counters.decodeErrors++
      this.#reject(client, id, new errors.UNDECODABLE(marshaller.format, messageId, { cause }))
      return
    }
    const flight = conversation.begin(id, bytes)
    const message = { id: messageId, payload, body, topic: client.path, key, origin: client }
    receive({ ...message, headers: withOwn(client.headers, headers) }, (error) => {
      this.#settle(client, conversation, flight, error)
    })
  }

  #settle(client: Client, conversation: Conversation, flight: Flight, error: Error | null): void {
    if (!conversation.end(flight, error === null)) return
    if (error !== null) {
      this.#reject(client, flight.id, error)
      return
    }
    this.#init.counters.acknowledged++
    this.#init.replies.send(client, ackOf(flight.id))
  }

  #reject(client: Client, id: string, error: Error, reason?: string): void {
    this.#init.counters.rejected++
    this.#init.replies.send(client, nackOf(id, error, reason))
  }
}

/** The connection's headers, and the message's own ones: no name is in both. */
function withOwn(connection: Headers, own: Headers | undefined): Headers {
  return own === undefined ? connection : Object.freeze({ ...own, ...connection })
}
