/**
 * Floor 3. The consumer group of each stream: made where there is none when the relay comes, and made anew when it is
 * gone, where the relay had come to.
 */
import { isErrorReply } from '../client.ts'
import type { Writer } from './writer.ts'

export class Groups {
  readonly #group: string
  readonly #start: string
  /** The last entry of each stream that came in; `0` where there was none yet. */
  readonly #last = new Map<string, string>()

  /** @param start where a group begins that there is none of when the relay comes. */
  constructor(group: string, start: string) {
    this.#group = group
    this.#start = start
  }

  /** Resolves when these streams have the group, and are there themselves. Does nothing for those that had it once. */
  async make(writer: Writer, streams: readonly string[]): Promise<void> {
    for (const stream of streams) {
      if (this.#last.has(stream)) continue
      await this.#create(writer, stream, this.#start)
      this.#last.set(stream, '0')
    }
  }

  /**
   * Somebody has deleted one of the streams, or its group: resolves when it is there again, and with which were not. It
   * goes on after the last entry that came in; a stream that has begun anew, at its beginning.
   */
  async remake(writer: Writer, streams: readonly string[]): Promise<string[]> {
    const made: string[] = []
    for (const stream of streams) {
      if (await this.#create(writer, stream, await this.#whereItWas(writer, stream))) made.push(stream)
    }
    return made
  }

  /** An entry has come in. */
  seen(stream: string, id: string): void {
    this.#last.set(stream, id)
  }

  /** @returns whether there was none. */
  async #create(writer: Writer, stream: string, start: string): Promise<boolean> {
    try {
      await writer.command('XGROUP', 'CREATE', stream, this.#group, start, 'MKSTREAM')
      return true
    } catch (error) {
      // There is one. Or the user may not make one: whether there is one, the first read tells.
      if (isErrorReply(error) && /^(BUSYGROUP|NOPERM)/.test(error.message)) return false
      throw error
    }
  }

  async #whereItWas(writer: Writer, stream: string): Promise<string> {
    const last = this.#last.get(stream) ?? '0'
    if (last === '0') return last
    try {
      const info = (await writer.command('XINFO', 'STREAM', stream)) as readonly unknown[]
      const newest = info[info.indexOf('last-generated-id') + 1]
      return typeof newest === 'string' && compareIds(newest, last) >= 0 ? last : '0'
    } catch (error) {
      if (isErrorReply(error)) return '0'
      throw error
    }
  }
}

/** Below 0, 0 or above it. Ids are `<milliseconds>-<sequence>`, numbers of up to 64 bits. */
export function compareIds(one: string, other: string): number {
  const [a, b] = [one, other].map((id) => id.split('-').map(BigInt)) as [bigint[], bigint[]]
  return compare(a[0], b[0]) || compare(a[1], b[1])
}

function compare(one = 0n, other = 0n): number {
  return one < other ? -1 : Number(one > other)
}
