/** Floor 6. Waiting and judging, with failures that tell an author what was expected, what was there, and why. */
import { AssertionError } from 'node:assert'
import { within } from '../deadline.ts'
import { reasonOf } from '../errors.ts'

/** Between two looks at something that tells nobody when it changes (milliseconds). */
const INTERVAL = 5

export function fail(message: string, cause?: unknown): never {
  const error = new AssertionError({ message, stackStartFn: fail })
  if (cause !== undefined) error.cause = cause
  throw error
}

/** @param message what was expected, what was there, and what the contract says. */
export function expect(condition: unknown, message: string): asserts condition {
  if (condition !== true) fail(message)
}

/**
 * Looks again and again until the answer is true. An error counts as "not yet".
 * @param describe says what is wrong when the time is over: it sees what is there by then.
 */
export async function until(
  look: () => boolean | Promise<boolean>,
  patience: number,
  describe: () => string,
): Promise<void> {
  const deadline = performance.now() + patience
  for (;;) {
    let cause: unknown
    try {
      if (await look()) return
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadline) {
      fail(`after ${patience} ms, ${describe()}${cause === undefined ? '' : `: ${reasonOf(cause)}`}`, cause)
    }
    await delay(INTERVAL)
  }
}

/** `work` must end in time. */
export async function inTime(work: unknown, patience: number, message: string): Promise<void> {
  if (!(await within(patience, work))) fail(`${message}; it had not ended after ${patience} ms`)
}

export function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** A payload for people: short, and nothing in it that a terminal would obey. */
export function show(payload: Buffer): string {
  const head = payload.subarray(0, 24)
  const dots = payload.length > head.length ? '…' : ''
  return `${payload.length} bytes ${JSON.stringify(head.toString('latin1'))}${dots}`
}
