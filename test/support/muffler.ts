/** Between a relay and a real broker: passes everything on, but for packets of the broker's that the test keeps back. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Owner } from './process.ts'

export interface Muffled {
  /** Where the broker is reached by way of it. */
  readonly port: number
  /** While it is true, such packets are thrown away. */
  isMuffled: boolean
  /** How many were. */
  readonly swallowed: () => number
}

/**
 * How one protocol is cut into packets.
 * @returns bytes of the first packet; undefined where it is not there as a whole.
 */
export type LengthOf = (bytes: Buffer) => number | undefined

/** @param isConfirmation whether a packet is one of those that are kept back. */
export async function startMuffler(
  t: Owner,
  target: { readonly port: number },
  lengthOf: LengthOf,
  isConfirmation: (packet: Buffer) => boolean,
): Promise<Muffled> {
  const sockets = new Set<Socket>()
  let swallowed = 0
  const server = createServer((client) => {
    const broker = connect(target.port, '127.0.0.1')
    let unread: Buffer = Buffer.alloc(0)
    client.pipe(broker)
    broker.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk])
      for (let length = lengthOf(unread); length !== undefined; length = lengthOf(unread)) {
        const packet = unread.subarray(0, length)
        unread = unread.subarray(length)
        if (muffled.isMuffled && isConfirmation(packet)) swallowed++
        else client.write(packet)
      }
    })
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {}) // it closes, which is what counts
      socket.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const muffled: Muffled = {
    port: (server.address() as AddressInfo).port,
    isMuffled: true,
    swallowed: () => swallowed,
  }
  return muffled
}

/** MQTT 5, section 2.1: a length of one byte or two is enough here. */
export const mqttLength: LengthOf = (bytes) => {
  const [, low = 0, high = 0] = bytes
  if (bytes.length < 2 || (low > 127 && bytes.length < 3)) return undefined
  const length = low < 128 ? 2 + low : 3 + (low & 127) + high * 128
  return bytes.length < length ? undefined : length
}

/** AMQP 0-9-1, section 2.3.5: type, channel, size, payload, end. */
export const amqpLength: LengthOf = (bytes) => {
  if (bytes.length < 7) return undefined
  const length = 8 + bytes.readUInt32BE(3)
  return bytes.length < length ? undefined : length
}
