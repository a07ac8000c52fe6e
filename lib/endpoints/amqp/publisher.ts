/**
 * Floor 3. Publishes on one channel with publisher confirms, for as long as one connection lasts: in order, many at a
 * time.
 *
 * A message that no queue is bound for is returned, and confirmed after that: the two make one answer. Every confirm is
 * awaited: how many are outstanding is what bounds the messages in memory.
 */
import type { ConfirmChannel, Message as ReturnedMessage } from 'amqplib'
import { errors } from '../../errors.ts'
import { FreshMap } from '../../fresh-map.ts'
import type { Settle } from '../../types.ts'
import { ID } from '../common/attributes.ts'
import { Overdue } from '../common/overdue.ts'
import type { Properties } from './properties.ts'
import { PublishWriter } from './publish.ts'

export interface PublisherInit {
  readonly channel: ConfirmChannel
  /** The endpoint's name, for errors. */
  readonly name: string
  readonly exchange: string
  readonly persistent: boolean
  readonly mandatory: boolean
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

/** What amqplib's types leave out of a channel. */
interface LibraryChannel {
  /** Its number. */
  readonly ch: number
  readonly connection: {
    readonly frameMax: number
    /** By number; null where one was closed. */
    readonly channels: readonly (object | null)[]
    /** At once, behind what channels have written. */
    sendBytes(bytes: Buffer): void
  }
}

interface Confirm {
  readonly deliveryTag: number
  /** It is said of all before it, too. */
  readonly multiple: boolean
}

interface Flight {
  /** Its delivery tag. */
  readonly tag: number
  readonly id: string
  readonly routingKey: string
  readonly bytes: number
  readonly settle: Settle
  /** The broker's words, where it was returned. */
  returned: string | undefined
}

export class Publisher {
  readonly #init: PublisherInit
  readonly #writer: PublishWriter
  /** By delivery tag, in the order of sending. */
  readonly #inFlight = new FreshMap<number, Flight>()
  /** Of the message that was published last: the broker counts with us, from 1. */
  #tag = 0
  readonly #overdue: Overdue<Flight>
  #bytes = 0
  #isBlocked = false
  #isSaturated = false
  #isClosed = false

  /** @throws Error where the channel has ended meanwhile. */
  constructor(init: PublisherInit) {
    this.#init = init
    const { channel, exchange, persistent, mandatory, confirmTimeout: limit, onOverdue } = init
    const { ch, connection } = channel as unknown as LibraryChannel
    const { frameMax, channels } = connection
    if (channels[ch] === null) throw new Error('the broker closed the channel')
    const write = (bytes: Buffer): void => {
      if (!this.#isClosed) connection.sendBytes(bytes)
    }
    this.#writer = new PublishWriter({ channel: ch, exchange, persistent, mandatory, frameMax, write })
    this.#overdue = new Overdue({
      limit,
      oldest: () => this.#inFlight.first,
      onOverdue: () => onOverdue(new Error(`the broker confirms nothing that is published (for ${limit} ms)`)),
    })
    channel.on('return', this.#onReturn)
    // amqplib's own look for calls that were not made.
    for (const event of ['ack', 'nack'] as const) channel.removeAllListeners(event)
    channel.on('ack', (confirm: Confirm) => this.#confirmed(confirm, null))
    channel.on('nack', (confirm: Confirm) => {
      this.#confirmed(confirm, 'the broker has not taken it: the queue is full or failing')
    })
    channel.on('close', this.close)
  }

  /** Messages that no confirm has come for. */
  get inFlight(): number {
    return this.#inFlight.size
  }

  /**
   * `settle` is called when the broker has confirmed or refused it, or the channel has ended.
   * @throws ARALDO_ERR_CONNECTION_LOST, ARALDO_ERR_OVERFLOW, ARALDO_ERR_HEADER_INVALID.
   */
  publish(routingKey: string, payload: Buffer, properties: Properties, id: string, settle: Settle): void {
    const { name } = this.#init
    if (this.#isClosed) throw new errors.CONNECTION_LOST(name)
    if (this.#isFull) throw new errors.OVERFLOW(name, this.#inFlight.size)
    let bytes: number
    try {
      bytes = this.#writer.add(routingKey, properties, payload)
    } catch (error) {
      throw new errors.HEADER_INVALID(name, (error as RangeError).message)
    }
    const tag = ++this.#tag
    this.#inFlight.set(tag, { tag, id, routingKey, bytes, settle, returned: undefined })
    if (!this.#isBlocked) this.#overdue.watch()
    this.#bytes += bytes
    this.#tell()
  }

  /** The connection is about to be closed in order: what is published goes before. */
  flush(): void {
    this.#writer.flush()
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
    // Of the last message, too, all is written: the connection may be whole, and is closed in order then.
    this.#writer.flush()
    this.#isClosed = true
    this.#overdue.stop()
    const { name, onUnanswered } = this.#init
    const unanswered = this.#inFlight.values()
    this.#inFlight.clear()
    for (const { settle } of unanswered) {
      onUnanswered()
      settle(new errors.CONNECTION_LOST(name))
    }
  }

  /** What it does not know, or has heard of before, is nothing to it. */
  #confirmed({ deliveryTag, multiple }: Confirm, refusal: string | null): void {
    if (multiple) {
      // 0: all. What is published meanwhile is not meant, whatever the broker says.
      const last = deliveryTag === 0 ? this.#tag : Math.min(deliveryTag, this.#tag)
      const first = this.#inFlight.first?.tag ?? Infinity
      for (let tag = first; tag <= last; tag++) this.#confirmOne(tag, refusal)
    } else this.#confirmOne(deliveryTag, refusal)
    if (this.#isSaturated) this.#tell()
  }

  #confirmOne(tag: number, refusal: string | null): void {
    const flight = this.#inFlight.get(tag)
    if (flight === undefined) return
    this.#inFlight.delete(tag)
    this.#bytes -= flight.bytes
    const { name, unroutable, onRefused } = this.#init
    const { returned, routingKey, settle } = flight
    let error: Error | null = null
    if (returned !== undefined) error = unroutable(routingKey, returned)
    else if (refusal !== null) error = new errors.SEND_FAILED(name, refusal)
    if (error !== null) onRefused(error)
    settle(error)
  }

  /** Of several with one id and one routing key, all are returned: the first first. */
  readonly #onReturn = ({ fields, properties }: ReturnedMessage): void => {
    const { routingKey, replyText } = fields as typeof fields & { readonly replyText?: string }
    const messageId: unknown = properties.messageId
    const id: unknown = typeof messageId === 'string' ? messageId : properties.headers?.[ID]
    for (const [, flight] of this.#inFlight) {
      if (flight.returned !== undefined || flight.id !== id || flight.routingKey !== routingKey) continue
      flight.returned = replyText ?? 'NO_ROUTE'
      return
    }
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
    const isSaturated = this.#isBlocked || (this.#isSaturated ? !this.#hasRoom : this.#isFull)
    if (isSaturated === this.#isSaturated) return
    this.#isSaturated = isSaturated
    this.#init.onSaturated(isSaturated)
  }
}
