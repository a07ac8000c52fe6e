/**
 * Floor 3. Acknowledges entries: all that are settled within a few milliseconds by one XACK. What no answer came for is
 * sent again by the next connection: XACK may be said twice.
 */
import { Together } from '../../common/together.ts'
import type { Hands, Held } from './hands.ts'
import type { Writer } from './writer.ts'

/** Ids in one command, at most: Redis does nothing else meanwhile. */
const MAX_IDS = 1_000

export interface AcksInit {
  readonly hands: Hands
  readonly group: string
  /** They are acknowledged: there is room again. Must not throw. */
  readonly onAcknowledged: (count: number) => void
  /** The server refuses. Must not throw. */
  readonly onRefused: (error: unknown) => void
}

export class Acks {
  readonly #init: AcksInit
  #writer: Writer | undefined
  /** Not sent, or no answer came. */
  #waiting: Held[] = []
  readonly #together: Together
  readonly #sending = new Set<Promise<void>>()

  constructor(init: AcksInit) {
    this.#init = init
    this.#together = new Together(init.hands.bounds.messages, () => this.#flush())
  }

  /** There is a connection: what waited is sent. */
  attach(writer: Writer): void {
    this.#writer = writer
    this.#flush()
  }

  /** That connection is over. Resolves when all that was settled is acknowledged, as far as it answers. */
  async detach(): Promise<void> {
    this.#flush()
    this.#writer = undefined
    await Promise.all(this.#sending)
  }

  add(held: Held): void {
    this.#waiting.push(held)
    this.#together.add(this.#waiting.length)
  }

  #flush(): void {
    this.#together.cancel()
    const writer = this.#writer
    if (writer === undefined || this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    const byStream = new Map<string, Held[]>()
    for (const held of waiting) {
      const ofStream = byStream.get(held.stream)
      if (ofStream === undefined) byStream.set(held.stream, [held])
      else ofStream.push(held)
    }
    for (const [stream, all] of byStream) {
      for (let index = 0; index < all.length; index += MAX_IDS) {
        this.#send(writer, stream, all.slice(index, index + MAX_IDS))
      }
    }
  }

  #send(writer: Writer, stream: string, all: readonly Held[]): void {
    const { hands, group, onAcknowledged, onRefused } = this.#init
    const sending = writer
      .command('XACK', stream, group, ...all.map(({ id }) => id))
      .then(
        () => {
          for (const held of all) hands.release(held)
          onAcknowledged(all.length)
        },
        (error: unknown) => {
          this.#waiting.push(...all)
          // What an old connection says is nothing to the new one.
          if (this.#writer === writer) onRefused(error)
        },
      )
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }
}
