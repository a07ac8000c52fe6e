/**
 * Floor 3. Confirms what was published, where `confirm: flush` asks for it: one PING follows all messages of a turn of the
 * event loop, and its PONG says that the server has read them. A message that the user may not publish is answered by
 * an error of its own, before the PONG.
 */
import type { Settle } from '../../../types.ts'
import type { Connection } from '../connection.ts'

interface Published {
  readonly subject: string
  readonly settle: Settle
}

export class Confirmations {
  readonly #connection: Connection
  /** Published in this turn. */
  #current: Published[] = []
  /** Each batch has its PING under way; in order. */
  readonly #batches: Published[][] = []
  #turn: NodeJS.Immediate | undefined

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Messages that no answer has come for. */
  get count(): number {
    return this.#batches.reduce((sum, { length }) => sum + length, this.#current.length)
  }

  add(subject: string, settle: Settle): void {
    this.#current.push({ subject, settle })
    this.#turn ??= setImmediate(this.#flush)
  }

  /** The server refuses the oldest message to that subject. */
  refuse(subject: string, error: Error): void {
    for (const batch of [...this.#batches, this.#current]) {
      const index = batch.findIndex((each) => each.subject === subject)
      if (index === -1) continue
      const [refused] = batch.splice(index, 1)
      refused?.settle(error)
      return
    }
  }

  /** The connection is over: whether the server has read the others, nobody knows. */
  abandon(error: Error): void {
    clearImmediate(this.#turn)
    const left = [...this.#batches.splice(0).flat(), ...this.#current.splice(0)]
    for (const { settle } of left) settle(error)
  }

  readonly #flush = (): void => {
    this.#turn = undefined
    const batch = this.#current
    this.#current = []
    this.#batches.push(batch)
    // The library tells of errors some microtasks after it has read them: these come first.
    this.#connection.flush().then(
      () => setImmediate(() => this.#confirm(batch)),
      // The connection is lost, which is told elsewhere.
      () => {},
    )
  }

  #confirm(batch: readonly Published[]): void {
    // Its first batch is the oldest; none is there where all was abandoned.
    if (this.#batches[0] !== batch) return
    this.#batches.shift()
    for (const { settle } of batch) settle(null)
  }
}
