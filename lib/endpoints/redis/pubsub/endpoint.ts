/** Floor 3. A Redis Pub/Sub endpoint: what is published to its channels comes in, what is sent to it is published. */
import { abortable, within } from '../../../deadline.ts'
import type { EndpointContext } from '../../../endpoint.ts'
import { errors } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import type { Lease } from '../../common/shared.ts'
import { SendingEndpoint } from '../sender.ts'
import { subscriptionsOf } from './channels.ts'
import type { RedisOptions } from './options.ts'
import type { PublishCommand, Publisher } from './publisher.ts'
import type { SharedServer } from './server.ts'
import type { Interest, Subscriber } from './subscriber.ts'
import { topicOf } from './topic.ts'

/** How long the end waits for the server to confirm that nothing more will come (milliseconds). */
const UNSUBSCRIBE_TIMEOUT = 1_000

export class RedisEndpoint extends SendingEndpoint<RedisOptions> {
  readonly #server: SharedServer
  readonly #command: PublishCommand
  readonly #topicOf: ((message: Message) => string) | undefined
  readonly #interest: Interest
  #publisher: Lease<Publisher> | undefined
  #subscriber: Lease<Subscriber> | undefined

  constructor(context: EndpointContext<RedisOptions>, server: SharedServer) {
    super(context)
    const { options } = context
    this.#server = server
    this.#command = options.sharded ? 'spublish' : 'publish'
    this.#topicOf = topicOf(options, context.name)
    const listener = (topic: string, payload: Buffer): void => this.receive(this.message({ topic, payload }))
    this.#interest = { ...subscriptionsOf(options), sharded: options.sharded, listener }
  }

  override get gauges(): Record<string, number> {
    return { inFlight: this.#publisher?.connection.inFlight ?? 0 }
  }

  /** Up means: the publishing connection is ready and every subscription is confirmed, as far as there are any. */
  protected override async connect(signal: AbortSignal): Promise<void> {
    const onLost = (error: Error): void => this.lost(error)
    const { source, target } = this.capabilities
    if (target !== null) this.#publisher = this.#server.publisher.hold(onLost)
    if (this.hasRoute || target === null) this.#subscriber = this.#server.subscriber.hold(onLost)
    const isWanted = this.hasRoute && source !== null
    const subscribed = this.#subscribe(isWanted, signal)
    await abortable(Promise.all([this.#publisher?.connection.open(), subscribed]), signal)
  }

  async #subscribe(isWanted: boolean, signal: AbortSignal): Promise<void> {
    const connection = this.#subscriber?.connection
    await connection?.open()
    // Another endpoint may have kept it open that long.
    if (isWanted && !signal.aborted) await connection?.subscribe(this.#interest)
  }

  protected override async quiesce(): Promise<void> {
    await within(UNSUBSCRIBE_TIMEOUT, this.#subscriber?.connection.unsubscribe(this.#interest))
  }

  protected override async disconnect(): Promise<void> {
    const [publisher, subscriber] = [this.#publisher, this.#subscriber]
    this.#publisher = this.#subscriber = undefined
    // Not waited for: the last to hold the connection closes it, and the others do without.
    void subscriber?.connection.unsubscribe(this.#interest)
    await Promise.all([publisher?.release(), subscriber?.release()])
  }

  override send(message: Message): void {
    const publisher = this.#publisher?.connection
    if (this.#topicOf === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    if (publisher === undefined) throw new errors.CONNECTION_LOST(this.name)
    publisher.publish(this.#command, this.#topicOf(message), message.encode(this.marshaller), this)
  }
}
