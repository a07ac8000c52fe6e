/**
 * Between the relay and a Redis: sees every command, and can have the server answer one with an error in place of doing
 * it. The relay talks to the real server, which answers in its own order and words.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Owner } from '../../support/process.ts'
import type { RedisServer } from '../../support/redis.ts'

/** @returns the error that a command is answered with; undefined where the server is to do it. */
export type Refuse = (command: readonly Buffer[]) => string | undefined

/** Answers with the error that it is given, as the server itself would. */
const ANSWER = Buffer.from('return redis.error_reply(ARGV[1])')

export class Proxy {
  refuse: Refuse = () => undefined
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: RedisServer) {
    this.#server = createServer((client) => {
      const server = connect(target.port, target.host)
      const parser = new CommandParser()
      this.#pair(client, server)
      server.pipe(client)
      client.on('data', (chunk) => {
        for (const command of parser.read(chunk)) {
          const error = this.refuse(command)
          const sent =
            error === undefined ? command : [Buffer.from('EVAL'), ANSWER, Buffer.from('0'), Buffer.from(error)]
          server.write(encodeCommand(sent))
        }
      })
    })
  }

  static async start(t: Owner, target: RedisServer): Promise<Proxy> {
    const proxy = new Proxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      proxy.#server.close()
      proxy.cut()
    })
    return proxy
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Breaks every connection that is open. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #pair(client: Socket, server: Socket): void {
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay()
      socket.on('error', () => {}) // it closes, which is what counts
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
  }
}

/** Takes requests apart: arrays of bulk strings (RESP). */
class CommandParser {
  #rest: Buffer = Buffer.alloc(0)

  read(chunk: Buffer): Buffer[][] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const commands: Buffer[][] = []
    let at = 0
    for (;;) {
      const end = readCommand(bytes, at, commands)
      if (end === undefined) break
      at = end
    }
    this.#rest = bytes.subarray(at)
    return commands
  }
}

/** @returns where the command ends that begins there; undefined where its end is still to come. */
function readCommand(bytes: Buffer, start: number, commands: Buffer[][]): number | undefined {
  const head = readLength(bytes, start, '*')
  if (head === undefined) return undefined
  let at = head.end
  const command: Buffer[] = []
  while (command.length < head.length) {
    const size = readLength(bytes, at, '$')
    if (size === undefined || size.end + size.length + 2 > bytes.length) return undefined
    command.push(bytes.subarray(size.end, size.end + size.length))
    at = size.end + size.length + 2
  }
  commands.push(command)
  return at
}

function readLength(bytes: Buffer, at: number, sign: string): { length: number; end: number } | undefined {
  const end = bytes.indexOf('\r\n', at)
  if (end === -1) return undefined
  if (bytes.toString('latin1', at, at + 1) !== sign)
    throw new Error(`no ${sign} at ${bytes.toString('latin1', at, end)}`)
  return { length: Number(bytes.toString('latin1', at + 1, end)), end: end + 2 }
}

function encodeCommand(parts: readonly Buffer[]): Buffer {
  const pieces = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')])
  return Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...pieces])
}
