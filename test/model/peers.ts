/** The far ends of the relay: targets that take, refuse, answer late or twice, and lose their links. */
import assert from 'node:assert/strict'
import type { Settle } from '../../lib/types.ts'
import { contextOf, counting } from '../support/core.ts'
import { settleDown } from './clock.ts'
import { ANSWERS, type Behaviour, CountedEndpoint, TAKEN, THROWN } from './ends.ts'
import type { Answer, Fed } from './reference.ts'

export interface TargetSetup {
  readonly confirms: boolean
  readonly pipelined: boolean
  readonly otherFormat: boolean
}

/** What a target has and has not answered for. */
export interface Flight {
  readonly at: number
  readonly fed: Fed
  /** Of the lane in its route. */
  readonly place: number
  readonly answer: (error: Error | null) => void
}

/** A message in the middle of `send`. */
export interface Sent {
  readonly at: number
  readonly fed: Fed
  readonly place: number
  readonly settle: Settle | undefined
  /** undefined where the target does not confirm. */
  readonly flight: Flight | undefined
}

export abstract class Peers {
  readonly targets: CountedEndpoint[]
  readonly behaves: Behaviour[]
  readonly isDown: boolean[]
  /** They have said that they are full, and not taken it back. */
  readonly isFull: boolean[]
  isClosed = false
  flights: Flight[] = []
  /** Flights that have ended: what they still say must change nothing. */
  readonly old: Flight[] = []

  constructor(setups: readonly TargetSetup[]) {
    this.behaves = setups.map(() => 'take')
    this.isDown = setups.map(() => false)
    this.isFull = setups.map(() => false)
    this.targets = setups.map(({ confirms, otherFormat, pipelined }, at) => {
      const marshaller = counting(otherFormat ? 'other' : 'json')
      const target = new CountedEndpoint(contextOf(`t${at}`, { confirm: confirms, pipelined, marshaller }))
      target.onConnect = () => {
        if (this.isDown[at] === true) throw new Error('still down')
      }
      return target
    })
  }

  /** The reference is told of an answer, before the relay is. */
  protected abstract answered(at: number, fed: Fed, place: number, answer: Answer): void

  /** The reference is told that `send` goes on asynchronously. */
  protected abstract goesOn(at: number, fed: Fed, place: number): void

  isReady(at: number): boolean {
    return this.targets[at]?.ready === true
  }

  saturate(at: number, isFull: boolean): void {
    if (this.targets[at]?.state === 'up') this.isFull[at] = isFull
    this.targets[at]?.saturate(isFull)
  }

  answer(flight: Flight, name: string): void {
    const [answer, error] = ANSWERS[name] ?? assert.fail()
    this.land(flight)
    this.answered(flight.at, flight.fed, flight.place, answer)
    flight.answer(error())
  }

  /** An answer that is none any more. */
  answerLate(flight: Flight, name: string): void {
    flight.answer(ANSWERS[name]?.[1]() ?? null)
  }

  async break(at: number): Promise<void> {
    this.isDown[at] = true
    this.targets[at]?.break()
    await settleDown()
  }

  protected behave(sent: Sent): unknown {
    const { at, settle } = sent
    const as = this.behaves[at]
    const thrown = THROWN[as ?? 'take']
    if (thrown !== undefined) {
      if (as === 'break and throw') this.#breakInside(at)
      this.#return(sent, thrown[0])
      throw thrown[1]()
    }
    if (as === 'take and break') this.#breakInside(at)
    if (as === 'take and be full') this.saturate(at, true)
    if (as === 'take later') return settle === undefined ? this.#goOn(sent) : undefined
    // One that is to confirm has no time to when its link is lost.
    if (settle !== undefined && as === 'take and break') return undefined
    const [answer, error] = ANSWERS[as ?? 'take'] ?? TAKEN
    this.#return(sent, settle === undefined ? 'confirm' : answer)
    settle?.(error())
    settle?.(new Error('a second answer'))
    return undefined
  }

  /** The target answers before `send` returns. Where the link was lost meanwhile, that is no answer any more. */
  #return({ at, fed, place, flight }: Sent, answer: Answer): void {
    if (flight !== undefined) {
      if (!this.flights.includes(flight)) return
      this.land(flight)
    }
    this.answered(at, fed, place, answer)
  }

  /** A `send` that is async, though the target does not confirm. */
  #goOn({ at, fed, place }: Sent): Promise<void> {
    this.goesOn(at, fed, place)
    return new Promise<void>((resolve, reject) => {
      this.fly(at, fed, place, (error) => (error === null ? resolve() : reject(error)))
    })
  }

  protected fly(at: number, fed: Fed, place: number, answer: Flight['answer']): Flight {
    const flight = { at, fed, place, answer }
    // A lane that was closed in the middle of the send hears nothing any more.
    if (this.isClosed) this.old.push(flight)
    else this.flights.push(flight)
    return flight
  }

  #breakInside(at: number): void {
    this.isDown[at] = true
    this.targets[at]?.break()
  }

  protected land(flight: Flight): void {
    this.flights.splice(this.flights.indexOf(flight), 1)
    this.old.push(flight)
  }
}
