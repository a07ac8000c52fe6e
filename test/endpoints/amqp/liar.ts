/** A broker that lets everybody in, has every queue, and says to a consumer whatever the test wants. */
import type { Socket } from 'node:net'
import type { Owner } from '../../support/process.ts'
import { startLiar } from '../../support/liar.ts'

const METHOD = 1
const HEADER = 2
const BODY = 3
const FRAME_END = 0xce

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

export function short(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
}

/** A length and what has it: a long string, a table, an array. */
export function long(content: Buffer | string): Buffer {
  const bytes = Buffer.from(content as string)
  return Buffer.concat([u32(bytes.length), bytes])
}

export function frame(type: number, channel: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), u16(channel), u32(payload.length), payload, Buffer.from([FRAME_END])])
}

export function method(channel: number, id: number, number: number, ...fields: Buffer[]): Buffer {
  return frame(METHOD, channel, Buffer.concat([u16(id), u16(number), ...fields]))
}

/** @param properties flags and values. */
export function contentHeader(channel: number, size: bigint, properties: Buffer): Buffer {
  return frame(HEADER, channel, Buffer.concat([u16(60), u16(0), u64(size), properties]))
}

/** A delivery whose headers are the table. */
export function delivery(channel: number, tag: bigint, table: Buffer, body: string): Buffer {
  return Buffer.concat([
    method(channel, 60, 60, short('consumer'), u64(tag), Buffer.from([0]), short(''), short('orders')),
    contentHeader(channel, BigInt(body.length), Buffer.concat([u16(0x2000), long(table)])),
    frame(BODY, channel, Buffer.from(body)),
  ])
}

/** What a broker answers to each method, by class and number. */
const ANSWERS: Readonly<Record<string, (channel: number) => Buffer>> = {
  '10.11': () => method(0, 10, 30, u16(2_047), u32(131_072), u16(60)),
  '10.40': () => method(0, 10, 41, short('')),
  '10.50': () => method(0, 10, 51),
  '20.10': (channel) => method(channel, 20, 11, long('')),
  '20.40': (channel) => method(channel, 20, 41),
  '50.10': (channel) => method(channel, 50, 11, short('orders'), u32(0), u32(0)),
  '60.10': (channel) => method(channel, 60, 11),
  '60.20': (channel) => method(channel, 60, 21, short('consumer')),
  '60.30': (channel) => method(channel, 60, 31, short('consumer')),
}

/**
 * @param onConsume says something to each consumer.
 * @param answers in place of the usual ones, by class and number.
 * @returns its port.
 */
export function startAmqpLiar(
  t: Owner,
  onConsume: (socket: Socket, channel: number) => void,
  answers: typeof ANSWERS = {},
): Promise<number> {
  return startLiar(t, (socket) => {
    let rest = Buffer.alloc(0)
    let isBegun = false
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      if (!isBegun) {
        isBegun = true
        rest = rest.subarray(8)
        socket.write(method(0, 10, 10, Buffer.from([0, 9]), long(''), long('PLAIN'), long('en_US')))
      }
      while (rest.length >= 8 && rest.length >= rest.readUInt32BE(3) + 8) {
        const end = rest.readUInt32BE(3) + 8
        const [type, channel] = [rest[0], rest.readUInt16BE(1)]
        const name = type === METHOD ? `${rest.readUInt16BE(7)}.${rest.readUInt16BE(9)}` : ''
        rest = rest.subarray(end)
        const answer = answers[name] ?? ANSWERS[name]
        if (answer !== undefined) socket.write(answer(channel))
        if (name === '60.20') onConsume(socket, channel)
      }
    })
  })
}
