/** Figures mean little while other programs use the machine: a measurement waits for quiet, and is repeated without it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { busySeconds } from './measure.ts'

/** CPU seconds a second that other programs may use. */
export const MAX_OTHERS = 0.1
/** A measurement that was disturbed is made again, so many times at most; the least disturbed one counts. */
const TRIES = 5
/** The machine is watched for so long (seconds). */
const WATCH = 1

/** Resolves when the machine has been idle for a second, or after so many seconds without. */
export async function untilQuiet(patience: number): Promise<void> {
  const deadline = performance.now() + patience * 1_000
  do {
    const before = busySeconds()
    await sleep(WATCH * 1_000)
    if (busySeconds() - before <= MAX_OTHERS * WATCH) return
  } while (performance.now() < deadline)
}

/**
 * Measures when it is quiet, and again when it was not.
 * @param disturbance CPU seconds a second that other programs used meanwhile.
 */
export async function measureQuietly<Result>(
  patience: number,
  measure: () => Promise<Result>,
  disturbance: (result: Result) => number,
): Promise<Result> {
  let best: Result | undefined
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    await untilQuiet(patience)
    const result = await measure()
    if (best === undefined || disturbance(result) < disturbance(best)) best = result
    if (disturbance(best) <= MAX_OTHERS) break
  }
  return best as Result
}
