/**
 * Floor 3. How long the packets are that come: MQTT.js believes every length, up to 256 MiB, and keeps what comes until all
 * of it is there.
 *
 * Source: MQTT 5, sections 2.1.1 and 2.1.4.
 */

/** Bits of a byte of the length, and whether another follows. */
const BITS = 0x7f
const MORE = 0x80

/** Looks at the stream of one connection, whatever pieces it comes in. */
export class PacketLengths {
  readonly #limit: number
  /** Bytes of the packet that are still to come; undefined while its length is being read. */
  #left: number | undefined
  /** Bytes of the fixed header that were read. */
  #header = 0
  #length = 0

  /** @param limit bytes of a packet. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** @returns the bytes of a packet that is larger than may be; undefined where none is. */
  look(chunk: Buffer): number | undefined {
    let at = 0
    while (at < chunk.length) {
      if (this.#left === undefined) {
        const size = this.#read(chunk[at++] as number)
        if (size > this.#limit) return size
      } else {
        const taken = Math.min(this.#left, chunk.length - at)
        this.#left -= taken
        at += taken
      }
      if (this.#left === 0) this.#left = undefined
    }
    return undefined
  }

  /** @returns bytes of the packet, as far as its header tells. A length of more than four bytes, MQTT.js finds. */
  #read(byte: number): number {
    if (this.#header > 0) this.#length += (byte & BITS) * 128 ** (this.#header - 1)
    this.#header++
    const size = this.#header + this.#length
    if (this.#header > 1 && (byte & MORE) === 0) {
      this.#left = this.#length
      this.#header = this.#length = 0
    }
    return size
  }
}
