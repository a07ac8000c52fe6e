/**
 * Floor 3. One message's request, and the connection that has it: one request at a time, one connection after the other.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Client, Dispatcher } from 'undici'
import { errors, reasonOf } from '../../errors.ts'
import type { Settle } from '../../types.ts'
import { type Outcome, outcomeOf } from './outcome.ts'

/** Bytes of an answer's body: what is larger costs its connection. */
const MAX_ANSWER = 64 * 1024

/** How a request ended, beside what its message is settled with. */
export interface End {
  readonly error: Error | null
  /** The receiver wants nothing for so many milliseconds. */
  readonly pause: number | undefined
  /** It was cut off, or could not be sent: its connection is of no more use. */
  readonly isCut: boolean
}

export interface RequestInit {
  /** The endpoint's. */
  readonly name: string
  readonly url: URL
  readonly settle: Settle
  /** Called once, before the message is settled. */
  readonly onOver: (end: End) => void
}

/** It connects when it has a request, and anew where the receiver has closed it meanwhile. */
export class Connection {
  readonly client: Client
  readonly #timeout: number
  readonly #timer: NodeJS.Timeout
  #request: Request | undefined

  /** @param timeout of a request, from its beginning to the end of its answer (milliseconds). */
  constructor(client: Client, timeout: number) {
    this.client = client
    this.#timeout = timeout
    this.#timer = setTimeout(this.#onTimeout, timeout).unref()
  }

  /** The one before is over. */
  send(options: Dispatcher.DispatchOptions, request: Request): void {
    this.#request = request
    this.#timer.refresh()
    this.client.dispatch(options, request)
  }

  /** What is under way is cut off: its sender is told that the connection is lost. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#request?.abandon()
    await this.client.destroy()
  }

  /** Of the last request: one that is over takes no notice. */
  readonly #onTimeout = (): void => this.#request?.cut(new Error(`no answer within ${this.#timeout} ms`))
}

/** Its message is settled when the answer has ended, by its status. */
export class Request implements Dispatcher.DispatchHandler {
  readonly #init: RequestInit
  #hasBegun = false
  /** What the answer says, once there is one. */
  #outcome: Outcome | undefined
  #answerBytes = 0
  #isOver = false

  constructor(init: RequestInit) {
    this.#init = init
  }

  abandon(): void {
    this.#end(this.#outcome ?? { error: new errors.CONNECTION_LOST(this.#init.name) }, true)
  }

  cut(reason: Error): void {
    this.#end(this.#outcome ?? { error: this.#failure(reason) }, true)
  }

  onRequestStart(): void {
    this.#hasBegun = true
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Interim answers say nothing yet.
    if (status < 200) return
    const { name, url } = this.#init
    this.#outcome = outcomeOf(name, status, headers, url)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#answerBytes += chunk.length
    if (this.#answerBytes > MAX_ANSWER) this.cut(new Error('the answer is too long'))
  }

  /**
   * At once: what is sent now by the same connection waits in the library for this answer's last, and leaves without
   * another turn of the event loop, in which the connection would be looked at as one that was idle.
   */
  onResponseEnd(): void {
    this.#end(this.#outcome ?? { error: this.#failure(new Error('no answer')) }, false)
  }

  /** The library is in the middle of what becomes of that connection: nothing more is to be sent by it. */
  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(this.#outcome ?? { error: this.#failure(error) }, true)
  }

  /** Once it has a connection, the receiver may have it. */
  #failure(cause: Error): Error {
    const Failure = this.#hasBegun ? errors.UNANSWERED : errors.SEND_FAILED
    return new Failure(this.#init.name, reasonOf(cause), { cause })
  }

  #end({ error, pause }: Outcome, isCut: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#init.onOver({ error, pause, isCut })
    this.#init.settle(error)
  }
}
