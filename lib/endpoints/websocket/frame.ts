/**
 * Floor 3. WebSocket frames as a server writes them: whole messages, not masked, so that every client's bytes are the
 * same. RFC 6455 section 5.2.
 */

export const TEXT = 0x1
export const BINARY = 0x2
export type Opcode = typeof TEXT | typeof BINARY

/** The first byte's bit that says: the message ends with this frame. */
const FIN = 0x80
/** Payloads up to this many bytes have their length in the second byte. */
const MAX_SHORT = 125
const LENGTH_16 = 126
const LENGTH_64 = 127

/** Bytes of the frame that carries a payload of so many bytes. */
export function frameLength(payloadLength: number): number {
  if (payloadLength <= MAX_SHORT) return 2 + payloadLength
  return (payloadLength <= 0xffff ? 4 : 10) + payloadLength
}

/** Writes one whole message at `offset`; there must be {@link frameLength} bytes. Returns where the frame ends. */
export function writeFrame(target: Buffer, offset: number, opcode: Opcode, payload: Buffer): number {
  const { length } = payload
  target[offset] = FIN | opcode
  let position = offset + 2
  if (length <= MAX_SHORT) {
    target[offset + 1] = length
  } else if (length <= 0xffff) {
    target[offset + 1] = LENGTH_16
    position = target.writeUInt16BE(length, position)
  } else {
    target[offset + 1] = LENGTH_64
    // Buffers are shorter than 2 ** 48 bytes.
    position = target.writeUInt16BE(0, position)
    position = target.writeUIntBE(length, position, 6)
  }
  target.set(payload, position)
  return position + length
}
