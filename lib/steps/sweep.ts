/**
 * Floor 1. Takes out of an outbox what has become too old while its target takes nothing: it makes room then, and not
 * when the target is back. One timer, for the oldest.
 */
import type { Message } from '../message.ts'
import type { Outbox, OutboxEntry } from '../delivery/outbox.ts'
import type { Expiry } from './expiry.ts'

export class Sweep<Item extends { readonly message: Message }> {
  readonly #expiry: Expiry
  readonly #outbox: Outbox<Item>
  readonly #onExpired: (entry: OutboxEntry<Item>, error: Error) => void
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** @param onExpired called with each that was taken out. Must not throw. */
  constructor(expiry: Expiry, outbox: Outbox<Item>, onExpired: (entry: OutboxEntry<Item>, error: Error) => void) {
    this.#expiry = expiry
    this.#outbox = outbox
    this.#onExpired = onExpired
  }

  /** Something was put into the outbox. */
  schedule(): void {
    const { oldest } = this.#outbox
    if (oldest === undefined || this.#timer !== undefined || this.#isClosed) return
    this.#timer = setTimeout(this.#run, this.#expiry.left(oldest.item.message)).unref()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  readonly #run = (): void => {
    this.#timer = undefined
    for (let { oldest } = this.#outbox; oldest !== undefined; { oldest } = this.#outbox) {
      const error = this.#expiry.refusalOf(oldest.item.message)
      if (error === undefined) break
      this.#outbox.dropOldest()
      this.#onExpired(oldest, error)
    }
    this.schedule()
  }
}
