/** Floor 2. `split`: one message for each element of a list; all of them are settled together. */
import type { Parcel } from '../delivery/delivery.ts'
import { errors } from '../errors.ts'
import type { Expression } from '../expression.ts'
import type { Message } from '../message.ts'
import { handOn, type Stage, type StageContext, type StagedStep } from '../delivery/stage.ts'

export interface SplitConfig {
  /** Gives the list. */
  readonly list: Expression
  /** Elements at most. */
  readonly max: number
}

export function split(config: SplitConfig): StagedStep {
  return { name: 'split', open: (lane) => new Split(config, lane) }
}

class Split implements Stage {
  readonly #config: SplitConfig
  readonly #lane: StageContext
  readonly #next: Stage

  constructor(config: SplitConfig, lane: StageContext) {
    this.#config = config
    this.#lane = lane
    this.#next = lane.next()
  }

  get hasRoom(): boolean {
    return this.#next.hasRoom
  }

  get messages(): number {
    return this.#next.messages
  }

  get bytes(): number {
    return this.#next.bytes
  }

  async whenEmpty(): Promise<void> {
    await this.#next.whenEmpty()
  }

  take(parcel: Parcel): void {
    let parts: Message[]
    try {
      parts = this.#parts(parcel.message)
    } catch (error) {
      this.#lane.failed(parcel, 'invalid', error)
      return
    }
    handOn(parcel, parts, this.#lane, this.#next)
  }

  close(): void {
    this.#next.close()
  }

  #parts(message: Message): Message[] {
    const { list, max } = this.#config
    const elements = list.evaluate(message) as readonly unknown[]
    if (elements.length > max) {
      throw new errors.EXPRESSION_FAILED(
        list.text,
        message.id,
        `it gives ${elements.length} elements, more than ${max}`,
      )
    }
    return elements.map((body, index) => message.part(index, { body }))
  }
}
