/**
 * Floor 3. The messages of QoS 1 and 2 that are in the relay's hands: come in, and not acknowledged yet.
 *
 * They are acknowledged in the order in which they came (MQTT-4.6.0-2, -3): one that is not settled keeps the
 * acknowledgements of those behind it back. They outlive a connection: when the broker has kept the session, it sends
 * them again with the same packet identifiers (MQTT-4.4.0-1), and what is in hand must not be taken in once more.
 */
import { FreshMap } from '../../fresh-map.ts'
import type { Message } from '../../message.ts'
import { InHand } from '../common/intake.ts'

/** One message. */
export class Held extends InHand {
  /** The packet identifier; the broker's to use again once it is acknowledged. */
  readonly id: number
  readonly qos: number
  declare readonly message: Message
  /** Bytes of its packet. */
  readonly size: number
  /** What became of it is known: all that is left is to acknowledge it. */
  isSettled = false
  /** The connection that it came by last; undefined where it is acknowledged. */
  connection: number | undefined

  constructor(id: number, qos: number, message: Message, size: number) {
    super(message)
    this.size = size
    this.id = id
    this.qos = qos
  }
}

/** Of a packet: what tells whether it is one that is in hand. */
export interface Arrival {
  readonly id: number
  readonly qos: number
  /** The broker says that it may have sent it before (DUP). */
  readonly isAgain: boolean
  readonly topic: string
  readonly payload: Buffer
}

export class Hands {
  readonly #acknowledge: (id: number, qos: number) => void
  /** By packet identifier: all that the broker's session holds of them. */
  readonly #held = new FreshMap<number, Held>()
  #bytes = 0
  /** What came by this connection, in order, by its QoS. */
  readonly #arrived = new Map<number, Held[]>()
  /** How many of it are not acknowledged. */
  #open = 0
  /** Of those that there were, the one of now. */
  #connection = 0
  /** Packet identifiers of QoS 2 whose PUBREC was sent, and that the broker has not released. */
  readonly #recorded = new Set<number>()

  /** @param acknowledge on the connection of now. */
  constructor(acknowledge: (id: number, qos: number) => void) {
    this.#acknowledge = acknowledge
  }

  /** In hand, whether or not its connection is there. */
  get count(): number {
    return this.#held.size
  }

  /** In hand, as the broker counts on this connection against the receive maximum. */
  get open(): number {
    return this.#open
  }

  /** Bytes of these, whether or not their connection is there. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * A connection is there.
   * @param isResumed whether the broker has kept the session. Where it has not, what is in hand is the relay's alone:
   * it is delivered, and there is nothing to acknowledge.
   */
  begin(isResumed: boolean): void {
    this.end()
    if (isResumed) return
    this.#held.clear()
    this.#bytes = 0
    this.#recorded.clear()
  }

  /** The connection is gone. What is settled from now on is acknowledged when the broker sends it again. */
  end(): void {
    this.#arrived.clear()
    this.#connection++
    this.#open = 0
  }

  /** Whether what arrives is known, and needs nothing more. Where it is not, it is new: {@link take} it. */
  recognise(arrival: Arrival): boolean {
    const { id, qos, isAgain } = arrival
    if (qos === 2 && this.#recorded.has(id)) {
      // Until it is released, it is the same one, whatever the broker says of it (MQTT-4.3.3-10).
      this.#acknowledge(id, qos)
      return true
    }
    const held = this.#held.get(id)
    if (held === undefined) return false
    if (!isAgain || !isSame(held, arrival)) {
      this.#forget(held)
      return false
    }
    if (held.connection !== this.#connection) this.#line(held)
    if (held.isSettled) this.#acknowledgeFirst(qos)
    return true
  }

  take(held: Held): void {
    this.#held.set(held.id, held)
    this.#bytes += held.size
    this.#line(held)
  }

  /** It is acknowledged in its turn; when the broker has sent it again, where its connection is gone. */
  settle(held: Held): void {
    held.isSettled = true
    if (held.connection === this.#connection) this.#acknowledgeFirst(held.qos)
  }

  /** The broker has released a message of QoS 2: its packet identifier is free. */
  release(id: number): void {
    this.#recorded.delete(id)
  }

  #line(held: Held): void {
    const line = this.#arrived.get(held.qos)
    if (line === undefined) this.#arrived.set(held.qos, [held])
    else line.push(held)
    held.connection = this.#connection
    this.#open++
  }

  /** The identifier is another message's now. */
  #forget(held: Held): void {
    this.#drop(held)
    const line = this.#arrived.get(held.qos) ?? []
    const index = line.indexOf(held)
    if (index >= 0) line.splice(index, 1)
    this.#acknowledgeFirst(held.qos)
  }

  #drop(held: Held): void {
    this.#held.delete(held.id)
    this.#bytes -= held.size
    if (held.connection === this.#connection) this.#open--
    held.connection = undefined
  }

  #acknowledgeFirst(qos: number): void {
    const line = this.#arrived.get(qos) ?? []
    let first = line[0]
    while (first?.isSettled === true) {
      line.shift()
      this.#drop(first)
      if (qos === 2) this.#recorded.add(first.id)
      this.#acknowledge(first.id, qos)
      first = line[0]
    }
  }
}

function isSame({ qos, message }: Held, arrival: Arrival): boolean {
  return qos === arrival.qos && message.topic === arrival.topic && message.payload.equals(arrival.payload)
}
