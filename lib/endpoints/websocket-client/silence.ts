/**
 * Floor 3. Notices a server that says nothing any more. Time is counted in ticks of its timer, not in what the clock says:
 * a process that was stopped for a minute does not blame the server for it.
 */

export interface SilenceInit {
  /** Milliseconds of silence after which the server is sent a ping. */
  readonly pingInterval: number
  /** And is given up when so many more have passed. */
  readonly pingTimeout: number
  /** Whether nothing is read from the server: then its silence means nothing. */
  readonly isPaused: () => boolean
  readonly ping: () => void
  /** May be called again, until {@link Silence.stop} is. */
  readonly onSilent: () => void
}

/** Milliseconds between two ticks, unless a deadline is too short for that. */
const TICK = 1_000
/** The shortest deadline has at least so many ticks. */
const TICKS_PER_DEADLINE = 4

export class Silence {
  readonly #init: SilenceInit
  readonly #timer: NodeJS.Timeout
  readonly #interval: number
  readonly #limit: number
  #isHeard = true
  #ticks = 0

  constructor(init: SilenceInit) {
    const { pingInterval, pingTimeout } = init
    const tick = Math.max(1, Math.min(TICK, Math.floor(Math.min(pingInterval, pingTimeout) / TICKS_PER_DEADLINE)))
    this.#init = init
    this.#interval = Math.ceil(pingInterval / tick)
    this.#limit = this.#interval + Math.ceil(pingTimeout / tick)
    this.#timer = setInterval(this.#look, tick)
    this.#timer.unref()
  }

  /** Something came in. */
  heard(): void {
    this.#isHeard = true
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  readonly #look = (): void => {
    const { isPaused, ping, onSilent } = this.#init
    const isPausedNow = isPaused()
    if (this.#isHeard || (isPausedNow && this.#ticks >= this.#interval)) this.#ticks = 0
    this.#isHeard = false
    this.#ticks++
    // Also while nothing is read: a server that has gone shows by a write that fails.
    if (this.#ticks === this.#interval) ping()
    else if (this.#ticks >= this.#limit && !isPausedNow) onSilent()
  }
}
