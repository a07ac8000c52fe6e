/** WebSocket frames (RFC 6455, section 5.2), as far as the benchmark's clients need them. */

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

const FINAL = 0x80
const MASKED = 0x80

/** What a server sends: not masked. */
export function serverFrame(opcode: number, payload: string | Buffer): Buffer {
  return frame(opcode, Buffer.from(payload), 0, Buffer.alloc(0))
}

/** What a client sends. The mask is 0, which leaves the payload as it is. */
export function clientFrame(opcode: number, payload: string | Buffer): Buffer {
  return frame(opcode, Buffer.from(payload), MASKED, Buffer.alloc(4))
}

function frame(opcode: number, payload: Buffer, masked: number, mask: Buffer): Buffer {
  if (payload.length > 0xffff) throw new RangeError('the benchmark sends no frame of 64 KiB or more')
  const short = payload.length < 126
  const header = Buffer.alloc(short ? 2 : 4)
  header[0] = FINAL | opcode
  header[1] = masked | (short ? payload.length : 126)
  if (!short) header.writeUInt16BE(payload.length, 2)
  return Buffer.concat([header, mask, payload])
}

/** The head of a server's frame. */
export interface FrameHead {
  readonly opcode: number
  /** Bytes of the head itself. */
  readonly size: number
  /** Bytes of payload behind it. */
  readonly length: number
}

/** The frame that begins at `start`; undefined while its head is not whole. */
export function readHead(bytes: Buffer, start: number, end: number): FrameHead | undefined {
  if (end - start < 2) return undefined
  const opcode = (bytes[start] as number) & 0x0f
  const length = bytes[start + 1] as number
  if (length < 126) return { opcode, size: 2, length }
  const size = length === 126 ? 4 : 10
  if (end - start < size) return undefined
  return { opcode, size, length: size === 4 ? bytes.readUInt16BE(start + 2) : Number(bytes.readBigUInt64BE(start + 2)) }
}
