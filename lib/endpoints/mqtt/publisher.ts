/**
 * Floor 3. What is published over one connection: how much may be on its way, and what became of each. The broker's
 * receive maximum (MQTT 5, section 4.9) bounds what waits for its confirmation.
 */
import { errors } from '../../errors.ts'
import { FreshMap } from '../../fresh-map.ts'
import type { Settle } from '../../types.ts'
import { Overdue } from '../common/overdue.ts'
import type { Answer, Connection } from './connection.ts'
import type { Qos } from './options.ts'
import type { PublishPacket } from './publish.ts'

/** Bytes that wait for the socket: past that there is no room. */
const MAX_UNSENT = 1024 * 1024
/** Messages without a confirmation, at most, whatever the broker allows. */
const MAX_IN_FLIGHT = 10_000
/** A reason code from here on is an error. Source: MQTT 5, section 2.4. */
const FAILURE = 0x80

export interface PublisherInit {
  /** The endpoint's name. */
  readonly name: string
  readonly connection: Connection
  /** Messages that the broker takes at one time without having confirmed them. */
  readonly receiveMaximum: number
  /** The broker confirms a message within so many milliseconds, or the connection counts as lost. */
  readonly confirmTimeout: number
  /** Whether there is room has changed. Must not throw. */
  readonly onFull: (isFull: boolean) => void
}

/** A message that the broker has and has not confirmed. */
interface Flight {
  readonly qos: Qos
  readonly settle: Settle | undefined
  readonly refused: (code: number) => Error
  /** Of QoS 2: the broker has it, and was told that it may forget its packet identifier (PUBREL). */
  isReleased: boolean
}

export class Publisher {
  readonly #init: PublisherInit
  readonly #limit: number
  /** By packet identifier, in the order of sending. */
  readonly #inFlight = new FreshMap<number, Flight>()
  readonly #overdue: Overdue<Flight>
  #isFull = false

  constructor(init: PublisherInit) {
    this.#init = init
    this.#limit = Math.min(init.receiveMaximum, MAX_IN_FLIGHT)
    const { connection, confirmTimeout: limit } = init
    this.#overdue = new Overdue({
      limit,
      oldest: () => this.#inFlight.first,
      // Sent again over the same connection it would be a breach of MQTT 5, section 4.4.
      onOverdue: () => connection.abandon(new Error(`the broker confirms nothing that it was sent (for ${limit} ms)`)),
    })
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /**
   * @param settle called once; not for QoS 0.
   * @param refused what a reason code that is an error means for the message.
   * @throws ARALDO_ERR_OVERFLOW where there is no room.
   */
  publish(packet: PublishPacket, settle: Settle | undefined, refused: (code: number) => Error): void {
    const { connection, name } = this.#init
    const { qos } = packet
    const isFull = this.#inFlight.size >= this.#limit || connection.unsent > 2 * MAX_UNSENT
    const id = isFull ? undefined : qos === 0 ? 0 : connection.allocate()
    if (id === undefined) throw new errors.OVERFLOW(name, this.#inFlight.size)
    if (qos > 0) {
      this.#inFlight.set(id, { qos, settle, refused, isReleased: false })
      this.#overdue.watch()
    }
    connection.write(packet.encode(id))
    this.look()
  }

  /** PUBACK, PUBREC or PUBCOMP. */
  answer({ cmd, messageId: id = 0, reasonCode = 0 }: Answer): void {
    const flight = this.#inFlight.get(id)
    // To one that it had answered before, or to none: nothing hangs on it.
    if (flight === undefined) return
    const { connection } = this.#init
    if (cmd !== expected(flight)) {
      connection.abandon(new Error(`the broker answered a message of QoS ${flight.qos} with ${cmd.toUpperCase()}`))
    } else if (cmd === 'pubrec' && reasonCode < FAILURE) {
      flight.isReleased = true
      connection.release(id)
    } else {
      this.#inFlight.delete(id)
      connection.free(id)
      flight.settle?.(reasonCode < FAILURE ? null : flight.refused(reasonCode))
      this.look()
    }
  }

  /** Says whether there is room, where that has changed. */
  look(): void {
    const { connection, onFull } = this.#init
    const { size } = this.#inFlight
    // Half of it must be answered, so that nobody is woken up for every single answer.
    const isFull = this.#isFull
      ? size > this.#limit / 2 || connection.unsent > MAX_UNSENT / 2
      : size >= this.#limit || connection.unsent > MAX_UNSENT
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    onFull(isFull)
  }

  /** The connection is gone: nobody knows what became of what was on its way. */
  close(): void {
    this.#overdue.stop()
    const open = this.#inFlight.values()
    this.#inFlight.clear()
    for (const { settle } of open) settle?.(new errors.CONNECTION_LOST(this.#init.name))
  }
}

/** Source: MQTT 5, sections 4.3.2 and 4.3.3. */
function expected({ qos, isReleased }: Flight): Answer['cmd'] {
  if (qos === 1) return 'puback'
  return isReleased ? 'pubcomp' : 'pubrec'
}
