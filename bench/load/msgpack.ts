/** Just enough MessagePack to write what @socket.io/redis-emitter publishes. */

type Value = string | number | readonly Value[] | { readonly [key: string]: Value }

/** Socket.IO's packet type EVENT. */
const EVENT = 2

/** A broadcast of one event to everybody: `[sender, packet, options]`. */
export function packBroadcast(event: string, body: Record<string, string>): Buffer {
  return pack(['bench!', { type: EVENT, data: [event, body], nsp: '/' }, { rooms: [], except: [], flags: {} }])
}

/** @throws RangeError on what needs more than MessagePack's smallest sizes. */
function pack(value: Value): Buffer {
  if (typeof value === 'string') return packString(Buffer.from(value))
  if (typeof value === 'number') return Buffer.of(fits(value, 127))
  if (Array.isArray(value)) {
    return Buffer.concat([Buffer.of(0x90 | fits(value.length, 15)), ...value.map((item: Value) => pack(item))])
  }
  const entries = Object.entries(value)
  return Buffer.concat([Buffer.of(0x80 | fits(entries.length, 15)), ...entries.flat().map((item: Value) => pack(item))])
}

function packString(bytes: Buffer): Buffer {
  const head = bytes.length < 32 ? [0xa0 | bytes.length] : [0xd9, fits(bytes.length, 255)]
  return Buffer.concat([Buffer.from(head), bytes])
}

function fits(value: number, maximum: number): number {
  if (value > maximum) throw new RangeError(`${value} is more than ${maximum}`)
  return value
}
