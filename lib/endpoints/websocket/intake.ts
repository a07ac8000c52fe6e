/**
 * Floor 3. What clients send, from the WebSocket to the relay: held back while the relay, or too much that has no answer
 * yet, asks for it; decoded before it goes anywhere; and refused where it is not of the endpoint's format.
 */
import { WebSocket } from 'ws'
import type { EndpointContext } from '../../endpoint.ts'
import type { MessageInit } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { Acknowledger, type AcknowledgerCounters } from './acknowledger.ts'
import type { Client, Early } from './client.ts'
import { CLOSE_CODES, type CloseCode } from './close-codes.ts'
import type { WebSocketOptions } from './options.ts'
import type { Replies } from './replies.ts'

export interface IntakeInit {
  readonly context: Pick<EndpointContext<WebSocketOptions>, 'name' | 'options' | 'marshaller' | 'log'>
  readonly counters: AcknowledgerCounters & { invalidClosed: number; protocolErrors: number }
  /** To clients of `araldo.v1`. */
  readonly replies: Replies
  /** Whether the relay asks for a pause. */
  readonly isSuspended: () => boolean
  /** Whether what comes in goes anywhere. */
  readonly isWanted: () => boolean
  readonly receive: (init: Omit<MessageInit, 'source' | 'marshaller'>, settle?: Settle) => void
  readonly heard: (client: Client) => void
  readonly close: (client: Client, code: CloseCode, value?: string) => void
}

export class Intake {
  readonly #init: IntakeInit
  readonly #acknowledger: Acknowledger

  constructor(init: IntakeInit) {
    const { context, counters, replies, receive } = init
    const { name, marshaller } = context
    this.#init = init
    this.#acknowledger = new Acknowledger({
      name,
      marshaller,
      counters,
      replies,
      receive,
      onInvalid: (client, code, value) => this.#onInvalid(client, code, value),
    })
  }

  /** A message came in. */
  take(client: Client, data: Buffer, isBinary: boolean): void {
    const message = { data, isBinary }
    this.#init.heard(client)
    if (client.early !== undefined || this.#isHeld(client)) (client.early ??= []).push(message)
    else this.#handle(client, message)
  }

  /** Takes in what waits of a client, and reads on from it, as far as that is allowed. */
  readOn(client: Client): void {
    const { early = [], websocket } = client
    if (early.length === 0 && !websocket.isPaused) return
    let taken = 0
    while (taken < early.length && !this.#isHeld(client)) this.#handle(client, early[taken++] as Early)
    client.early = taken < early.length ? early.slice(taken) : undefined
    if (this.#isHeld(client)) return
    this.#init.heard(client)
    websocket.resume()
  }

  /** A client is about to be sent away: each of its messages that was read has its answer then. */
  answerAll(client: Client): void {
    const { conversation, early = [] } = client
    client.early = undefined
    if (conversation === undefined) return
    for (const message of early) this.#handle(client, message)
    this.#acknowledger.giveBack(client, conversation)
  }

  /** Whether nothing is to be taken from a client at this moment. */
  #isHeld({ conversation }: Client): boolean {
    return this.#init.isSuspended() || conversation?.isFull === true
  }

  #handle(client: Client, { data, isBinary }: Early): void {
    const { websocket, conversation } = client
    // What comes after a close frame that we sent is not heard any more.
    if (websocket.readyState !== WebSocket.OPEN) return
    try {
      if (conversation === undefined) this.#takePlain(client, data, isBinary)
      else if (this.#fits(client, data)) this.#acknowledger.take(client, conversation, data, isBinary)
    } catch (err) {
      this.#init.context.log.error({ err, connection: client.id }, 'could not handle a message')
      this.#init.close(client, CLOSE_CODES.internalError)
    }
    if (conversation?.isFull === true) websocket.pause()
  }

  #takePlain(client: Client, payload: Buffer, isBinary: boolean): void {
    const { marshaller } = this.#init.context
    if (!this.#init.isWanted() || !this.#fits(client, payload)) return
    if (isBinary && !marshaller.binary) {
      this.#onInvalid(client, CLOSE_CODES.textExpected, marshaller.format)
      return
    }
    let body: unknown
    try {
      body = marshaller.decode(payload)
    } catch {
      this.#onInvalid(client, CLOSE_CODES.undecodable, marshaller.format)
      return
    }
    const { path, headers } = client
    this.#init.receive({ payload, body, topic: path, headers, origin: client })
  }

  /** ws sees to it, but where its bounds have other names. */
  #fits(client: Client, { length }: Buffer): boolean {
    if (length <= this.#init.context.options['max-payload']) return true
    this.#init.counters.protocolErrors++
    this.#init.close(client, CLOSE_CODES.tooLarge)
    return false
  }

  #onInvalid(client: Client, code: CloseCode, value: string): void {
    const { context, counters, close } = this.#init
    counters.decodeErrors++
    context.log.debug({ connection: client.id, code: code.code }, 'a client sent what cannot be decoded')
    if (context.options['on-invalid'] === 'drop') return
    counters.invalidClosed++
    close(client, code, value)
  }
}
