/**
 * Floor 3. Publishes on one channel with publisher confirms, for as long as one connection lasts: in order, many at a
 * time.
 *
 * A message that no queue is bound for is returned, and confirmed after that: the two make one answer. Every confirm is
 * awaited: how many are outstanding is what bounds the messages in memory.
 */
import type { ConfirmChannel, Message as ReturnedMessage } from 'amqplib'
import { errors, reasonOf } from '../../errors.ts'
import type { Settle } from '../../types.ts'
import { ID } from '../common/attributes.ts'
import { Overdue } from '../common/overdue.ts'
import type { Published } from './properties.ts'

export interface PublisherInit {
  readonly channel: ConfirmChannel
  /** The endpoint's name, for errors. */
  readonly name: string
  readonly exchange: string
  /** Milliseconds; undefined for as long as it takes. */
  readonly confirmTimeout: number | undefined
  /** The broker has not confirmed a message for so long. Must not throw. */
  readonly onOverdue: (error: Error) => void
  /** The error for a message that no queue is bound for. */
  readonly unroutable: (routingKey: string, reason: string) => Error
  /** The broker has not taken one. Must not throw. */
  readonly onRefused: (error: Error) => void
  /** The channel ended before the confirm: the broker has it, or has not. Must not throw. */
  readonly onUnanswered: () => void
  /** As much is under way as may be, or there is room again. Must not throw. */
  readonly onSaturated: (isSaturated: boolean) => void
}

/** At most so many messages and bytes are published and not confirmed. */
const MAX_IN_FLIGHT = 4_096
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024

interface Flight {
  readonly id: string
  readonly routingKey: string
  readonly bytes: number
  readonly settle: Settle
  /** The broker's words, where it was returned. */
  returned: string | undefined
}

export class Publisher {
  readonly #init: PublisherInit
  /** In the order of sending. */
  readonly #inFlight = new Set<Flight>()
  readonly #overdue: Overdue<Flight>
  #bytes = 0
  #isBlocked = false
  /** amqplib's buffer is full. */
  #isBrimming = false
  #isSaturated = false
  #isClosed = false

  constructor(init: PublisherInit) {
    this.#init = init
    const { channel, confirmTimeout: limit, onOverdue } = init
    this.#overdue = new Overdue({
      limit,
      oldest: () => this.#inFlight.values().next().value,
      onOverdue: () => onOverdue(new Error(`the broker confirms nothing that is published (for ${limit} ms)`)),
    })
    channel.on('return', this.#onReturn)
    channel.on('drain', this.#onDrain)
    // Before amqplib calls back for each with an error that says less.
    channel.prependListener('close', this.close)
  }

  /** Messages that no confirm has come for. */
  get inFlight(): number {
    return this.#inFlight.size
  }

  /**
   * `settle` is called when the broker has confirmed or refused it, or the channel has ended.
   * @throws ARALDO_ERR_CONNECTION_LOST, ARALDO_ERR_OVERFLOW, ARALDO_ERR_HEADER_INVALID.
   */
  publish(routingKey: string, payload: Buffer, properties: Published, id: string, settle: Settle): void {
    const { channel, name, exchange } = this.#init
    if (this.#isClosed) throw new errors.CONNECTION_LOST(name)
    if (this.#isFull) throw new errors.OVERFLOW(name, this.#inFlight.size)
    const flight: Flight = { id, routingKey, bytes: payload.length, settle, returned: undefined }
    let hasRoom: boolean
    try {
      hasRoom = channel.publish(exchange, routingKey, payload, properties, (error) => this.#confirmed(flight, error))
    } catch (error) {
      throw this.#refusalOf(error)
    }
    this.#inFlight.add(flight)
    if (!this.#isBlocked) this.#overdue.watch()
    this.#bytes += flight.bytes
    if (!hasRoom) this.#isBrimming = true
    this.#tell()
  }

  /** The broker reads nothing of what is published, or does again. */
  block(isBlocked: boolean): void {
    this.#isBlocked = isBlocked
    if (isBlocked) this.#overdue.stop()
    else this.#overdue.watch()
    this.#tell()
  }

  /** What no confirm has come for is told so. */
  readonly close = (): void => {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#overdue.stop()
    const { name, onUnanswered } = this.#init
    for (const flight of this.#inFlight) {
      if (!this.#inFlight.delete(flight)) continue
      onUnanswered()
      flight.settle(new errors.CONNECTION_LOST(name))
    }
  }

  #confirmed(flight: Flight, error: unknown): void {
    if (!this.#inFlight.delete(flight)) return
    this.#bytes -= flight.bytes
    const refusal = this.#answerOf(flight, error)
    if (refusal !== null) this.#init.onRefused(refusal)
    flight.settle(refusal)
    if (this.#isSaturated) this.#tell()
  }

  #answerOf({ returned, routingKey }: Flight, error: unknown): Error | null {
    const { name, unroutable } = this.#init
    if (returned !== undefined) return unroutable(routingKey, returned)
    if (error === null || error === undefined) return null
    return new errors.SEND_FAILED(name, 'the broker has not taken it: the queue is full or failing')
  }

  /** Of several with one id and one routing key, all are returned: the first first. */
  readonly #onReturn = ({ fields, properties }: ReturnedMessage): void => {
    const { routingKey, replyText } = fields as typeof fields & { readonly replyText?: string }
    const messageId: unknown = properties.messageId
    const id: unknown = typeof messageId === 'string' ? messageId : properties.headers?.[ID]
    for (const flight of this.#inFlight) {
      if (flight.returned !== undefined || flight.id !== id || flight.routingKey !== routingKey) continue
      flight.returned = replyText ?? 'NO_ROUTE'
      return
    }
  }

  readonly #onDrain = (): void => {
    this.#isBrimming = false
    this.#tell()
  }

  get #isFull(): boolean {
    return this.#inFlight.size >= MAX_IN_FLIGHT || this.#bytes >= MAX_IN_FLIGHT_BYTES
  }

  /** Half of it must be confirmed, so that nobody is woken up for every single confirm. */
  get #hasRoom(): boolean {
    return this.#inFlight.size <= MAX_IN_FLIGHT / 2 && this.#bytes <= MAX_IN_FLIGHT_BYTES / 2
  }

  #tell(): void {
    if (this.#isClosed) return
    const isHeld = this.#isBlocked || this.#isBrimming
    const isSaturated = isHeld || (this.#isSaturated ? !this.#hasRoom : this.#isFull)
    if (isSaturated === this.#isSaturated) return
    this.#isSaturated = isSaturated
    this.#init.onSaturated(isSaturated)
  }

  /** amqplib has written nothing: its field table is too large, or the channel has ended. */
  #refusalOf(error: unknown): Error {
    const { name } = this.#init
    if (error instanceof RangeError) {
      return new errors.HEADER_INVALID(name, 'all of them together are larger than 64 KiB, which amqplib cannot send')
    }
    if (error instanceof TypeError) return new errors.HEADER_INVALID(name, reasonOf(error))
    return new errors.CONNECTION_LOST(name, { cause: error })
  }
}
