/**
 * Floor 1. How records stand in a journal's files: one after the other, each behind a header of 24 bytes.
 *
 *     0   4  magic: the first half of the file's salt
 *     4   8  sequence
 *     12  4  length of the record; or, with the highest bit set, of how many records only this header is kept
 *     16  4  CRC-32 of the record
 *     20  4  CRC-32 of the 20 bytes before, begun with the second half of the file's salt
 *
 * All numbers are little-endian. The salt is random, new for each file, and stands in the file's name: damage cannot
 * reach it, and no peer can send a message that, behind a damaged header, would pass for a record.
 */
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

export const HEADER_BYTES = 24
/** Bytes of a record at most. */
export const MAX_RECORD_BYTES = 2 ** 30

const SEQUENCE_AT = 4
const LENGTH_AT = 12
const RECORD_CRC_AT = 16
const HEADER_CRC_AT = 20
const EMPTY_RUN = 2 ** 31
const HIGH = 2 ** 32

/** For headers a table is faster than a call of zlib. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

/** What makes a file's headers its own. */
export class Salt {
  /** 16 hexadecimal digits, as in the file's name. */
  readonly text: string
  /** What every header begins with. */
  readonly magic: Buffer
  readonly #magic: number
  readonly #seed: number

  constructor(text: string = randomBytes(8).toString('hex')) {
    this.text = text
    const bytes = Buffer.from(text, 'hex')
    this.magic = bytes.subarray(0, 4)
    this.#magic = bytes.readUInt32LE(0)
    this.#seed = bytes.readUInt32LE(4)
  }

  /** The salt of the file that goes with this one's. */
  get complement(): Salt {
    return new Salt(Buffer.from(Buffer.from(this.text, 'hex').map((byte) => byte ^ 0xff)).toString('hex'))
  }

  /** Writes a record's header. */
  writeHeader(into: Buffer, at: number, sequence: number, record: Uint8Array): void {
    this.#write(into, at, sequence, record.length, crc32(record))
  }

  /** Writes the header that stands for `count` records, from `sequence` on, that nobody needs any more. */
  writeEmptyRun(into: Buffer, at: number, sequence: number, count: number): void {
    this.#write(into, at, sequence, EMPTY_RUN + count, 0)
  }

  /** Whether an undamaged header of this file stands there. */
  isHeader(bytes: Buffer, at: number): boolean {
    if (bytes.readUInt32LE(at) !== this.#magic) return false
    return bytes.readUInt32LE(at + HEADER_CRC_AT) === headerCrc(bytes, at, this.#seed)
  }

  #write(into: Buffer, at: number, sequence: number, length: number, crc: number): void {
    into.writeUInt32LE(this.#magic, at)
    writeSequence(into, at + SEQUENCE_AT, sequence)
    into.writeUInt32LE(length, at + LENGTH_AT)
    into.writeUInt32LE(crc, at + RECORD_CRC_AT)
    into.writeUInt32LE(headerCrc(into, at, this.#seed), at + HEADER_CRC_AT)
  }
}

/** A sequence, 8 bytes. */
export function writeSequence(into: Buffer, at: number, sequence: number): void {
  into.writeUInt32LE(sequence % HIGH, at)
  into.writeUInt32LE(Math.floor(sequence / HIGH), at + 4)
}

export function readSequence(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * HIGH + bytes.readUInt32LE(at)
}

export function headerSequence(bytes: Buffer, at: number): number {
  return readSequence(bytes, at + SEQUENCE_AT)
}

/** Bytes that follow the header. */
export function headerLength(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32LE(at + LENGTH_AT)
  return length >= EMPTY_RUN ? 0 : length
}

/** Of how many records only this header is kept; 0 where a record follows it. */
export function headerEmptyRun(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32LE(at + LENGTH_AT)
  return length >= EMPTY_RUN ? length - EMPTY_RUN : 0
}

/** Whether the record behind a header is the one that it was written for. */
export function isIntact(bytes: Buffer, at: number, record: Buffer): boolean {
  return crc32(record) === bytes.readUInt32LE(at + RECORD_CRC_AT)
}

function headerCrc(bytes: Buffer, at: number, seed: number): number {
  let crc = ~seed
  for (let index = at; index < at + HEADER_CRC_AT; index++) {
    crc = (CRC_TABLE[(crc ^ (bytes[index] as number)) & 0xff] as number) ^ (crc >>> 8)
  }
  return ~crc >>> 0
}
