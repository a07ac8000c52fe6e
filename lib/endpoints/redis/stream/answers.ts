/** Floor 3. What XREADGROUP and XAUTOCLAIM answer. The server is trusted to be Redis, not to be bug-free. */

export interface Entry {
  readonly id: string
  /** Name, value, name, value …; undefined where the entry is pending and is not in the stream any more. */
  readonly fields: readonly Buffer[] | undefined
}

/** Entries by stream; nothing where the time was over. */
export function entriesByStream(answer: unknown): [string, Entry[]][] {
  if (answer === null) return []
  return arrayOf(answer).map((each) => {
    const [stream, entries] = arrayOf(each)
    return [textOf(stream), entriesOf(entries)]
  })
}

/** @returns where to go on, the entries, and the ids of those that were pending and are not in the stream any more. */
export function claimOf(answer: unknown): { cursor: string; entries: Entry[]; gone: string[] } {
  const [cursor, entries, gone = []] = arrayOf(answer)
  return { cursor: textOf(cursor), entries: entriesOf(entries), gone: arrayOf(gone).map(textOf) }
}

/** They are taken out of the answer: the library's answers keep one another for a while, and would keep all entries. */
function entriesOf(value: unknown): Entry[] {
  const entries: Entry[] = []
  for (const each of arrayOf(value).splice(0)) {
    // Redis 6.2 gives nothing for what it was to claim and is gone.
    if (each === null) continue
    const [id, fields] = arrayOf(each)
    entries.push({ id: textOf(id), fields: fields === null ? undefined : (arrayOf(fields) as Buffer[]) })
  }
  return entries
}

function arrayOf(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('Redis gave an answer that is none')
  return value
}

function textOf(value: unknown): string {
  if (!Buffer.isBuffer(value)) throw new Error('Redis gave an answer that is none')
  return value.toString()
}
