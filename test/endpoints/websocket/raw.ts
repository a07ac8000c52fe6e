/** A WebSocket client made of bytes: it sends what no library would, and sees what really came. */
import { randomBytes } from 'node:crypto'
import { connect as connectSocket, type Socket } from 'node:net'
import type { Owner } from '../../support/process.ts'
import { until, within } from '../../support/wait.ts'

export interface RawFrame {
  readonly fin: boolean
  readonly rsv: number
  readonly opcode: number
  readonly payload: Buffer
}

export interface FrameOptions {
  readonly fin?: boolean
  readonly rsv?: number
  readonly opcode?: number
  readonly masked?: boolean
  /** What the header says, where it is not the truth. */
  readonly length?: number | bigint
}

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** A client's frame, valid or not. RFC 6455 section 5.2. */
export function encodeFrame(payload: Buffer | string, options: FrameOptions = {}): Buffer {
  const data = Buffer.from(payload)
  const { fin = true, rsv = 0, opcode = OPCODES.text, masked = true, length = data.length } = options
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  const mask = masked ? 0x80 : 0
  let header: Buffer
  if (length <= 125) {
    header = Buffer.from([first, mask | Number(length)])
  } else if (length <= 0xffff) {
    header = Buffer.from([first, mask | 126, 0, 0])
    header.writeUInt16BE(Number(length), 2)
  } else {
    header = Buffer.concat([Buffer.from([first, mask | 127]), Buffer.alloc(8)])
    header.writeBigUInt64BE(BigInt(length), 2)
  }
  if (!masked) return Buffer.concat([header, data])
  const key = randomBytes(4)
  return Buffer.concat([header, key, data.map((byte, index) => byte ^ (key[index % 4] as number))])
}

/** A server's frames. Throws where one is cut off, unless `partial`: it may be still to come. */
export function decodeFrames(bytes: Buffer, { partial = false } = {}): RawFrame[] {
  const frames: RawFrame[] = []
  let offset = 0
  while (offset < bytes.length) {
    const end = frameEnd(bytes, offset)
    if (end === undefined) {
      if (partial) break
      throw new Error(`a frame is cut off at ${offset} of ${bytes.length}`)
    }
    const first = bytes[offset] as number
    if (((bytes[offset + 1] as number) & 0x80) !== 0) throw new Error('a server masks no frame')
    frames.push({
      fin: (first & 0x80) !== 0,
      rsv: (first >> 4) & 7,
      opcode: first & 0xf,
      payload: bytes.subarray(end.payload, end.end),
    })
    offset = end.end
  }
  return frames
}

function frameEnd(bytes: Buffer, offset: number): { payload: number; end: number } | undefined {
  if (bytes.length < offset + 2) return undefined
  const short = (bytes[offset + 1] as number) & 0x7f
  const header = short === 126 ? 4 : short === 127 ? 10 : 2
  if (bytes.length < offset + header) return undefined
  const length =
    short === 126 ? bytes.readUInt16BE(offset + 2) : short === 127 ? Number(bytes.readBigUInt64BE(offset + 2)) : short
  const end = offset + header + length
  return bytes.length < end ? undefined : { payload: offset + header, end }
}

export class RawClient {
  readonly socket: Socket
  /** Resolves when the connection has ended, however it did. */
  readonly ended: Promise<void>
  #chunks: Buffer[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', this.#onData)
    socket.on('error', () => {})
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()))
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk)
  }

  /** Everything that came after the handshake. */
  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  /** What has come so far, without a frame that is still to come. */
  get frames(): RawFrame[] {
    return decodeFrames(this.bytes, { partial: true })
  }

  /** The code of the close frame that came; undefined before. */
  get closeCode(): number | undefined {
    const close = this.frames.find((frame) => frame.opcode === OPCODES.close)
    return close === undefined ? undefined : close.payload.readUInt16BE(0)
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes)
  }

  send(payload: Buffer | string, options?: FrameOptions): void {
    this.write(encodeFrame(payload, options))
  }

  /** Resolves when the server has answered a ping. */
  async roundTrip(): Promise<void> {
    const mark = randomBytes(8)
    this.send(mark, { opcode: OPCODES.ping })
    await until(() => this.frames.some((frame) => frame.opcode === OPCODES.pong && frame.payload.equals(mark)), {
      message: 'a pong',
      interval: 2,
    })
  }

  /** Throws, with the answer, where the upgrade was refused. */
  skipHandshake(): void {
    const { bytes } = this
    const end = bytes.indexOf('\r\n\r\n') + 4
    const answer = bytes.toString('latin1', 0, end)
    if (!answer.startsWith('HTTP/1.1 101')) {
      this.socket.destroy()
      throw new Error(answer)
    }
    this.#chunks = [bytes.subarray(end)]
  }
}

export interface RawOptions {
  readonly t?: Owner
  /** More lines of the request. */
  readonly headers?: readonly string[]
  /** Bytes that follow the request at once, before its answer. */
  readonly head?: Buffer
  /** Called before the request is sent. */
  readonly onSocket?: (socket: Socket) => void
}

/** Resolves when the server has answered 101. Throws with its answer otherwise. */
export async function connectRaw(
  url: string,
  { t, headers = [], head, onSocket }: RawOptions = {},
): Promise<RawClient> {
  const { hostname, port, pathname, search, host } = new URL(url)
  const socket = connectSocket(Number(port), hostname)
  t?.after(() => void socket.destroy())
  socket.setNoDelay()
  onSocket?.(socket)
  const client = new RawClient(socket)
  let onData: (() => void) | undefined
  const answer = new Promise<void>((resolve, reject) => {
    onData = () => {
      if (client.bytes.includes('\r\n\r\n')) resolve()
    }
    socket.on('data', onData)
    socket.once('close', () => reject(new Error(`no answer but: ${client.bytes.toString('latin1')}`)))
  })
  const request = [
    `GET ${pathname}${search} HTTP/1.1`,
    `Host: ${host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...headers,
  ]
  socket.write(Buffer.concat([Buffer.from(`${request.join('\r\n')}\r\n\r\n`), head ?? Buffer.alloc(0)]))
  await within(answer, { message: 'the answer to a handshake' })
  socket.off('data', onData as () => void)
  client.skipHandshake()
  return client
}
