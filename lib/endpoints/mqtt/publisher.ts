/**
 * Floor 3. What is published over one connection: how much may be on its way, and what became of each. The broker's
 * receive maximum (MQTT 5, section 4.9) bounds what waits for its confirmation.
 */
import type { IClientPublishOptions } from 'mqtt'
import { errors } from '../../errors.ts'
import type { Settle } from '../../types.ts'
import { Overdue } from '../common/overdue.ts'
import type { Connection } from './connection.ts'

/** Bytes that wait for the socket: past that there is no room. */
const MAX_UNSENT = 1024 * 1024
/** Messages without a confirmation, at most, whatever the broker allows. */
const MAX_IN_FLIGHT = 10_000

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

export class Publisher {
  readonly #init: PublisherInit
  readonly #limit: number
  /** In the order of sending. */
  readonly #inFlight = new Set<Settle>()
  readonly #overdue: Overdue<Settle>
  #isFull = false

  constructor(init: PublisherInit) {
    this.#init = init
    this.#limit = Math.min(init.receiveMaximum, MAX_IN_FLIGHT)
    const { connection, confirmTimeout: limit } = init
    this.#overdue = new Overdue({
      limit,
      oldest: () => this.#inFlight.values().next().value,
      // Sent again over the same connection it would be a breach of MQTT 5, section 4.4.
      onOverdue: () => connection.abandon(new Error(`the broker confirms nothing that it was sent (for ${limit} ms)`)),
    })
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /**
   * @param settle called once; not for QoS 0.
   * @param refused what an answer that is an error means for the message.
   * @throws ARALDO_ERR_OVERFLOW where there is no room.
   */
  publish(
    topic: string,
    payload: Buffer,
    options: IClientPublishOptions,
    settle: Settle | undefined,
    refused: (error: Error) => Error,
  ): void {
    const { connection, name } = this.#init
    if (this.#inFlight.size >= this.#limit || connection.unsent > 2 * MAX_UNSENT) {
      throw new errors.OVERFLOW(name, this.#inFlight.size)
    }
    if (settle === undefined) connection.publish(topic, payload, options)
    else {
      // One function for each, so that a `settle` that comes twice counts twice.
      const answered: Settle = (error) => settle(error)
      this.#inFlight.add(answered)
      this.#overdue.watch()
      connection.publish(topic, payload, options, (error) => {
        if (!this.#inFlight.delete(answered)) return
        answered(error === undefined ? null : refused(error))
        this.look()
      })
    }
    this.look()
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
    const open = [...this.#inFlight]
    this.#inFlight.clear()
    for (const settle of open) settle(new errors.CONNECTION_LOST(this.#init.name))
  }
}
