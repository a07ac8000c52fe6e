/** Floor 0. Waiting for something that may never happen. */

/**
 * Resolves to true when `work` has resolved, or to false after so many milliseconds without it: `work` then goes on
 * unwatched. Rejects when `work` does in time.
 */
export async function within(milliseconds: number, work: unknown): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, milliseconds, false)
  })
  try {
    return await Promise.race([Promise.resolve(work).then(() => true), expired])
  } finally {
    clearTimeout(timer)
  }
}

/** What `work` comes to, unless the signal aborts first: then it rejects with the signal's reason. */
export function abortable<Value>(work: Value | Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    void Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort))
  })
}
