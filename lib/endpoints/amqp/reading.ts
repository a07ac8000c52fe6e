/** Floor 3. Reads one queue on one channel, for as long as one connection lasts. */
import type { Channel, ConsumeMessage } from 'amqplib'
import { within } from '../../deadline.ts'
import type { Message } from '../../message.ts'
import { Acks } from './acks.ts'
import { Intake, type IntakeInit } from './intake.ts'

export interface ReadingInit extends Omit<IntakeInit, 'acks'> {
  readonly channel: Channel
  readonly queue: string
  /** Deliveries that are not acknowledged, at most. */
  readonly prefetch: number
  readonly exclusive: boolean
  readonly messageOf: (delivery: ConsumeMessage) => Message
  readonly onAcknowledged: (count: number) => void
  /** The broker delivers no more: the queue was deleted, or its node is gone. Must not throw. */
  readonly onCancelled: (error: Error) => void
}

/** How long the end waits for the broker to stop delivering (milliseconds). */
const CANCEL_TIMEOUT = 1_000

export class Reading {
  readonly #init: ReadingInit
  readonly #acks: Acks
  readonly #intake: Intake
  #consumerTag: string | undefined

  constructor(init: ReadingInit) {
    this.#init = init
    this.#acks = new Acks(init.channel, init.onAcknowledged)
    this.#intake = new Intake({ ...init, acks: this.#acks })
  }

  /** Deliveries that are not acknowledged. */
  get pending(): number {
    return this.#acks.size
  }

  /** Resolves when the broker delivers. */
  async start(): Promise<void> {
    const { channel, queue, prefetch, exclusive } = this.#init
    await channel.prefetch(prefetch)
    const { consumerTag } = await channel.consume(queue, this.#onDelivery, { exclusive })
    this.#consumerTag = consumerTag
  }

  resume(): void {
    this.#intake.resume()
  }

  /** Takes nothing new in. What the lanes do not have goes back to the queue; the rest can still be settled. */
  async quiesce(): Promise<void> {
    const tag = this.#consumerTag
    if (tag !== undefined) {
      this.#consumerTag = undefined
      // What comes before the answer comes in; past that time the broker does not answer.
      await within(CANCEL_TIMEOUT, this.#init.channel.cancel(tag)).catch(() => false)
    }
    this.#intake.close()
    this.#acks.flush()
  }

  /** The channel is about to be closed in order: what is settled is told before. */
  flush(): void {
    this.#intake.close()
    this.#acks.flush()
  }

  /** The channel is gone: what is in hand means nothing any more, and the broker delivers it again. */
  abandon(): void {
    this.#acks.close()
    this.#intake.close()
  }

  readonly #onDelivery = (delivery: ConsumeMessage | null): void => {
    const { queue, messageOf, onCancelled } = this.#init
    if (delivery === null) {
      onCancelled(new Error(`the broker delivers no more of the queue '${queue}': it was deleted, or its node is gone`))
      return
    }
    this.#intake.take(delivery.fields.deliveryTag, messageOf(delivery))
  }
}
