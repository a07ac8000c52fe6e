/** Floor 3. An endpoint of NATS: what is published to its subjects comes in, what is sent to it is published. */
import type { Msg, PermissionViolationError, Subscription } from '@nats-io/transport-node'
import { abortable, within } from '../../../deadline.ts'
import { Endpoint, type EndpointContext } from '../../../endpoint.ts'
import { errors } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import type { Settle } from '../../../types.ts'
import { NO_ATTRIBUTES } from '../../common/attributes.ts'
import { Refusals } from '../../common/refusals.ts'
import { bufferOf } from '../bytes.ts'
import { type Connection, openConnection } from '../connection.ts'
import { attributesIn, blockOf } from '../headers.ts'
import { compileTopic } from '../subject.ts'
import { subjectsOf } from './checks.ts'
import { Confirmations } from './confirmations.ts'
import type { NatsOptions } from './options.ts'

/** How long the end waits for the server to confirm that nothing more will come (milliseconds). */
const DRAIN_TIMEOUT = 1_000

export class NatsEndpoint extends Endpoint<NatsOptions> {
  declare readonly counters: Endpoint['counters'] & {
    /** Messages that the server did not allow to be published. */
    refused: number
    /** Messages whose headers could not be read: they came in without them. */
    headerErrors: number
  }
  readonly #directory: string
  readonly #topicOf: ((message: Message) => string) | undefined
  readonly #refusals = new Refusals(this.log, 'NATS refused what was published')
  #connection: Connection | undefined
  #confirmations: Confirmations | undefined
  #subscriptions: Subscription[] = []

  constructor(context: EndpointContext<NatsOptions>) {
    super(context)
    Object.assign(this.counters, { refused: 0, headerErrors: 0 })
    const { name, options, directory } = context
    const { topic } = options
    this.#directory = directory
    this.#topicOf = topic === undefined ? undefined : compileTopic(topic, name, options['allow-reserved'])
  }

  override get gauges(): Record<string, number> {
    return { inFlight: this.#confirmations?.count ?? 0 }
  }

  /** Up means: logged in, and every subscription is confirmed, as far as there are any. */
  protected override async connect(signal: AbortSignal): Promise<void> {
    const { name, options } = this
    const connection = await openConnection(
      {
        options,
        directory: this.#directory,
        name,
        echo: options.echo,
        onLost: (error) => this.lost(error),
        onRefused: (error) => this.#onRefused(error),
        onFull: () => this.saturated(true),
        onRoom: () => this.saturated(false),
      },
      signal,
    )
    this.#connection = connection
    if (options.headers && connection.info.headers !== true) {
      throw new Error("the server knows no headers (it is older than 2.2): set 'headers: false', or update it")
    }
    if (options.confirm === 'flush') this.#confirmations = new Confirmations(connection)
    if (!this.hasRoute) return
    await abortable(this.#subscribe(connection), signal)
  }

  async #subscribe(connection: Connection): Promise<void> {
    let denied: Error | undefined
    const onMessage = (message: Msg): void => this.#onMessage(message)
    const onDenied = (error: Error): void => {
      denied = new Error(`the server does not allow it to subscribe: ${error.message}`)
      this.lost(denied)
    }
    for (const subject of subjectsOf(this.options)) {
      this.#subscriptions.push(connection.subscribe(subject, onMessage, onDenied, this.options.queue))
    }
    await connection.flush()
    if (denied !== undefined) throw denied
  }

  /** What the server sends before it knows comes in. */
  protected override async quiesce(): Promise<void> {
    const subscriptions = this.#subscriptions.splice(0)
    await within(DRAIN_TIMEOUT, Promise.all(subscriptions.map((each) => each.drain()))).catch(() => false)
  }

  protected override async disconnect(): Promise<void> {
    const [connection, confirmations] = [this.#connection, this.#confirmations]
    this.#connection = this.#confirmations = undefined
    this.#subscriptions = []
    await connection?.close(this.state === 'closing')
    confirmations?.abandon(new errors.CONNECTION_LOST(this.name))
  }

  override send(message: Message, settle?: Settle): void {
    const connection = this.#connection
    if (this.#topicOf === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    if (connection === undefined || connection.isOver) throw new errors.CONNECTION_LOST(this.name)
    const subject = this.#topicOf(message)
    const payload = message.encode(this.marshaller)
    const block = this.options.headers ? blockOf(message, this.marshaller, this.name) : undefined
    const size = payload.length + (block?.length ?? 0)
    const { max_payload: limit } = connection.info
    if (size > limit) throw new errors.TOO_LARGE(this.name, limit, size)
    connection.publish(subject, payload, block)
    if (settle !== undefined) this.#confirmations?.add(subject, settle)
  }

  #onMessage(message: Msg): void {
    const [topic, payload] = [message.subject, bufferOf(message.data)]
    if (!this.options.headers) {
      this.receive(this.message({ topic, payload }))
      return
    }
    let attributes = NO_ATTRIBUTES
    try {
      attributes = attributesIn(message)
    } catch {
      this.counters.headerErrors++
    }
    const { id, key, time, headers } = attributes
    this.receive(this.message({ topic, payload, id, key, time, headers }))
  }

  #onRefused({ operation, subject, message }: PermissionViolationError): void {
    // That of a subscription is told to it.
    if (operation !== 'publish') return
    this.counters.refused++
    this.#refusals.add(message)
    this.#confirmations?.refuse(subject, new errors.SEND_FAILED(this.name, message))
  }
}
