/**
 * Floor 3. An endpoint of HTTP: requests that come in at a path, messages that are sent to a URL, or both.
 *
 * There is no link to keep: it is up as soon as it is started. Whether a receiver is there, each request finds out anew.
 */
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { type AraldoError, dropReasonOf, errors, reasonOf } from '../../errors.ts'
import type { Message } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { Refusals } from '../common/refusals.ts'
import { tlsOptions } from '../common/tls.ts'
import type { HttpOptions } from './options.ts'
import { Reception, type ReceptionCounters } from './reception.ts'
import type { Webhook, WebhookCounters, WebhookInit } from './webhook.ts'

export interface HttpPlace {
  /** Of the scope that its route is in. */
  readonly prefix: string
  /** Makes what sends; undefined where nothing is sent. */
  readonly createWebhook: ((init: Omit<WebhookInit, 'url' | 'signer'>) => Webhook) | undefined
}

export class HttpEndpoint extends Endpoint<HttpOptions> {
  declare readonly counters: Endpoint['counters'] & ReceptionCounters & WebhookCounters
  /** Undefined where nothing comes in. */
  readonly reception: Reception | undefined
  readonly #webhook: Webhook | undefined
  readonly #refusals = new Refusals(this.log, 'the receiver did not take what was sent')
  readonly #directory: string
  #isOpen = false

  constructor(context: EndpointContext<HttpOptions>, { prefix, createWebhook }: HttpPlace) {
    super(context)
    const { name, options, marshaller, counters } = this
    this.#directory = context.directory
    const own = { refusedRequests: 0, unverified: 0, unsettled: 0, abandoned: 0, refused: 0, unanswered: 0, pauses: 0 }
    Object.assign(counters, own)
    if (options.path !== undefined) this.reception = this.#createReception(context, prefix)
    this.#webhook = createWebhook?.({
      name,
      options,
      marshaller,
      counters,
      onChange: (isFull) => this.saturated(isFull),
      onFailed: (error) => this.#onFailed(error),
    })
  }

  #createReception(context: EndpointContext<HttpOptions>, prefix: string): Reception {
    return new Reception({
      context,
      prefix,
      counters: this.counters,
      refusal: () => this.#refusal(),
      isSuspended: () => this.suspended,
      message: (init) => this.message(init),
      receive: (message, settle) => this.receive(message, settle),
    })
  }

  override get gauges(): Record<string, number> {
    return { ...this.reception?.gauges, ...(this.#webhook && { inFlight: this.#webhook.inFlight }) }
  }

  protected override async connect(): Promise<void> {
    this.#webhook?.open(await tlsOptions(this.options.tls, this.#directory))
    this.#isOpen = true
  }

  protected override quiesce(): void {
    this.#isOpen = false
  }

  protected override async disconnect(): Promise<void> {
    this.#isOpen = false
    this.reception?.endAll(new errors.CLOSING())
    await this.#webhook?.close()
  }

  /** Requests are refused meanwhile: {@link #refusal}. */
  protected override suspend(): void {}

  protected override resume(): void {
    this.reception?.goOn()
  }

  override send(message: Message, settle?: Settle): void {
    if (this.#webhook === undefined || settle === undefined) throw new errors.NOT_A_TARGET(this.name, this.type)
    this.#webhook.send(message, settle)
  }

  #onFailed(error: Error): void {
    if (dropReasonOf(error) === 'down') this.counters.unanswered++
    else this.counters.refused++
    // At the end, all that is under way fails.
    if (this.state === 'up') this.#refusals.add(reasonOf(error))
  }

  #refusal(): AraldoError | undefined {
    const { name, state } = this
    if (!this.#isOpen) {
      const isStarting = state === 'connecting' || state === 'down'
      return isStarting ? new errors.ENDPOINT_DOWN(name, 'it has not started yet') : new errors.CLOSING()
    }
    if (!this.hasRoute) return new errors.ENDPOINT_DOWN(name, 'no route begins here')
    return this.suspended ? new errors.SOURCE_BUSY(name, 'a target does not keep up') : undefined
  }
}
