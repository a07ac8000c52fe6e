/**
 * Floor 3. What is written to a socket together leaves by one write: the first one corks the socket, and it is uncorked
 * when the event that brought them has been handled; when such events come close upon one another, as from many browsers,
 * at the end of the event loop's turn. Measured against ioredis' own ways (a call a message, pipelines by hand and
 * automatic), that takes the least processor time, at any rate.
 */
import type { Writable } from 'node:stream'

/** Writes that would follow one another within so many milliseconds are made one, at the cost of a turn of the loop. */
const CLOSE_TOGETHER = 0.1

/** A socket, or a stream that writes to one. */
type Corkable = Pick<Writable, 'cork' | 'uncork'>

export class Cork {
  /** The socket, while it is corked. */
  #corked: Corkable | undefined
  #uncorkedAt = 0

  /** Something is about to be written to the socket, which is always the same one while it is open. */
  hold(socket: Corkable): void {
    if (this.#corked !== undefined) return
    this.#corked = socket
    socket.cork()
    if (performance.now() - this.#uncorkedAt < CLOSE_TOGETHER) setImmediate(this.#uncork)
    else process.nextTick(this.#uncork)
  }

  readonly #uncork = (): void => {
    this.#corked?.uncork()
    this.#corked = undefined
    this.#uncorkedAt = performance.now()
  }
}
