/**
 * Floor 3. What a source says of messages that are done, said of many at once: each word costs a write, and the peer an
 * answer. So the first of them waits for a few milliseconds for others; not longer than until they are a share of what
 * may be in hand, as the peer may bring nothing more before it has heard of some.
 */

/** Milliseconds. */
const TOGETHER = 4
const SHARE = 1 / 4

export class Together {
  readonly #enough: number
  readonly #say: () => void
  #turn: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined

  /**
   * @param inHand messages that may be in hand, at most.
   * @param say says all that there is to say; {@link cancel} was called. Must not throw.
   */
  constructor(inHand: number, say: () => void) {
    this.#enough = inHand * SHARE
    this.#say = say
  }

  /** There is something to say, of so many messages. */
  add(count: number): void {
    if (count >= this.#enough) this.#turn ??= setImmediate(this.#due)
    else this.#timer ??= setTimeout(this.#due, TOGETHER)
  }

  /** There is nothing to say any more, or it is said at once. */
  cancel(): void {
    clearImmediate(this.#turn)
    clearTimeout(this.#timer)
    this.#turn = this.#timer = undefined
  }

  readonly #due = (): void => {
    this.cancel()
    this.#say()
  }
}
