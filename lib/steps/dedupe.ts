/**
 * Floor 2. `dedupe`: a message whose like was delivered lately goes no further.
 *
 * A key is recorded when its message has been delivered, not when it comes. Another one of the key that comes before
 * that waits: once the first is delivered, it is filtered, and acknowledged then and not before; if the first ends in
 * any other way, it is tried in its place.
 */
import type { Parcel, SettledAs, Settlement } from '../delivery/delivery.ts'
import { errors } from '../errors.ts'
import type { Expression } from '../expression.ts'
import { FreshMap } from '../fresh-map.ts'
import type { Message } from '../message.ts'
import type { Stage, StageContext, StagedStep } from '../delivery/stage.ts'
import { Fifo } from './fifo.ts'
import { boundedKey } from './key.ts'
import { Recent } from './recent.ts'

export interface DedupeConfig {
  /** What makes two messages alike; the id, if left out. */
  readonly key: Expression | undefined
  readonly window: number
  readonly size: number
}

export function dedupe(config: DedupeConfig): StagedStep {
  return { name: 'dedupe', open: (lane) => new Dedupe(config, lane) }
}

/** The messages of one key that wait for the one that is under way. */
interface Waiting {
  readonly key: string
  /** In the order in which they came; made when the first has to wait. */
  parcels: Fifo<Waiter> | undefined
}

interface Waiter {
  readonly parcel: Parcel
  /** Bytes that it counts for. */
  readonly size: number
}

class Dedupe implements Stage {
  readonly #key: Expression | undefined
  readonly #lane: StageContext
  readonly #next: Stage
  readonly #delivered: Recent
  /** By the key of what is under way. */
  readonly #underWay = new FreshMap<string, Waiting>()
  #messages = 0
  #bytes = 0
  /** Keys whose message ended without being delivered: the next is tried. */
  readonly #failed = new Fifo<Waiting>()
  #isTrying = false

  constructor(config: DedupeConfig, lane: StageContext) {
    this.#key = config.key
    this.#lane = lane
    this.#delivered = new Recent(config, lane.clock.now)
    this.#next = lane.next()
  }

  get hasRoom(): boolean {
    return this.#next.hasRoom
  }

  get messages(): number {
    return this.#messages + this.#next.messages
  }

  get bytes(): number {
    return this.#bytes + this.#next.bytes
  }

  /** What waits here waits for something further on. */
  async whenEmpty(): Promise<void> {
    await this.#next.whenEmpty()
  }

  take(parcel: Parcel): void {
    let key: string
    try {
      key = this.#keyOf(parcel.message)
    } catch (error) {
      this.#lane.failed(parcel, 'invalid', error)
      return
    }
    const waiting = this.#underWay.get(key)
    if (waiting !== undefined) this.#wait(parcel, waiting)
    else if (this.#delivered.has(key)) this.#lane.filtered(parcel)
    else {
      const first: Waiting = { key, parcels: undefined }
      this.#underWay.set(key, first)
      this.#send(parcel, first)
    }
  }

  close(): void {
    for (const waiting of this.#underWay.values()) {
      for (let parcel = this.#leave(waiting); parcel !== undefined; parcel = this.#leave(waiting)) {
        this.#lane.dropped(parcel, 'closing', new errors.CLOSING())
      }
    }
    this.#next.close()
  }

  #keyOf(message: Message): string {
    return boundedKey(this.#key === undefined ? message.id : (this.#key.evaluate(message) as string))
  }

  /** It is bounded like the outbox: where that many wait, the target has not answered for long. */
  #wait(parcel: Parcel, waiting: Waiting): void {
    const { buffer } = this.#lane.delivery
    const size = parcel.message.byteLength
    if (this.#messages >= buffer.messages || this.#bytes + size > buffer.bytes) {
      this.#lane.overflowed(parcel)
      return
    }
    waiting.parcels ??= new Fifo()
    waiting.parcels.push({ parcel, size })
    this.#messages++
    this.#bytes += size
  }

  /** The first that waits does not any more. */
  #leave({ parcels }: Waiting): Parcel | undefined {
    const first = parcels?.shift()
    if (first === undefined) return undefined
    this.#messages--
    this.#bytes -= first.size
    return first.parcel
  }

  #send(parcel: Parcel, waiting: Waiting): void {
    const { settlement } = parcel
    const onEnd = (isDelivered: boolean): void => this.#ended(waiting, isDelivered)
    this.#next.take({ ...parcel, settlement: new First(settlement, onEnd) })
  }

  #ended(waiting: Waiting, isDelivered: boolean): void {
    if (isDelivered) {
      this.#underWay.delete(waiting.key)
      this.#delivered.add(waiting.key)
      for (let parcel = this.#leave(waiting); parcel !== undefined; parcel = this.#leave(waiting)) {
        this.#lane.filtered(parcel)
      }
      return
    }
    this.#failed.push(waiting)
    if (!this.#isTrying) this.#tryNext()
  }

  /** One after another: the next may fail at once, too. */
  #tryNext(): void {
    this.#isTrying = true
    for (let waiting = this.#failed.shift(); waiting !== undefined; waiting = this.#failed.shift()) {
      const parcel = this.#leave(waiting)
      if (parcel === undefined) this.#underWay.delete(waiting.key)
      else this.#send(parcel, waiting)
    }
    this.#isTrying = false
  }
}

/** What is under way of a key: tells how it ended, after its source. */
class First implements Settlement {
  readonly #settlement: Settlement | undefined
  readonly #onEnd: (isDelivered: boolean) => void

  constructor(settlement: Settlement | undefined, onEnd: (isDelivered: boolean) => void) {
    this.#settlement = settlement
    this.#onEnd = onEnd
  }

  settle(error: Error | null, as?: SettledAs): void {
    this.#settlement?.settle(error, as)
    // What is on disk will be delivered.
    this.#onEnd(error === null && (as === undefined || as === 'stored'))
  }
}
