/**
 * Floor 3. Asks a consumer for messages, for as long as one connection lasts, and for no more than there is room for.
 *
 * The next batch is asked for when half of the last has come, so that the consumer is never without a request while
 * there is room. A request ends by itself after some seconds: a consumer that is gone is noticed by then.
 *
 * Source: ADR-15 and ADR-37, and the status codes of "JetStream wire API", NATS documentation.
 */
import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node'
import type { Connection } from '../connection.ts'
import type { Hands } from './hands.ts'

/** A request ends after so many milliseconds, whatever it brought. */
const EXPIRES = 5_000
/** It must have ended so many milliseconds later. */
const GRACE = 4_000
/** After a refusal it is asked again so many milliseconds later. */
const PAUSE = 1_000
/** Bytes that a message has, as long as none has come. */
const USUAL_SIZE = 1_024

export interface PullerInit {
  readonly connection: Connection
  /** Where requests go: `$JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>`. */
  readonly subject: string
  /** Where the consumer is asked about: `$JS.API.CONSUMER.INFO.<stream>.<consumer>`. */
  readonly infoSubject: string
  readonly hands: Hands
  readonly batch: number
  /** Whether anything may come in at this moment; when it may again, {@link Puller.wake} is called. */
  readonly mayPull: () => boolean
  /** Takes a message in. @returns its bytes; 0 where it was in hand already. Must not throw. */
  readonly onMessage: (message: Msg) => number
  /** The consumer is gone, or of no use. Must not throw. */
  readonly onBroken: (error: Error) => void
}

export class Puller {
  readonly #init: PullerInit
  readonly #inbox = createInbox()
  /** Messages that were asked for and have not come. A message does not say which request it is for. */
  #outstanding = 0
  #subscription: Subscription | undefined
  #isStopped = false
  #stopping: Promise<void> | undefined
  #isPaused = false
  #timer: NodeJS.Timeout | undefined
  /** Bytes of the largest message of late. */
  #largest = USUAL_SIZE

  constructor(init: PullerInit) {
    this.#init = init
  }

  /** The first request may be written with it, and is answered once the server knows the subscription. */
  start(): void {
    const { connection, onBroken } = this.#init
    this.#subscription = connection.subscribe(this.#inbox, this.#onMessage, (error) =>
      onBroken(new Error(`the server does not allow it to receive answers (_INBOX.>): ${error.message}`)),
    )
    this.wake()
  }

  /**
   * Asks for no more, and takes back what was asked for. What the server has sent before it knows comes in; resolves when
   * it has, if the server answers: from then on, what is given back goes to whoever asks next.
   */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop())
  }

  async #stop(): Promise<void> {
    const { connection, infoSubject } = this.#init
    this.#isStopped = true
    clearTimeout(this.#timer)
    try {
      await this.#subscription?.drain()
      // nats-server 2.9 keeps requests of who does not listen any more, and loses sight, for as long as ack_wait, of a
      // message that it would give to one of them. To be asked about the consumer makes it look through them.
      if (this.#outstanding > 0 && !connection.isOver) await connection.client.request(infoSubject)
    } catch {
      // The connection is lost, and so are the requests.
    }
  }

  /** There may be room again, or leave to ask. */
  wake(): void {
    const { connection, subject, hands, mayPull } = this.#init
    if (this.#isStopped || this.#isPaused || connection.isOver || !mayPull()) return
    const wanted = this.#wanted()
    if (wanted === 0 && (hands.count > 0 || this.#outstanding > 0)) return
    // When nothing will be settled any more, at least one.
    const batch = Math.max(1, wanted)
    this.#outstanding += batch
    const request = Buffer.from(JSON.stringify({ batch, expires: EXPIRES * 1e6 }))
    connection.publish(subject, request, undefined, this.#inbox)
    this.#watch()
  }

  /** How many to ask for; 0 where it is not worth it yet. */
  #wanted(): number {
    const { batch, hands } = this.#init
    const { bounds } = hands
    const full = Math.min(batch, bounds.messages, Math.max(1, Math.floor(bounds.bytes / this.#largest)))
    const fitting = Math.min(batch, hands.room, Math.floor(hands.byteRoom / this.#largest)) - this.#outstanding
    return fitting >= full / 2 ? fitting : 0
  }

  readonly #onMessage = (message: Msg): void => {
    // What a consumer delivers says where to acknowledge it; what it says of itself does not.
    if ((message.reply ?? '') === '') {
      this.#onStatus(message)
      return
    }
    this.#outstanding = Math.max(0, this.#outstanding - 1)
    const size = this.#init.onMessage(message)
    if (size > 0) this.#largest = Math.max(1, size, this.#largest * 0.98)
    this.wake()
  }

  #onStatus({ headers }: Msg): void {
    const [code, description] = [headers?.code ?? 0, headers?.description ?? '']
    // It is still there.
    if (code === 100) return
    // The end of a request: what it did not bring. A server that does not say is asked anew.
    const pending = headers?.get('Nats-Pending-Messages') ?? ''
    const left = Number(pending === '' ? this.#outstanding : pending)
    this.#outstanding = Math.max(0, this.#outstanding - (left >= 0 ? left : 0))
    if (code === 503) this.#init.onBroken(new Error('the consumer is not there: it was deleted, or has no leader'))
    else if (code === 409 && /consumer (deleted|is push)/i.test(description)) {
      this.#init.onBroken(new Error(`the consumer is of no use: ${description}`))
    } else if (code === 404 || code === 408) this.wake()
    else this.#pause()
  }

  #pause(): void {
    if (this.#isPaused || this.#isStopped) return
    this.#isPaused = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#isPaused = false
      this.wake()
    }, PAUSE)
  }

  /** A request must end; the last one to be made ends last. */
  #watch(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (this.#outstanding > 0) this.#init.onBroken(new Error('the consumer does not answer'))
    }, EXPIRES + GRACE)
  }
}
