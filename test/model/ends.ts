/** What the ends of the relay may do: endpoints of the model, what their `send` does, how they answer. */
import { errors } from '../../lib/errors.ts'
import { TestEndpoint } from '../support/core.ts'
import type { Answer } from './reference.ts'

export const BEHAVIOURS = [
  'take',
  'take later',
  'refuse',
  'refuse for good',
  'answer no',
  'answer lost',
  'not there',
  'full',
  'take and break',
  'take and be full',
  'break and throw',
] as const
export type Behaviour = (typeof BEHAVIOURS)[number]

/** How it ends, and what the relay is told. */
type Ending = readonly [Answer, () => Error | null]

export const TAKEN: Ending = ['confirm', () => null]
const REFUSED: Ending = ['refuse', () => new Error('refused')]
export const ANSWERS: Readonly<Record<string, Ending>> = {
  confirm: TAKEN,
  refuse: REFUSED,
  'refuse for good': ['refuse for good', () => new errors.TOO_LARGE('target', 1, 2)],
  lost: ['lost', () => new errors.CONNECTION_LOST('target')],
  full: ['not taken', () => new errors.OVERFLOW('target', 1)],
  'answer no': REFUSED,
  'answer lost': ['lost', () => new errors.CONNECTION_LOST('target')],
}
/** What `send` throws. */
export const THROWN: Readonly<Partial<Record<Behaviour, readonly [Answer, () => Error]>>> = {
  refuse: ['refuse', () => new Error('refused')],
  'refuse for good': ['refuse for good', () => new errors.TOO_LARGE('target', 1, 2)],
  'not there': ['not taken', () => new errors.CONNECTION_LOST('target')],
  full: ['not taken', () => new errors.OVERFLOW('target', 1)],
  'break and throw': ['refuse', () => new Error('refused')],
}
export const ANSWER_NAMES = ['confirm', 'refuse', 'refuse for good', 'lost', 'full'] as const

/** A source that says when it is paused, and goes on. */
export class PausableEndpoint extends TestEndpoint {
  onPause: ((isPaused: boolean) => void) | undefined

  protected override suspend(): void {
    super.suspend()
    this.onPause?.(true)
  }

  protected override resume(): void {
    super.resume()
    this.onPause?.(false)
  }
}

/** An endpoint whose listeners are counted: a lane that has ended has none left. */
export class CountedEndpoint extends TestEndpoint {
  listeners = 0

  override onReady(listener: () => void): () => void {
    return this.#counted(super.onReady(listener))
  }

  override onState(listener: Parameters<TestEndpoint['onState']>[0]): () => void {
    return this.#counted(super.onState(listener))
  }

  #counted(unlisten: () => unknown): () => void {
    this.listeners++
    return () => {
      if (unlisten() === true) this.listeners--
    }
  }
}
