/** Waiting with a deadline. Prefer {@link event} or {@link within}; {@link until} is for where nothing emits. */
import type { EventEmitter } from 'node:events'
import { once } from 'node:events'

/** How long a test waits for something that is about to happen, where it does not say (milliseconds). */
export const DEFAULT_TIMEOUT = 5_000

export interface WaitOptions {
  /** Milliseconds; 5,000 if left out. */
  readonly timeout?: number
  /** What was waited for, in words: `the endpoint to be up`. Becomes part of the error. */
  readonly message?: string
}

/** Thrown by everything here when the time is over. `cause` is the predicate's last error, if it threw. */
export class WaitTimeout extends Error {
  override readonly name = 'WaitTimeout'
}

/**
 * Asks again and again until the answer is truthy, and returns that answer. An error thrown by the predicate counts
 * as "not yet", and is the cause of the timeout's error.
 */
export async function until<Value>(
  predicate: () => Value | Promise<Value>,
  { timeout = DEFAULT_TIMEOUT, message = 'the condition', interval = 10 }: WaitOptions & { interval?: number } = {},
): Promise<NonNullable<Value>> {
  const deadline = performance.now() + timeout
  for (;;) {
    let cause: unknown
    try {
      const left = Math.max(1, deadline - performance.now())
      const value = await within(Promise.resolve(predicate()), { timeout: left, message: 'the predicate to answer' })
      if (value) return value
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadline) {
      throw new WaitTimeout(`waited ${timeout} ms for ${message}`, cause === undefined ? undefined : { cause })
    }
    await new Promise((resolve) => setTimeout(resolve, interval))
  }
}

/** The promise's own result, or a {@link WaitTimeout}. Keeps the process alive while it waits. */
export async function within<Value>(
  promise: Promise<Value>,
  { timeout = DEFAULT_TIMEOUT, message = 'the promise' }: WaitOptions = {},
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new WaitTimeout(`waited ${timeout} ms for ${message}`)), timeout)
  })
  try {
    return await Promise.race([promise, expired])
  } finally {
    clearTimeout(timer)
  }
}

/** The arguments of the emitter's next such event. Rejects on its `error` event and when the time is over. */
export async function event(
  emitter: EventEmitter,
  name: string,
  { timeout = DEFAULT_TIMEOUT, message = `event '${name}'` }: WaitOptions = {},
): Promise<unknown[]> {
  const abort = new AbortController()
  try {
    const emitted: Promise<unknown[]> = once(emitter, name, { signal: abort.signal })
    return await within(emitted, { timeout, message })
  } finally {
    abort.abort()
  }
}
