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
