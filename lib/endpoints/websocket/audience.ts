/**
 * Floor 3. An endpoint's clients, and what they are sent. Those that speak `araldo.v1` get a message in a frame of that
 * protocol, made once for all of them; the others get it as it is, and cost what they would cost alone.
 */
import type { Marshaller, Message } from '../../message.ts'
import { type Content, contentOf } from '../common/araldo-v1/content.ts'
import type { Client } from './client.ts'
import { FanOut } from './fan-out.ts'
import { frameLength } from './frame.ts'
import { pushOf } from './protocol.ts'
import { Replies } from './replies.ts'

export interface AudienceOptions {
  readonly marshaller: Marshaller
  /** Bytes that may wait for one client. */
  readonly limit: number
  readonly counters: {
    deliveries: number
    deliveredBytes: number
    /** Messages that clients of `araldo.v1` did not get: in its frame they are larger than `limit`. */
    oversized: number
  }
  /** A client did not get what was due to it: more than `limit` would wait. */
  readonly onOverflow: (client: Client) => void
  /** A client was told what became of its messages; in a turn of its own. */
  readonly onTold: (client: Client) => void
}

export class Audience {
  readonly clients = new Set<Client>()
  /** To clients of `araldo.v1`. */
  readonly replies: Replies
  readonly #options: AudienceOptions
  readonly #content: Content
  readonly #plain: FanOut
  readonly #acknowledged: FanOut

  constructor(options: AudienceOptions) {
    const { marshaller, limit, counters, onOverflow, onTold } = options
    const pace = { notBefore: 0 }
    this.#options = options
    this.#content = contentOf(marshaller)
    this.#plain = new FanOut({ binary: marshaller.binary, limit, counters, onOverflow, pace })
    this.#acknowledged = new FanOut({ binary: false, limit, counters, onOverflow, pace })
    this.replies = new Replies({ limit, onOverflow, onTold })
  }

  add(client: Client): void {
    this.clients.add(client)
    this.#fanOutOf(client).add(client)
  }

  delete(client: Client): void {
    this.clients.delete(client)
    this.#fanOutOf(client).delete(client)
  }

  /**
   * @param payload of the message, in the endpoint's format; its frame is not larger than the limit.
   * @param path of the clients that it is for; undefined for all.
   * @param except a client that does not get it.
   */
  send(message: Message, payload: Buffer, path: string | undefined, except: Client | undefined): void {
    this.#plain.send(payload, path, except)
    if (this.#acknowledged.reaches(path)) this.#push(message, payload, path, except)
  }

  /** Writes what this turn has gathered so far. To be called before a close frame is sent. */
  flush(): void {
    this.#plain.flush()
    this.#acknowledged.flush()
    this.replies.flush()
  }

  #push(message: Message, payload: Buffer, path: string | undefined, except: Client | undefined): void {
    const frame = pushOf(message, payload, this.#content)
    if (frameLength(frame.length) <= this.#options.limit) this.#acknowledged.send(frame, path, except)
    else this.#options.counters.oversized++
  }

  #fanOutOf({ conversation }: Client): FanOut {
    return conversation === undefined ? this.#plain : this.#acknowledged
  }
}
