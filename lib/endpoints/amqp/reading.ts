/** Floor 3. Reads one queue on one channel, for as long as one connection lasts. */
import type { Channel, ConsumeMessage } from 'amqplib'
import { within } from '../../deadline.ts'
import type { Message } from '../../message.ts'
import { InHand, Intake, type IntakeInit } from '../common/intake.ts'
import { Acks } from './acks.ts'

/** A delivery. */
class Held extends InHand {
  readonly tag: number

  constructor(tag: number, message: Message) {
    super(message)
    this.tag = tag
  }
}

export interface ReadingInit extends Pick<IntakeInit<Held>, 'mayGive' | 'give'> {
  readonly channel: Channel
  readonly queue: string
  /** Deliveries that are not acknowledged, at most. */
  readonly prefetch: number
  readonly exclusive: boolean
  readonly messageOf: (delivery: ConsumeMessage) => Message
  readonly onAcknowledged: (count: number) => void
  /** The lanes rejected one for good. */
  readonly onLetGo: () => void
  /** The lanes rejected one for now. */
  readonly onRejected: () => void
  /** The broker delivers no more: the queue was deleted, or its node is gone; or it delivers without end. Must not throw. */
  readonly onCancelled: (error: Error) => void
}

/** How long the end waits for the broker to stop delivering (milliseconds). */
const CANCEL_TIMEOUT = 1_000
/** A broker that delivers so many times what it may does not keep to it at all. */
const PREFETCH_SLACK = 2

export class Reading {
  readonly #init: ReadingInit
  readonly #acks: Acks
  readonly #intake: Intake<Held>
  #consumerTag: string | undefined

  constructor(init: ReadingInit) {
    this.#init = init
    this.#acks = new Acks(init.channel, init.prefetch, init.onAcknowledged)
    this.#intake = new Intake<Held>({
      mayGive: init.mayGive,
      give: init.give,
      onSettled: ({ tag }, error) => {
        if (error !== null) init.onLetGo()
        this.#acks.decide(tag, error === null ? 'accept' : 'drop')
      },
      // It stays unacknowledged: given back to the broker, it would come again at once, over and over, and a quorum
      // queue would count each time.
      onRejected: () => {
        init.onRejected()
        return true
      },
      onReleased: ({ tag }) => this.#acks.decide(tag, 'requeue'),
    })
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
    const { queue, prefetch, messageOf, onCancelled } = this.#init
    if (delivery === null) {
      onCancelled(new Error(`the broker delivers no more of the queue '${queue}': it was deleted, or its node is gone`))
      return
    }
    if (this.#acks.size >= prefetch * PREFETCH_SLACK) {
      onCancelled(new Error(`the broker delivers more than ${prefetch} messages without an acknowledgement`))
      return
    }
    const held = new Held(delivery.fields.deliveryTag, messageOf(delivery))
    this.#acks.add(held.tag)
    this.#intake.push(held)
  }
}
