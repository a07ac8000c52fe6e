/**
 * Floor 1. Removes segments of which every record is done.
 *
 * First the mark says, in both of its halves, that nothing is kept of their sequences; only then do the files go. The
 * other way round, a crash in between would leave sequences of which nobody knows whether they were done or lost.
 */
import type { Files } from './files.ts'
import type { Mark } from './mark.ts'
import type { Segment } from './segment.ts'
import type { Segments } from './segments.ts'
import type { JournalLog } from './options.ts'

export interface RemoverInit {
  readonly files: Files
  readonly folder: string
  readonly segments: Segments
  readonly mark: Mark
  readonly log: Pick<JournalLog, 'warn'> | undefined
  /** The files are about to be removed: who has them open closes them, since they take space until then. */
  readonly onRemove: (segment: Segment) => Promise<void>
  /** Disk space was given back. Must not throw. */
  readonly onSpace: () => void
}

interface Leaving {
  readonly segment: Segment
  /** The mark's generation from which on its files may go. */
  readonly generation: number
}

export class Remover {
  readonly #init: RemoverInit
  /** Over, but the mark has no place for one more gap: until neighbours go and theirs becomes one with it. */
  #waiting: Segment[] = []
  #leaving: Leaving[] = []
  #running: Promise<void> | undefined

  constructor(init: RemoverInit) {
    this.#init = init
  }

  /** Whether a write of the mark would bring a removal nearer. */
  get awaitsMark(): boolean {
    return this.#leaving.some(({ generation }) => generation > this.#init.mark.generation)
  }

  /** The segment is over. Its files go when the mark has been written twice. */
  retire(segment: Segment): void {
    const { mark, segments } = this.#init
    this.#waiting.push(segment)
    this.#waiting = this.#waiting.filter((each) => {
      if (!mark.gaps.add(each.range)) return true
      segments.remove(each)
      this.#leaving.push({ segment: each, generation: mark.generation + 2 })
      return false
    })
  }

  /** The mark was written: what may go, goes, in the background. */
  run(): void {
    if (this.#running !== undefined) return
    const { generation } = this.#init.mark
    const ready = this.#leaving.filter((each) => each.generation <= generation)
    if (ready.length === 0) return
    this.#leaving = this.#leaving.filter((each) => each.generation > generation)
    this.#running = this.#remove(ready).then((left) => {
      this.#running = undefined
      // What could not be removed is tried again when the mark has been written again; at the latest the next start does it.
      this.#leaving.push(...left)
      if (left.length === 0) this.run()
    })
  }

  /** Resolves when nothing is being removed. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** @returns those that could not be removed */
  async #remove(leaving: readonly Leaving[]): Promise<Leaving[]> {
    const { files, folder, log, onRemove, onSpace } = this.#init
    const left: Leaving[] = []
    for (const each of leaving) {
      const { segment } = each
      try {
        await onRemove(segment)
        await files.remove(`${folder}/${segment.doneName}`)
        await files.remove(`${folder}/${segment.logName}`)
        segment.removed()
      } catch (error) {
        left.push(each)
        log?.warn({ err: error, path: folder, file: segment.logName }, 'what is delivered could not be removed')
      }
    }
    await files.syncFolder(folder).catch(() => undefined) // Where they come back after a crash, they are removed again.
    onSpace()
    return left
  }
}
