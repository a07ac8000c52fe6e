/**
 * Floor 3. Tells Redis, from time to time, that what is in the relay's hands is in good hands: an entry that waits for a
 * target to come back must not look like one whose consumer has died, or another relay would take it and deliver it, too.
 */
import { isErrorReply } from '../client.ts'
import type { Hands } from './hands.ts'
import type { Writer } from './writer.ts'

/** Ids in one command, at most: Redis does nothing else meanwhile. */
const MAX_IDS = 1_000

export interface KeeperInit {
  readonly hands: Hands
  readonly writer: Writer
  readonly group: string
  readonly consumer: string
  /** After so many milliseconds of silence others take over. */
  readonly claimAfter: number
  /** The server refuses, or answers nothing. Must not throw. */
  readonly onRefused: (error: unknown) => void
}

export class Keeper {
  readonly #init: KeeperInit
  readonly #interval: number
  readonly #timer: NodeJS.Timeout
  #isClosed = false

  constructor(init: KeeperInit) {
    this.#init = init
    this.#interval = init.claimAfter / 4
    this.#timer = setInterval(this.#keep, this.#interval)
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
  }

  readonly #keep = (): void => {
    for (const [stream, ids] of this.#init.hands.stale(performance.now() - this.#interval)) {
      for (let index = 0; index < ids.length; index += MAX_IDS)
        void this.#claim(stream, ids.slice(index, index + MAX_IDS))
    }
  }

  /** Without its content, and without counting it as one more delivery. */
  async #claim(stream: string, ids: readonly string[]): Promise<void> {
    const { writer, group, consumer, onRefused } = this.#init
    try {
      await writer.command('XCLAIM', stream, group, consumer, 0, ...ids, 'JUSTID')
    } catch (error) {
      // The consumer's own read will hear of it, and make the group anew.
      const isHeard = isErrorReply(error) && error.message.startsWith('NOGROUP')
      if (!isHeard && !this.#isClosed) onRefused(error)
    }
  }
}
