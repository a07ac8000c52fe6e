/**
 * Floor 2. Hands messages to one target, and tells of each once how that ended, whatever the target does: confirms
 * late, twice or never, throws, or loses its link.
 */
import type { Endpoint } from '../endpoint.ts'
import { dropReasonOf, errors } from '../errors.ts'
import { List, Listed } from '../list.ts'
import type { Message } from '../message.ts'

/**
 * How a message ended at the target:
 * - `delivered`: confirmed; or handed over, where the target does not confirm.
 * - `refused`: the target does not have it.
 * - `unknown`: the link was lost before the answer: the target has it, or has not.
 */
export type Fate = 'delivered' | 'refused' | 'unknown'

/** The part of an endpoint that messages are handed to. */
export type Target = Pick<Endpoint, 'name' | 'capabilities' | 'ready' | 'onReady' | 'onState' | 'send'>

/** Whether messages may follow one another without waiting for its answers, and arrive in order all the same. */
export function isPipelined({ capabilities }: Pick<Target, 'capabilities'>): boolean {
  return capabilities.target?.confirm === true && capabilities.target.pipelined === true
}

/** @param error what the target said; undefined for a message that is delivered. Must not throw. */
export type OnEnd<Item> = (item: Item, fate: Fate, error: unknown) => void

/** One message that the target has and has not answered for. Each sending has its own: an answer to another is none. */
class Flight<Item> extends Listed {
  /** Gone when it is over: whoever keeps its callback keeps nothing of the message. */
  item: Item | undefined

  constructor(item: Item) {
    super()
    this.item = item
  }
}

export class Handover<Item> {
  readonly #target: Target
  readonly #confirms: boolean
  readonly #onEnd: OnEnd<Item>
  readonly #flights = new List<Flight<Item>>()
  /** What a target that does not confirm is taking at this moment. */
  #taking: Item | undefined
  readonly #unlisten: () => void

  constructor(target: Target, onEnd: OnEnd<Item>) {
    this.#target = target
    this.#confirms = target.capabilities.target?.confirm === true
    this.#onEnd = onEnd
    // At its end, too, nothing is answered any more, but whoever sends knows of that, and ends what is in flight.
    this.#unlisten = target.onState((state) => {
      if (state === 'down') this.#lose()
    })
  }

  /** Messages that the target has and has not answered for. */
  get inFlight(): number {
    return this.#flights.size
  }

  /** Sends one message. `onEnd` may be called before this returns. Never throws. */
  send(item: Item, message: Message): void {
    if (this.#confirms) this.#sendConfirmed(item, message)
    else this.#sendPlain(item, message)
  }

  /**
   * A `send` that is no fast one has returned: what a type must not do, but some will, is to make it async. It must
   * still not end the process, nor count before its end.
   */
  wait(item: Item, sending: unknown): void {
    this.#settleLater(this.#open(item), sending, true)
  }

  /** Gives back what is in flight: no answer to it counts any more, and the target is not listened to. */
  close(): Item[] {
    this.#unlisten()
    const flights = this.#flights.items()
    for (const flight of flights) this.#flights.delete(flight)
    const items = flights.map(({ item }) => item as Item)
    return this.#taking === undefined ? items : [...items, this.#taking]
  }

  #sendPlain(item: Item, message: Message): void {
    let sending: unknown
    this.#taking = item
    try {
      sending = this.#target.send(message)
    } catch (error) {
      this.#taking = undefined
      this.#onEnd(item, 'refused', error ?? this.#unexplained())
      return
    }
    this.#taking = undefined
    if (sending === undefined) this.#onEnd(item, 'delivered', undefined)
    else this.wait(item, sending)
  }

  #sendConfirmed(item: Item, message: Message): void {
    const flight = this.#open(item)
    try {
      // `undefined` too: JavaScript's callbacks say success by either.
      const sending: unknown = this.#target.send(message, (error) => this.#answered(flight, error ?? undefined))
      if (sending !== undefined) this.#settleLater(flight, sending, false)
    } catch (error) {
      this.#end(flight, 'refused', error ?? this.#unexplained())
    }
  }

  #settleLater(flight: Flight<Item>, sending: unknown, isAnswer: boolean): void {
    Promise.resolve(sending).then(
      () => isAnswer && this.#answered(flight, undefined),
      (error: unknown) => this.#answered(flight, error ?? this.#unexplained()),
    )
  }

  #open(item: Item): Flight<Item> {
    const flight = new Flight(item)
    this.#flights.add(flight)
    return flight
  }

  #answered(flight: Flight<Item>, error: unknown): void {
    if (error === undefined) this.#end(flight, 'delivered', undefined)
    else this.#end(flight, dropReasonOf(error) === 'down' ? 'unknown' : 'refused', error)
  }

  #end(flight: Flight<Item>, fate: Fate, error: unknown): void {
    if (!this.#flights.delete(flight)) return
    const item = flight.item as Item
    flight.item = undefined
    this.#onEnd(item, fate, error)
  }

  #lose(): void {
    if (this.#flights.size === 0) return
    const error = new errors.CONNECTION_LOST(this.#target.name)
    // What is sent anew meanwhile is no part of this: the target is not ready.
    for (const flight of this.#flights.items()) this.#end(flight, 'unknown', error)
  }

  #unexplained(): Error {
    return new errors.SEND_FAILED(this.#target.name, 'no reason given')
  }
}
