/** Floor 1. What a JavaScript module's function is given as a step of a lane, and what it may give back. */
import type { Message, MessageChange } from '../message.ts'

/** Around one call. */
export interface StepContext {
  /** The name of the endpoint that the lane leads to. */
  readonly target: string
  /** Aborts when the time is up, and when the relay ends: what is given back then comes too late. */
  readonly signal: AbortSignal
}

/**
 * What becomes of the message:
 * - nothing, or `true`: it goes on as it is;
 * - `false` or `null`: it is filtered out;
 * - a change: it goes on with that body, topic or key, and with these headers added to its own;
 * - a list of any of these: it becomes as many messages as go on, with ids of their own, which are settled together.
 */
export type StepResult = StepVerdict | readonly StepVerdict[]

export type StepVerdict = MessageChange | boolean | null | undefined | void

/**
 * A step of a lane, written in JavaScript. The message is its own copy: it may write to its body, but what it does not
 * give back changes nothing. For the messages of one key it is called one after another, in order. What it throws ends
 * the message like an expression that failed, unless the error's `retryable` is `true`: then it is called again later.
 */
export type StepFunction = (message: Message, context: StepContext) => StepResult | PromiseLike<StepResult>
