/**
 * Floor 3. Stands between a server and the library's parser, which trusts it: a message that is cut off makes it throw
 * where nobody can catch that, an error message without its end makes it read for ever, and a length is believed.
 *
 * Source: PostgreSQL, "Message Formats"; libpq, `pqParseInput3`, which bounds lengths in the same way.
 */

/** Type and length of a message. */
const HEADER = 5
/** The length counts itself. */
const MIN_LENGTH = 4
/** Of most types a longer message (bytes) is a loss of synchronisation. */
const MAX_SHORT = 30_000
/** Errors and notices repeat what they are about; a row's description, a NOTIFY: longer ones nobody needs (bytes). */
const MAX_MIDDLE = 1024 * 1024
/** A row: what is longer no string of JavaScript can hold (bytes). */
const MAX_ROW = 512 * 1024 * 1024
const ERROR = code('E')
const NOTICE = code('N')
const ROW = code('D')
const READY = code('Z')
const MIDDLE: ReadonlySet<number> = new Set([ERROR, NOTICE, code('T'), code('A')])

/** Looks at the stream of one connection, whatever pieces it comes in. */
export class Guard {
  readonly #header = Buffer.alloc(HEADER)
  #headerBytes = 0
  /** Bytes of the message that are still to come. */
  #left = 0
  /** What has come of an error or notice; undefined for other messages. */
  #text: Buffer[] | undefined
  /** It has let the client in: until then nothing is long. */
  #isReady = false

  /** @throws Error where what has come so far is not of the protocol. */
  look(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#headerBytes < HEADER) {
        const taken = chunk.copy(this.#header, this.#headerBytes, at)
        this.#headerBytes += taken
        at += taken
        if (this.#headerBytes === HEADER) this.#begin()
      } else {
        const taken = Math.min(this.#left, chunk.length - at)
        this.#text?.push(chunk.subarray(at, at + taken))
        this.#left -= taken
        at += taken
      }
      if (this.#headerBytes === HEADER && this.#left === 0) this.#end()
    }
  }

  #begin(): void {
    const type = this.#header[0] as number
    const length = this.#header.readUInt32BE(1)
    const bound = this.#isReady ? boundOf(type) : MAX_SHORT
    if (length < MIN_LENGTH || length > bound) throw new Error('the server does not speak PostgreSQL')
    if (type === READY) this.#isReady = true
    this.#left = length - MIN_LENGTH
    this.#text = type === ERROR || type === NOTICE ? [] : undefined
  }

  #end(): void {
    const text = this.#text
    this.#headerBytes = 0
    this.#text = undefined
    if (text !== undefined && !isFields(Buffer.concat(text)))
      throw new Error('the server sent an error without its end')
  }
}

function boundOf(type: number): number {
  if (type === ROW) return MAX_ROW
  return MIDDLE.has(type) ? MAX_MIDDLE : MAX_SHORT
}

/** Fields of an error: a type's byte and a text that ends with NUL each, and a NUL after the last. */
function isFields(body: Buffer): boolean {
  let at = 0
  while (body[at] !== undefined && body[at] !== 0) {
    const end = body.indexOf(0, at + 1)
    if (end === -1) return false
    at = end + 1
  }
  return at === body.length - 1
}

/** All that the library's parser wants of a stream. */
interface Readable {
  on(event: string, listener: (chunk: Buffer) => void): unknown
}

/** Of the library's connection: hands a stream to its parser, once it is to be read. */
export interface Guarded {
  attachListeners(stream: Readable): void
}

/**
 * Has all that a connection reads looked at before its parser gets it.
 * @param onBroken the server has said what it must not: nothing more of it is read. May be called again.
 */
export function guard(connection: Guarded, onBroken: (error: Error) => void): void {
  const attach = connection.attachListeners.bind(connection)
  connection.attachListeners = (stream) => attach(new GuardedStream(stream, onBroken))
}

class GuardedStream implements Readable {
  readonly #stream: Readable
  readonly #onBroken: (error: Error) => void
  readonly #guard = new Guard()
  #isBroken = false

  constructor(stream: Readable, onBroken: (error: Error) => void) {
    this.#stream = stream
    this.#onBroken = onBroken
  }

  on(event: string, listener: (chunk: Buffer) => void): this {
    this.#stream.on(event, event === 'data' ? (chunk: Buffer) => this.#pass(chunk, listener) : listener)
    return this
  }

  #pass(chunk: Buffer, parse: (chunk: Buffer) => void): void {
    if (this.#isBroken) return
    try {
      this.#guard.look(chunk)
      parse(chunk)
    } catch (error) {
      this.#isBroken = true
      this.#onBroken(error instanceof Error ? error : new Error('the server does not speak PostgreSQL'))
    }
  }
}

function code(letter: string): number {
  return letter.charCodeAt(0)
}
