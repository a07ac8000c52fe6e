/**
 * Floor 1. Makes records durable: all that were appended while one write was under way are written with the next
 * (group commit), one write at a time. In this order, and never another:
 *
 *     the records -> sync -> the mark -> sync -> `onDurable`
 *
 * After an error nothing is believed. What was not announced is written again until that works: over what the failed
 * write left behind, or, where it was a sync that failed, into a new segment, since the kernel forgets which pages it
 * could not write ("fsyncgate", https://wiki.postgresql.org/wiki/Fsync_Errors).
 */
import { Backoff } from '../retry.ts'
import { type Batch, encodeBatch } from './batch.ts'
import type { DoneWriter } from './dones.ts'
import type { File, Files } from './files.ts'
import { HEADER_BYTES, Salt } from './format.ts'
import type { Mark } from './mark.ts'
import type { Remover } from './removal.ts'
import { MAX_SEGMENT_RECORDS, Segment } from './segment.ts'
import type { Segments } from './segments.ts'
import type { UnwrittenRecords } from './unwritten.ts'

export interface WriterInit {
  readonly files: Files
  readonly folder: string
  readonly segments: Segments
  readonly unwritten: UnwrittenRecords
  readonly mark: Mark
  readonly dones: DoneWriter
  readonly remover: Remover
  readonly segmentBytes: number
  /** Of the first segment that it makes. */
  readonly ordinal: number
  /** A number in [0, 1) for the pauses between tries; handed in by tests. */
  readonly random: (() => number) | undefined
  /** Everything up to this sequence survives a loss of power; so many of it, new, are pending. Must not throw. */
  readonly onDurable: (through: number, pending: number) => void
  /** Writing failed, or works again. Must not throw. */
  readonly onFailure: (failure: unknown) => void
}

interface Active {
  readonly segment: Segment
  readonly file: File
  /** A sync of it has failed, or what a write left behind could not be cut off: nothing more is written to it. */
  isSpoilt: boolean
}

/** What one write takes at most. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_RECORDS = 8192

/** Milliseconds between two tries after an error, at most. */
const RETRY_DELAY = { minDelay: 100, maxDelay: 5_000 }

export class Writer {
  /** Why the last write failed; undefined while writing works. */
  failure: unknown
  /** Syncs that succeeded. */
  syncs = 0
  readonly #init: WriterInit
  readonly #backoff: Backoff
  #active: Active | undefined
  /** On disk and synced, but the mark does not say so yet. */
  #synced: Batch | undefined
  #ordinal: number
  #isSealWanted = false
  #isClosing = false
  #turn: NodeJS.Immediate | undefined
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor(init: WriterInit) {
    this.#init = init
    this.#ordinal = init.ordinal
    this.#backoff = new Backoff(init.random === undefined ? RETRY_DELAY : { ...RETRY_DELAY, random: init.random })
  }

  /** There may be something to do; it begins at the end of this turn. */
  kick(): void {
    if (this.#running !== undefined || !this.#hasWork) return
    this.#turn ??= setImmediate(() => void this.#start())
  }

  /** Disk space is wanted: the newest segment goes, too, as soon as all of it is done. */
  wantSpace(): void {
    this.#isSealWanted = true
    this.kick()
  }

  /** All records of a segment are done. */
  over(segment: Segment): void {
    if (segment.isSealed) this.#init.remover.retire(segment)
    this.kick()
    // Where the disk is full, there may be room soon.
    this.#wake?.()
  }

  /** Writes what is left, once, and lets go of the files. Never rejects. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#wake?.()
    await this.#running
    if (this.failure === undefined) await this.#start()
    await this.#init.remover.settled()
    await this.#active?.file.close().catch(() => undefined)
    this.#active = undefined
  }

  get #hasWork(): boolean {
    return this.#init.unwritten.length > 0 || this.#init.remover.awaitsMark || this.#canSeal
  }

  get #canSeal(): boolean {
    const segment = this.#active?.segment
    if (!this.#isSealWanted || segment === undefined || this.#synced !== undefined) return false
    return segment.records > 0 && segment.pending === 0
  }

  #start(): Promise<void> {
    clearImmediate(this.#turn)
    this.#turn = undefined
    this.#running = this.#run().then(() => {
      this.#running = undefined
      if (!this.#isClosing) this.kick()
    })
    return this.#running
  }

  async #run(): Promise<void> {
    // After a failure the mark is written where nothing else is left to be: until that works, it has failed.
    while (this.#hasWork || this.failure !== undefined) {
      try {
        await this.#step()
      } catch (error) {
        await this.#repair()
        this.#fail(error)
        await this.#giveBack()
        if (this.#isClosing) return
        await this.#pause()
        continue
      }
      this.#fail(undefined)
      this.#backoff.reset()
      this.#init.remover.run()
    }
  }

  async #step(): Promise<void> {
    const { unwritten, mark } = this.#init
    if (this.#canSeal) await this.#seal()
    if (unwritten.length === 0) {
      await mark.write(unwritten.first - 1)
      this.syncs++
      return
    }
    const batch = this.#synced ?? (await this.#write())
    this.#synced = batch
    await mark.write(unwritten.first + batch.records - 1)
    this.syncs++
    this.#synced = undefined
    this.#commit(batch)
  }

  async #write(): Promise<Batch> {
    const { unwritten, segmentBytes } = this.#init
    const active = await this.#room(unwritten.get(unwritten.first)?.length ?? 0)
    const { segment, file } = active
    const maxRecords = Math.min(BATCH_RECORDS, MAX_SEGMENT_RECORDS - segment.records)
    const maxBytes = Math.min(BATCH_BYTES, segmentBytes - segment.bytes)
    const batch = encodeBatch(unwritten.batch(maxRecords, maxBytes), unwritten.first, segment.salt)
    await file.write(batch.buffers, segment.bytes)
    try {
      await file.sync()
    } catch (error) {
      active.isSpoilt = true
      throw error
    }
    this.syncs++
    return batch
  }

  /** The segment that takes the next record. */
  async #room(recordBytes: number): Promise<Active> {
    const segment = this.#active?.segment
    if (segment !== undefined && segment.records > 0) {
      const isFull = segment.bytes + HEADER_BYTES + recordBytes > this.#init.segmentBytes
      if (isFull || segment.records === MAX_SEGMENT_RECORDS) await this.#seal()
    }
    this.#active ??= await this.#create()
    return this.#active
  }

