/** Floor 3. What an endpoint of Redis that is sent to hears of the connection that it shares with others. */
import { Endpoint, type EndpointContext } from '../../endpoint.ts'
import { Refusals } from '../common/refusals.ts'
import { plainError } from './client.ts'

/** Who sends, and is told what became of it. */
export interface Sender {
  readonly name: string
  /** The server answered with an error. Must not throw. */
  onRefused(error: Error): void
  /** The connection was lost before the answer: the server has it, or has not. Must not throw. */
  onUnanswered(): void
  /** As much waits for an answer as may. Must not throw. */
  onFull(): void
  /** There is room again. Must not throw. */
  onRoom(): void
}

export abstract class SendingEndpoint<Options extends object> extends Endpoint<Options> implements Sender {
  declare readonly counters: Endpoint['counters'] & {
    /** Messages that the server answered with an error. */
    refused: number
    /** Messages that the connection was lost under: there or not, nobody knows. */
    unanswered: number
  }
  readonly #refusals = new Refusals(this.log, 'Redis refused what was sent')

  constructor(context: EndpointContext<Options>) {
    super(context)
    Object.assign(this.counters, { refused: 0, unanswered: 0 })
  }

  onRefused(error: Error): void {
    this.counters.refused++
    this.#refusals.add(plainError(error).message)
  }

  onUnanswered(): void {
    this.counters.unanswered++
  }

  onFull(): void {
    this.saturated(true)
  }

  onRoom(): void {
    this.saturated(false)
  }
}
