/**
 * Floor 1. A journal's high-water mark: up to which sequence records were durable, and of which it keeps nothing any
 * more. By it a log that was cut off is known by number, not merely by its looks.
 *
 * The file has two halves that are written in turn, so that a loss of power while one is written leaves the other. Each
 * half holds the same slot twice, so that no single damage can make the last mark look like the one before.
 *
 * A slot, little-endian:
 *
 *     0   4  magic
 *     4   4  version of the journal's format
 *     8   8  generation: the higher, the newer
 *     16  8  the last durable sequence
 *     24  4  number of gaps; then first and last sequence of each, 8 bytes each
 *         4  CRC-32 of all before
 */
import { crc32 } from 'node:zlib'
import { errors } from '../errors.ts'
import type { File, Files } from './files.ts'
import { readSequence, writeSequence } from './format.ts'
import { Gaps, MAX_GAPS } from './gaps.ts'

export const MARK_NAME = 'mark'

/** Bytes of the file: what a journal takes on disk beside its segments. */
export const MARK_BYTES = 4 * 4096

const SLOT_BYTES = MARK_BYTES / 4
const HALF_BYTES = MARK_BYTES / 2
const MAGIC = 0x4b4d5241
const VERSION = 1
const GENERATION_AT = 8
const DURABLE_AT = 16
const COUNT_AT = 24
const GAPS_AT = 28

interface Slot {
  readonly generation: number
  readonly durable: number
  readonly gaps: Gaps
}

export class Mark {
  /** Raised by every write. What is in two generations is in both halves. */
  generation: number
  gaps: Gaps
  /** What it said when it was opened; undefined where it is new, or nothing in it is readable. */
  readonly foundDurable: number | undefined
  /** A half, or all of it, was unreadable: damaged, or being written when the power was lost. */
  readonly wasDamaged: boolean
  readonly #file: File
  /** Halves that are to be written to their full length, so that the file has all of its blocks before the disk is full. */
  #whole = 2

  private constructor(file: File, halves: readonly (Slot | undefined)[], isNew: boolean) {
    const [newest] = halves.filter((half) => half !== undefined).toSorted((a, b) => b.generation - a.generation)
    this.#file = file
    this.generation = newest?.generation ?? 0
    this.gaps = newest?.gaps ?? new Gaps()
    this.foundDurable = newest?.durable
    this.wasDamaged = !isNew && halves.includes(undefined)
  }

  /** Makes the file where there is none. Rejects where another version of araldo has made it. */
  static async open(files: Files, folder: string): Promise<Mark> {
    const isNew = !(await files.list(folder)).includes(MARK_NAME)
    const file = await files.open(`${folder}/${MARK_NAME}`, 'write')
    try {
      if (isNew) await files.syncFolder(folder)
      const bytes = Buffer.alloc(MARK_BYTES)
      await file.read(bytes, 0)
      const halves = [0, HALF_BYTES].map((at) => decode(bytes, at, folder) ?? decode(bytes, at + SLOT_BYTES, folder))
      return new Mark(file, halves, isNew)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /**
   * Resolves when the disk has it. One at a time. After a failure the next write goes to the same half: the other one
   * stays readable until this one is.
   */
  async write(durable: number): Promise<void> {
    const generation = this.generation + 1
    const half = encode({ generation, durable, gaps: this.gaps }, this.#whole > 0 ? HALF_BYTES : undefined)
    await this.#file.write([half], (generation % 2) * HALF_BYTES)
    await this.#file.sync()
    this.generation = generation
    if (this.#whole > 0) this.#whole--
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** A half: the slot twice. @param length its bytes; as few as it needs if left out */
function encode({ generation, durable, gaps }: Slot, length?: number): Buffer {
  const { ranges } = gaps
  const end = GAPS_AT + ranges.length * 16
  const half = Buffer.alloc(length ?? SLOT_BYTES + end + 4)
  half.writeUInt32LE(MAGIC, 0)
  half.writeUInt32LE(VERSION, 4)
  writeSequence(half, GENERATION_AT, generation)
  writeSequence(half, DURABLE_AT, durable)
  half.writeUInt32LE(ranges.length, COUNT_AT)
  for (const [index, { first, last }] of ranges.entries()) {
    writeSequence(half, GAPS_AT + index * 16, first)
    writeSequence(half, GAPS_AT + index * 16 + 8, last)
  }
  half.writeUInt32LE(crc32(half.subarray(0, end)), end)
  half.copy(half, SLOT_BYTES, 0, end + 4)
  return half
}

function decode(bytes: Buffer, at: number, folder: string): Slot | undefined {
  const slot = bytes.subarray(at, at + SLOT_BYTES)
  const count = slot.readUInt32LE(COUNT_AT)
  if (slot.readUInt32LE(0) !== MAGIC || count > MAX_GAPS) return undefined
  const end = GAPS_AT + count * 16
  if (slot.readUInt32LE(end) !== crc32(slot.subarray(0, end))) return undefined
  const version = slot.readUInt32LE(4)
  if (version !== VERSION) {
    const reason = `it is of format ${version}, this version of araldo knows ${VERSION}: use the version that made it`
    throw new errors.JOURNAL_UNUSABLE(folder, reason)
  }
  const ranges = Array.from({ length: count }, (_, index) => ({
    first: readSequence(slot, GAPS_AT + index * 16),
    last: readSequence(slot, GAPS_AT + index * 16 + 8),
  }))
  return {
    generation: readSequence(slot, GENERATION_AT),
    durable: readSequence(slot, DURABLE_AT),
    gaps: new Gaps(ranges),
  }
}
