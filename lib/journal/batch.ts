/** Floor 1. The records that one write of a journal takes, as they stand in the log. */
import { HEADER_BYTES, type Salt } from './format.ts'
import type { Unwritten } from './unwritten.ts'

export interface Batch {
  readonly records: number
  /** Headers and records in turn: no record is copied. */
  readonly buffers: readonly Uint8Array[]
  readonly bytes: number
}

/** Neighbours that are done already share one header. */
export function encodeBatch(records: readonly Unwritten[], first: number, salt: Salt): Batch {
  const headers = Buffer.allocUnsafe(records.length * HEADER_BYTES)
  const buffers: Uint8Array[] = []
  let bytes = 0
  for (let index = 0; index < records.length; index++) {
    const record = records[index]
    const header = headers.subarray(index * HEADER_BYTES, (index + 1) * HEADER_BYTES)
    buffers.push(header)
    bytes += HEADER_BYTES
    if (record === undefined) {
      const start = index
      while (index + 1 < records.length && records[index + 1] === undefined) index++
      salt.writeEmptyRun(header, 0, first + start, index - start + 1)
    } else {
      salt.writeHeader(header, 0, first + index, record)
      buffers.push(record)
      bytes += record.length
    }
  }
  return { records: records.length, buffers, bytes }
}
