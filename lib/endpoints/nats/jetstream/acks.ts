/**
 * Floor 3. Tells the server what became of messages. What is settled within a few milliseconds is said by one write, and
 * one PING follows it: until its PONG has come, the server may not have read it, and the next connection says it
 * again. To say it twice does no harm.
 */
import { FreshMap } from '../../../fresh-map.ts'
import { Together } from '../../common/together.ts'
import type { Connection } from '../connection.ts'
import type { Hands, Held } from './hands.ts'

export const ACK = Buffer.from('+ACK')
export const TERM = Buffer.from('+TERM')
export const IN_PROGRESS = Buffer.from('+WPI')
const NAK = Buffer.from('-NAK')

/** @param delay milliseconds after which the server is to bring it again; at once if left out. */
export function nak(delay = 0): Buffer {
  return delay === 0 ? NAK : Buffer.from(`-NAK ${JSON.stringify({ delay: delay * 1e6 })}`)
}

export interface AcksInit {
  readonly hands: Hands
  /** The server has read it: there is room again. Must not throw. */
  readonly onAcknowledged: (count: number) => void
}

export class Acks {
  readonly #init: AcksInit
  #connection: Connection | undefined
  /** Not known to have been read. */
  readonly #waiting = new FreshMap<Held, Buffer>()
  /** To be said together. */
  #turn: Held[] = []
  #together: Together
  #flushed: Promise<void> = Promise.resolve()

  constructor(init: AcksInit) {
    this.#init = init
    this.#together = new Together(init.hands.bounds.messages, this.#flush)
  }

  /**
   * There is a connection: what waited is said.
   * @param maxAckPending the consumer's own.
   */
  attach(connection: Connection, maxAckPending: number): void {
    this.#connection = connection
    this.#together.cancel()
    this.#together = new Together(Math.min(this.#init.hands.bounds.messages, maxAckPending), this.#flush)
    for (const held of this.#waiting.keys()) {
      if (this.#init.hands.isHeld(held)) this.#say(held)
      else this.#waiting.delete(held)
    }
  }

  /** That connection is over. Resolves when all that was said is read, as far as the server answers. */
  async detach(): Promise<void> {
    this.#flush()
    this.#connection = undefined
    await this.#flushed
  }

  /** @param word {@link ACK} or {@link TERM}. */
  add(held: Held, word: Buffer): void {
    this.#waiting.set(held, word)
    this.#say(held)
  }

  /** The server brings it again: it has not heard. */
  repeat(held: Held): void {
    if (this.#waiting.has(held)) this.#say(held)
  }

  #say(held: Held): void {
    if (this.#connection === undefined || this.#connection.isOver) return
    this.#turn.push(held)
    this.#together.add(this.#turn.length)
  }

  readonly #flush = (): void => {
    this.#together.cancel()
    const [connection, said] = [this.#connection, this.#turn]
    this.#turn = []
    if (connection === undefined || connection.isOver || said.length === 0) return
    for (const held of said) {
      const word = this.#waiting.get(held)
      if (word !== undefined) connection.publish(held.reply, word)
    }
    this.#flushed = connection.flush().then(
      () => {
        let count = 0
        for (const held of said) {
          if (!this.#waiting.delete(held)) continue
          this.#init.hands.release(held)
          count++
        }
        this.#init.onAcknowledged(count)
      },
      // The connection is lost: the next one says it again.
      () => {},
    )
  }
}
