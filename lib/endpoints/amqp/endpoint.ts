/**
 * Floor 3. An endpoint of AMQP 0-9-1: a consumer of a queue as a source, publisher confirms as a target.
 *
 * As a source it acknowledges a delivery when every required lane is done with its message, and not before. Delivery tags
 * are of one channel: what is in hand when a connection is lost is delivered again on the next.
 */
import type { ConsumeMessage } from 'amqplib'
import { quote } from '../../config/words.ts'
import { abortable } from '../../deadline.ts'
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { Refusals } from '../common/refusals.ts'
import { contentOf } from './content.ts'
import type { AmqpOptions } from './options.ts'
import { propertiesOf } from './properties.ts'
import type { PublisherInit } from './publisher.ts'
import type { ReadingInit } from './reading.ts'
import { maxMessageSizeOf } from './reasons.ts'
import { Session } from './session.ts'
import { topicOf } from './topic.ts'

export class AmqpEndpoint extends Endpoint<AmqpOptions> {
  declare readonly counters: Endpoint['counters'] & {
    /** Deliveries that the broker was told are done. */
    acknowledged: number
    /** Deliveries that the lanes rejected for now: they were handed in again. */
    rejected: number
    /** Deliveries that the lanes rejected for good: the broker dead-letters them, or drops them. */
    letGo: number
    /** Messages that the broker did not take, or had no queue for. */
    refused: number
    /** Messages that the connection was lost under: the broker has them or not, nobody knows. */
    unanswered: number
  }
  readonly #directory: string
  readonly #topicOf: ((message: Message) => string) | undefined
  readonly #refusals = new Refusals(this.log, 'the broker refused what was published')
  /** The option's, until a broker has shown that it takes less. */
  #maxMessageSize: number
  #session: Session | undefined
  #isQuiet = false

  constructor(context: EndpointContext<AmqpOptions>) {
    super(context)
    Object.assign(this.counters, { acknowledged: 0, rejected: 0, letGo: 0, refused: 0, unanswered: 0 })
    this.#directory = context.directory
    this.#topicOf = topicOf(context.options, context.name)
    this.#maxMessageSize = context.options['max-message-size']
  }

  override get gauges(): Record<string, number> {
    return { inFlight: this.#session?.publisher?.inFlight ?? 0, pending: this.#session?.reading?.pending ?? 0 }
  }

  /** Up means: what is to be read and published to is there, and the broker delivers. */
  protected override async connect(signal: AbortSignal): Promise<void> {
    const { queue } = this.options
    const isRead = this.hasRoute && queue !== undefined && !this.#isQuiet
    const session = new Session({
      options: this.options,
      directory: this.#directory,
      name: this.options['connection-name'] ?? `araldo ${this.name}`,
      reading: isRead ? this.#readingOf(queue) : undefined,
      publisher: this.#topicOf === undefined ? undefined : this.#publisherOf(),
      onLost: (error) => this.#onLost(error),
    })
    this.#session = session
    await abortable(session.open(), signal)
  }

  /** What the lanes do not have goes back to the queue, for other consumers. */
  protected override async quiesce(): Promise<void> {
    this.#isQuiet = true
    await this.#session?.reading?.quiesce()
  }

  protected override async disconnect(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.close()
  }

  /** The prefetch bounds what the broker delivers meanwhile, and it waits in hand. */
  protected override suspend(): void {}

  protected override resume(): void {
    this.#session?.reading?.resume()
  }

  override send(message: Message, settle?: Settle): void {
    if (this.#topicOf === undefined || settle === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    const publisher = this.#session?.publisher
    if (publisher === undefined) throw new errors.CONNECTION_LOST(this.name)
    const routingKey = this.#topicOf(message)
    const payload = message.encode(this.marshaller)
    if (payload.length > this.#maxMessageSize) {
      throw new errors.TOO_LARGE(this.name, this.#maxMessageSize, payload.length)
    }
    publisher.publish(routingKey, payload, propertiesOf(message, this.marshaller, this.name), message.id, settle)
  }

  #readingOf(queue: string): Omit<ReadingInit, 'channel' | 'onCancelled'> {
    const { prefetch, exclusive } = this.options
    return {
      queue,
      prefetch,
      exclusive,
      mayGive: () => !this.suspended,
      give: (message, settle) => this.receive(message, settle),
      messageOf: (delivery: ConsumeMessage) => this.message(contentOf(delivery)),
      onAcknowledged: (count) => (this.counters.acknowledged += count),
      onLetGo: () => this.counters.letGo++,
      onRejected: () => this.counters.rejected++,
    }
  }

  #publisherOf(): Omit<PublisherInit, 'channel' | 'onOverdue'> {
    const { exchange = '', persistent, mandatory, 'confirm-timeout': confirmTimeout } = this.options
    return {
      name: this.name,
      exchange,
      persistent,
      mandatory,
      confirmTimeout,
      unroutable: (routingKey, reason) => this.#unroutable(routingKey, reason),
      onRefused: (error) => {
        this.counters.refused++
        this.#refusals.add(error.message)
      },
      onUnanswered: () => this.counters.unanswered++,
      onSaturated: (isSaturated) => this.saturated(isSaturated),
    }
  }

  #unroutable(routingKey: string, reason: string): Error {
    const { exchange = '', unroutable } = this.options
    const place =
      exchange === '' ? `there is no queue ${quote(routingKey)}` : `no queue is bound for ${quote(routingKey)}`
    const problem = `${place} (${reason})`
    return unroutable === 'reject'
      ? new errors.TOPIC_INVALID(this.name, problem)
      : new errors.SEND_FAILED(this.name, problem)
  }

  #onLost(error: Error): void {
    // The message will be tried again: then it is known to be too large.
    const bound = maxMessageSizeOf(error)
    if (bound !== undefined) this.#maxMessageSize = Math.min(this.#maxMessageSize, bound)
    this.lost(error)
  }
}