  async #create(): Promise<Active> {
    const { files, folder, segments, unwritten } = this.#init
    const { usage } = segments
    const segment = new Segment({ ordinal: this.#ordinal++, first: unwritten.first, salt: new Salt(), usage })
    const path = `${folder}/${segment.logName}`
    const file = await files.open(path, 'create')
    try {
      await files.syncFolder(folder)
    } catch (error) {
      await file.close().catch(() => undefined)
      await files.remove(path).catch(() => undefined) // An empty one is removed by the next start.
      throw error
    }
    segments.push(segment)
    return { segment, file, isSpoilt: false }
  }

  async #seal(): Promise<void> {
    const active = this.#active
    if (active === undefined) return
    this.#active = undefined
    this.#isSealWanted = false
    active.segment.isSealed = true
    // All of it is durable.
    await active.file.close().catch(() => undefined)
    if (active.segment.isOver) this.#init.remover.retire(active.segment)
  }

  /** A batch is durable, and the mark says so. */
  #commit({ records, bytes }: Batch): void {
    const { unwritten, dones, onDurable } = this.#init
    const { segment } = this.#active as Active
    const { first } = unwritten
    segment.index(first, segment.bytes)
    segment.extend(first + records - 1, bytes)
    let pending = 0
    // Also those that are an empty run in the log: a damaged log does not make them look lost.
    for (let sequence = first; sequence <= segment.last; sequence++) {
      if (unwritten.get(sequence) === undefined) segment.done(sequence)
      else pending++
    }
    unwritten.shift(records)
    if (segment.hasUnsaved) dones.add(segment)
    onDurable(unwritten.first - 1, pending)
  }

  /** Cuts off what a failed write has left, or turns away from the file. */
  async #repair(): Promise<void> {
    const active = this.#active
    if (active === undefined || this.#synced !== undefined) return
    const { segment, file } = active
    await file.truncate(segment.bytes).catch(() => (active.isSpoilt = true))
    if (!active.isSpoilt) return
    if (segment.records > 0) return this.#seal()
    const { segments, files, folder } = this.#init
    this.#active = undefined
    segments.remove(segment)
    await file.close().catch(() => undefined)
    await files.remove(`${folder}/${segment.logName}`).catch(() => undefined)
  }

  /** The disk may be full: what is over goes even while nothing can be written. The mark takes no new space. */
  async #giveBack(): Promise<void> {
    const { remover, mark, unwritten } = this.#init
    this.#isSealWanted = true
    if (this.#synced !== undefined) return
    try {
      while (remover.awaitsMark) await mark.write(unwritten.first - 1)
    } catch {
      return // Tried again with the next write.
    }
    remover.run()
  }

  #fail(failure: unknown): void {
    const isNews = (failure === undefined) !== (this.failure === undefined)
    this.failure = failure
    if (isNews) this.#init.onFailure(failure)
  }

  async #pause(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = setTimeout(resolve, this.#backoff.next()).unref()
    })
    clearTimeout(timer)
    this.#wake = undefined
  }
}
