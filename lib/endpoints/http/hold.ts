/** Floor 3. What requests in hand cost, within bounds: their number, and the bytes of their bodies. */
import type { IncomingMessage } from 'node:http'
import { type AraldoError, errors } from '../../errors.ts'

export interface Bounds {
  /** The endpoint's name. */
  readonly name: string
  readonly requests: number
  /** Of the bodies of all of them. */
  readonly bytes: number
}

/** A stream of a request's body; of HTTP, or what the host has made of that. */
type Body = Pick<IncomingMessage, 'on' | 'off' | 'resume'>

export class Holds {
  readonly #bounds: Bounds
  requests = 0
  bytes = 0

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  /** @returns why no other request may come in; undefined where one may. */
  refusal(): AraldoError | undefined {
    const { name, requests } = this.#bounds
    return this.requests < requests ? undefined : new errors.SOURCE_BUSY(name, `${requests} requests are in hand`)
  }

  /** A request has come in. */
  take(): Hold {
    this.requests++
    return new Hold(this, this.#bounds)
  }
}

/** One request's part. */
export class Hold {
  readonly #all: Holds
  readonly #bounds: Bounds
  #bytes = 0
  #isReleased = false

  constructor(all: Holds, bounds: Bounds) {
    this.#all = all
    this.#bounds = bounds
  }

  /** Its request has ended, in whatever way. The second call does nothing. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#all.requests--
    this.#all.bytes -= this.#bytes
  }

  /**
   * Reads a body. Resolves with an error where it is larger than `limit` bytes, where there is no room for it, or where
   * its stream breaks off: what is left of it is read and thrown away.
   */
  read(body: Body, limit: number): Promise<Buffer | AraldoError> {
    const { name } = this.#bounds
    return new Promise((resolve) => {
      const pieces = new Pieces()
      let length = 0
      const end = (result: Buffer | AraldoError): void => {
        body.off('data', onData).off('end', onEnd).off('close', onBroken)
        if (!Buffer.isBuffer(result)) body.resume()
        resolve(result)
      }
      const onData = (chunk: Buffer): void => {
        length += chunk.length
        if (length > limit) end(new errors.TOO_LARGE(name, limit, length))
        else if (this.#grow(chunk.length)) pieces.add(chunk)
        else end(new errors.SOURCE_BUSY(name, `the requests in hand have ${this.#bounds.bytes} bytes`))
      }
      const onEnd = (): void => end(pieces.join())
      const onBroken = (): void => end(new errors.REQUEST_INVALID(name, 'its body breaks off'))
      // It stays: what the stream says later is nobody's concern any more.
      body.on('error', onBroken)
      body.on('data', onData).on('end', onEnd).on('close', onBroken)
    })
  }

  #grow(bytes: number): boolean {
    if (this.#isReleased || this.#all.bytes + bytes > this.#bounds.bytes) return false
    this.#bytes += bytes
    this.#all.bytes += bytes
    return true
  }
}

/** So many pieces become one. */
const MERGED = 256

/**
 * A body as it comes. Whoever sends it in pieces of a byte has each cost a hundred, which no bound counts: what is kept is
 * put together as it grows.
 */
class Pieces {
  readonly #merged: Buffer[] = []
  #recent: Buffer[] = []

  add(piece: Buffer): void {
    this.#recent.push(piece)
    if (this.#recent.length < MERGED) return
    this.#merged.push(Buffer.concat(this.#recent))
    this.#recent = []
  }

  join(): Buffer {
    const all = [...this.#merged, ...this.#recent]
    return all.length === 1 ? (all[0] as Buffer) : Buffer.concat(all)
  }
}
