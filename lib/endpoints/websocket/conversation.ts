/**
 * Floor 3. What is known of one connection that speaks `araldo.v1`: its messages that are not settled yet, bounded, and
 * the ids of those that were. It ends with the connection: what settles later is told to nobody.
 */
import { hash } from 'node:crypto'
import { FreshMap } from '../../fresh-map.ts'

/** A message of the client's that has no answer yet. */
export interface Flight {
  /** The client's own. */
  readonly id: string
  readonly bytes: number
}

export interface ConversationInit {
  /** No other connection's: whose ids its ids are among, where the client opens no session. */
  readonly connection: string
  /** Of the endpoint, and where in it. */
  readonly scope: string
  /** Messages without an answer, at most; and as many that were acknowledged are remembered. */
  readonly maxMessages: number
  /** Bytes that these may have. */
  readonly maxBytes: number
}

/** Characters of a message's id: 132 bits. */
const ID_LENGTH = 22

export class Conversation {
  readonly #init: ConversationInit
  readonly #flights = new FreshMap<string, Flight>()
  /** The last ones, the oldest first. */
  readonly #acknowledged = new FreshMap<string, string>()
  #namespace: string
  #bytes = 0
  #isFull = false
  #isBegun = false

  constructor(init: ConversationInit) {
    this.#init = init
    this.#namespace = `connection\n${init.scope}\n${init.connection}`
  }

  /** Messages without an answer. */
  get inFlight(): number {
    return this.#flights.size
  }

  /** Nothing more is to be read from the client: from the bound on, until half of it is answered. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** The ids of messages without an answer, in their order. */
  get unanswered(): string[] {
    return this.#flights.keys()
  }

  /** The client names its session. @returns whether it is the time for that: once, before the first message. */
  openSession(session: string): boolean {
    if (this.#isBegun) return false
    this.#isBegun = true
    this.#namespace = `session\n${this.#init.scope}\n${session}`
    return true
  }

  /**
   * The id that a message travels with: the same for the same id of the same session, also on another connection and
   * at another relay. Nobody can make one of somebody else's ids who does not know the session, or speak on the
   * connection; neither can be told from the id.
   */
  messageId(id: string): string {
    return hash('sha256', `${this.#namespace}\n${id}`, 'base64url').slice(0, ID_LENGTH)
  }

  isInFlight(id: string): boolean {
    return this.#flights.has(id)
  }

  wasAcknowledged(id: string): boolean {
    return this.#acknowledged.has(id)
  }

  /** A message came in; its id is not in flight. */
  begin(id: string, bytes: number): Flight {
    this.#isBegun = true
    const flight = { id, bytes }
    this.#flights.set(id, flight)
    this.#bytes += bytes
    if (this.#flights.size >= this.#init.maxMessages || this.#bytes >= this.#init.maxBytes) this.#isFull = true
    return flight
  }

  /** A message is settled. @returns whether the client is to be told: not twice, and not when it has left. */
  end(flight: Flight, isAcknowledged: boolean): boolean {
    if (this.#flights.get(flight.id) !== flight) return false
    this.#flights.delete(flight.id)
    this.#bytes -= flight.bytes
    const { maxMessages, maxBytes } = this.#init
    if (this.#flights.size <= maxMessages / 2 && this.#bytes <= maxBytes / 2) this.#isFull = false
    if (isAcknowledged) this.#remember(flight.id)
    return true
  }

  /** The connection is gone. */
  close(): void {
    this.#flights.clear()
    this.#acknowledged.clear()
    this.#bytes = 0
  }

  #remember(id: string): void {
    this.#acknowledged.set(id, id)
    if (this.#acknowledged.size <= this.#init.maxMessages) return
    const oldest = this.#acknowledged.first
    if (oldest !== undefined) this.#acknowledged.delete(oldest)
  }
}
