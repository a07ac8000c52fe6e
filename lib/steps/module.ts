/**
 * Floor 2. `module`: a step that is a function of a JavaScript module, sync or async.
 *
 * Its messages wait in a queue of its own that works as the lane's outbox does, with the function as its target: in
 * order per key, so many at one time, bounded, tried again, in the lane's own measures. While the outbox is nearly full,
 * the function is not called.
 */
import { Delivery, type DeliveryTarget, type Parcel } from '../delivery/delivery.ts'
import { errors, reasonOf } from '../errors.ts'
import { FreshMap } from '../fresh-map.ts'
import type { Message } from '../message.ts'
import { handOn, type Stage, type StageContext, type StagedStep } from '../delivery/stage.ts'
import type { DropReason, Settle, TargetCapabilities } from '../types.ts'
import type { StepContext, StepFunction } from './function.ts'
import { messagesOf } from './result.ts'

export interface ModuleConfig {
  /** As the config names it. */
  readonly path: string
  readonly run: StepFunction
  /** Milliseconds. */
  readonly timeout: number
}

export function module(config: ModuleConfig): StagedStep {
  return { name: 'module', open: (lane) => new ModuleStage(config, lane) }
}

class ModuleStage implements Stage {
  readonly #lane: StageContext
  readonly #function: FunctionTarget
  readonly #queue: Delivery
  readonly #next: Stage

  constructor(config: ModuleConfig, lane: StageContext) {
    this.#lane = lane
    this.#function = new FunctionTarget(config, lane.target.name)
    // A full outbox pauses the function, and a full queue here the source.
    this.#next = lane.next(this.#function)
    this.#queue = new Delivery({
      source: lane.source,
      holdable: lane.holdable,
      replays: lane.replays,
      target: this.#function,
      // What a function got may be given to it again.
      config: { ...lane.delivery, guarantee: 'at-least-once' },
      deadLetters: undefined,
      clock: lane.clock,
      isFed: true,
      onEnd: this.#onEnd,
      onRetry: () => lane.retried(),
      onDeadLetterRefused: () => {},
    })
  }

  get hasRoom(): boolean {
    return this.#queue.hasRoom
  }

  get messages(): number {
    return this.#queue.messages + this.#next.messages
  }

  get bytes(): number {
    return this.#queue.bytes + this.#next.bytes
  }

  async whenEmpty(): Promise<void> {
    await this.#queue.whenEmpty()
    await this.#next.whenEmpty()
  }

  take(parcel: Parcel): void {
    this.#queue.take(parcel)
  }

  close(): void {
    this.#queue.close()
    this.#function.close()
    this.#next.close()
  }

  readonly #onEnd = (parcel: Parcel, end: 'delivered' | 'dead-lettered' | DropReason, error: unknown): void => {
    if (end === 'overflow' || end === 'closing') this.#lane.dropped(parcel, end, error)
    else if (end === 'delivered') handOn(parcel, this.#function.take(parcel.message), this.#lane, this.#next)
    else this.#lane.failed(parcel, end as DropReason, error)
  }
}

const CAPABILITIES: TargetCapabilities = { confirm: true, headers: true, topics: true, echo: false }

/** The function, as something that messages are sent to: it confirms each when it has come to its end. */
class FunctionTarget implements DeliveryTarget {
  readonly name: string
  readonly capabilities = { source: null, target: CAPABILITIES }
  /** Nothing is encoded for it. */
  readonly marshaller = undefined
  readonly state = 'up'
  readonly #run: StepFunction
  readonly #target: string
  readonly #timeout: number
  readonly #results = new FreshMap<Message, readonly Message[]>()
  /** In the order in which they began, which is that of their deadlines. */
  readonly #calls = new FreshMap<Call, Call>()
  #timer: NodeJS.Timeout | undefined
  readonly #listeners = new Set<() => void>()
  #holders = 0

  constructor({ path, run, timeout }: ModuleConfig, target: string) {
    this.name = path
    this.#run = run
    this.#target = target
    this.#timeout = timeout
  }

  get ready(): boolean {
    return this.#holders === 0
  }

  onReady(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** It has no link that could be lost. */
  onState(): () => void {
    return () => {}
  }

  hold(): void {
    this.#holders++
  }

  release(): void {
    this.#holders--
    if (this.ready) for (const listener of this.#listeners) listener()
  }

  send(message: Message, settle?: Settle): void {
    const call = new Call(this.#target, performance.now() + this.#timeout, (error) => {
      this.#calls.delete(call)
      settle?.(this.#errorOf(message, error))
    })
    const finish = (result: unknown): void => {
      if (!this.#calls.delete(call)) return
      try {
        this.#results.set(message, messagesOf(result, message))
      } catch (error) {
        settle?.(this.#errorOf(message, error))
        return
      }
      settle?.(null)
    }
    this.#calls.set(call, call)
    try {
      const result = this.#run(message.copy(), call)
      if (isThenable(result)) {
        this.#awaitDeadline()
        result.then(finish, (error: unknown) => this.#calls.has(call) && call.fail(error))
      } else finish(result)
    } catch (error) {
      call.fail(error)
    }
  }

  /** What the message has become. */
  take(message: Message): readonly Message[] {
    const result = this.#results.get(message) ?? []
    this.#results.delete(message)
    return result
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const call of this.#calls.values()) call.abort(new errors.CLOSING())
    this.#calls.clear()
    this.#results.clear()
  }

  #awaitDeadline(): void {
    if (this.#timer !== undefined) return
    const { first } = this.#calls
    if (first === undefined) return
    const onDue = (): void => {
      this.#timer = undefined
      const now = performance.now()
      for (const call of this.#calls.values()) {
        if (call.deadline > now) break
        call.timeOut()
      }
      this.#awaitDeadline()
    }
    this.#timer = setTimeout(onDue, Math.ceil(first.deadline - performance.now())).unref()
  }

  #errorOf(message: Message, error: unknown): Error {
    if (error === TIMED_OUT) return new errors.MODULE_TIMEOUT(this.name, this.#timeout, message.id)
    const isRetryable = typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === true
    const Failed = isRetryable ? errors.MODULE_UNREADY : errors.MODULE_FAILED
    return new Failed(this.name, message.id, reasonOf(error), { cause: error })
  }
}

const TIMED_OUT = new Error('the time is up')

/** One call of the function. Its signal is made when it is asked for: most functions never do. */
class Call implements StepContext {
  readonly target: string
  /** Milliseconds, monotonic. */
  readonly deadline: number
  readonly #onFail: (error: unknown) => void
  #controller: AbortController | undefined
  #reason: Error | undefined

  constructor(target: string, deadline: number, onFail: (error: unknown) => void) {
    this.target = target
    this.deadline = deadline
    this.#onFail = onFail
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  fail(error: unknown): void {
    this.#onFail(error)
  }

  timeOut(): void {
    this.#onFail(TIMED_OUT)
    this.abort(TIMED_OUT)
  }

  abort(reason: Error): void {
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
