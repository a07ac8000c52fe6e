/**
 * Floor 3. What single clients are told: acks and nacks. Those of one turn of the event loop leave in one write a
 * client. Written as the fan-out writes: whole frames, beside ws (fan-out.ts says why that is safe).
 */
import { WebSocket } from 'ws'
import type { Client } from './client.ts'
import { frameLength, TEXT, writeFrame } from './frame.ts'

export interface RepliesOptions {
  /** Bytes that may wait for one client. */
  readonly limit: number
  /** A client did not get what was due to it: more than `limit` would wait. */
  readonly onOverflow: (client: Client) => void
  /** A client has been told; at the end of the turn, so that whoever is called here is not in the middle of anything. */
  readonly onTold: (client: Client) => void
}

export class Replies {
  readonly #options: RepliesOptions
  #waiting = new Map<Client, Buffer[]>()
  /** Those that {@link RepliesOptions.onTold} is to be called for. */
  #told = new Set<Client>()

  constructor(options: RepliesOptions) {
    this.#options = options
  }

  /** @param text UTF-8; one text frame. */
  send(client: Client, text: Buffer): void {
    if (this.#told.size === 0) setImmediate(this.#onTurnEnd)
    this.#told.add(client)
    const texts = this.#waiting.get(client)
    if (texts === undefined) this.#waiting.set(client, [text])
    else texts.push(text)
  }

  /** Writes what this turn has gathered so far. To be called before a close frame is sent. */
  flush(): void {
    if (this.#waiting.size === 0) return
    const waiting = this.#waiting
    this.#waiting = new Map()
    for (const [client, texts] of waiting) this.#write(client, texts)
  }

  readonly #onTurnEnd = (): void => {
    this.flush()
    const told = this.#told
    this.#told = new Set()
    for (const client of told) this.#options.onTold(client)
  }

  #write(client: Client, texts: readonly Buffer[]): void {
    const { direct, websocket } = client
    if (websocket.readyState !== WebSocket.OPEN) return
    let length = 0
    for (const text of texts) length += frameLength(text.length)
    if (client.pending + length > this.#options.limit) {
      this.#options.onOverflow(client)
      return
    }
    if (direct === undefined) {
      for (const text of texts) websocket.send(text, { binary: false })
      return
    }
    const buffer = Buffer.allocUnsafe(length)
    let offset = 0
    for (const text of texts) offset = writeFrame(buffer, offset, TEXT, text)
    direct.write(buffer)
  }
}
