/**
 * Floor 3. Writes messages over one connection, for as long as that lasts: all that have come while one statement was
 * under way leave by the next, in order. One transaction for many costs the server one write to its disk, and one round
 * trip.
 *
 * What the server says of a batch is not said of all its messages: where it is the fault of data, the batch is halved
 * until the message is alone whose fault it is, and only that one is refused.
 */
import { errors } from '../../errors.ts'
import { List, Listed } from '../../list.ts'
import type { Settle } from '../../types.ts'
import { arrayOf, type Element } from './arrays.ts'
import { kindOf, plainError, sqlState } from './failure.ts'
import type { Session } from './session.ts'

/** What is written of one message: a value for each parameter of the statement, which takes an array of each. */
export interface WriteInit {
  /** The message's, for errors. */
  readonly id: string
  readonly values: readonly (string | Buffer | null)[]
  readonly bytes: number
  /** Two with one of these must not be written by one statement. */
  readonly identity?: string | undefined
  readonly settle: Settle
}

/** One that no answer has come for. */
export class Write extends Listed {
  readonly id: string
  readonly values: readonly (string | Buffer | null)[]
  readonly bytes: number
  readonly identity: string | undefined
  readonly settle: Settle

  constructor({ id, values, bytes, identity, settle }: WriteInit) {
    super()
    this.id = id
    this.values = values
    this.bytes = bytes
    this.identity = identity
    this.settle = settle
  }
}

export interface BatcherInit {
  /** The endpoint's name. */
  readonly name: string
  readonly session: Session
  readonly statement: string
  /** What the arrays are of that are its parameters. */
  readonly elements: readonly Element[]
  /** The server refused a message, or all. Must not throw. */
  readonly onRefused: (error: Error) => void
  /** No message will do here, until somebody has set it right. Must not throw. */
  readonly onUseless: (error: Error) => void
  /** As much waits as may. Must not throw. */
  readonly onFull: () => void
  /** There is room again. Must not throw. */
  readonly onRoom: () => void
}

/** At most so many messages and bytes wait for an answer. */
const MAX_WAITING = 10_000
const MAX_WAITING_BYTES = 16 * 1024 * 1024
/** At most so many in one statement; a single message may have more bytes. */
const MAX_BATCH = 1_000
const MAX_BATCH_BYTES = 1024 * 1024

export class Batcher {
  readonly #init: BatcherInit
  #waiting: Write[] = []
  /** What no answer has come for. */
  readonly #open = new List<Write>()
  #bytes = 0
  #isWriting = false
  #isFull = false
  #isClosed = false

  constructor(init: BatcherInit) {
    this.#init = init
  }

  /** Messages that no answer has come for. */
  get inFlight(): number {
    return this.#open.size
  }

  /**
   * `settle` is called when the server has answered, or the connection is over.
   * @throws ARALDO_ERR_OVERFLOW, ARALDO_ERR_CONNECTION_LOST
   */
  add(write: Write): void {
    const { name, onFull } = this.#init
    if (this.#isClosed) throw new errors.CONNECTION_LOST(name)
    if (this.#open.size >= MAX_WAITING || this.#bytes >= MAX_WAITING_BYTES)
      throw new errors.OVERFLOW(name, this.#open.size)
    this.#waiting.push(write)
    this.#open.add(write)
    this.#bytes += write.bytes
    if (!this.#isFull && (this.#open.size >= MAX_WAITING || this.#bytes >= MAX_WAITING_BYTES)) {
      this.#isFull = true
      onFull()
    }
    if (this.#isWriting) return
    this.#isWriting = true
    // All of this turn of the event loop leave together.
    setImmediate(() => void this.#writeAll())
  }

  /** The connection is over. @returns how many messages no answer has come for. */
  close(): number {
    const unanswered = this.#open.items()
    this.#isClosed = true
    this.#waiting = []
    for (const write of unanswered) this.#open.delete(write)
    for (const { settle } of unanswered) settle(new errors.CONNECTION_LOST(this.#init.name))
    return unanswered.length
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isClosed) await this.#write(this.#next())
    this.#isWriting = false
  }

  #next(): Write[] {
    const waiting = this.#waiting
    let identities: Set<string> | undefined
    let bytes = 0
    let count = 0
    for (; count < waiting.length && count < MAX_BATCH; count++) {
      const { bytes: more, identity } = waiting[count] as Write
      if (count > 0 && bytes + more > MAX_BATCH_BYTES) break
      if (identity !== undefined) {
        if (identities?.has(identity) === true) break
        identities = (identities ?? new Set()).add(identity)
      }
      bytes += more
    }
    this.#waiting = waiting.slice(count)
    return waiting.slice(0, count)
  }

  /** Never rejects. */
  async #write(batch: readonly Write[]): Promise<void> {
    const { session, statement, elements } = this.#init
    const parameters = elements.map((element, index) => {
      return arrayOf(
        batch.map(({ values }) => values[index] ?? null),
        element,
      )
    })
    try {
      await session.query(statement, parameters, 'araldo-write')
    } catch (error) {
      await this.#failed(batch, error)
      return
    }
    for (const write of batch) this.#end(write, null)
  }

  async #failed(batch: readonly Write[], error: unknown): Promise<void> {
    const { name, onRefused, onUseless } = this.#init
    // No answer: whoever holds the connection is told that it is lost, and the lanes with it.
    if (sqlState(error) === undefined || this.#isClosed) return
    const reason = plainError(error)
    const kind = kindOf(error)
    if (kind === 'place') {
      onUseless(reason)
      return
    }
    if (kind === 'data' && batch.length > 1) {
      const middle = Math.ceil(batch.length / 2)
      await this.#write(batch.slice(0, middle))
      if (!this.#isClosed) await this.#write(batch.slice(middle))
      return
    }
    onRefused(reason)
    if (kind === 'data') {
      for (const write of batch) this.#end(write, new errors.REFUSED(name, write.id, reason.message))
      return
    }
    // What waits behind is given back with it: else it would overtake.
    for (const write of [...batch, ...this.#waiting.splice(0)]) {
      this.#end(write, new errors.SEND_FAILED(name, reason.message))
    }
  }

  #end(write: Write, error: Error | null): void {
    if (!this.#open.delete(write)) return
    this.#bytes -= write.bytes
    write.settle(error)
    // Half of it must be answered, so that nobody is woken up for every single answer.
    if (!this.#isFull || this.#open.size > MAX_WAITING / 2 || this.#bytes > MAX_WAITING_BYTES / 2) return
    this.#isFull = false
    this.#init.onRoom()
  }
}
