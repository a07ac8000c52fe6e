/** Brokers that do not keep to what they were told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PacketLengths } from '../../../lib/endpoints/mqtt/packets.ts'
import { flood, startLiar } from '../../support/liar.ts'
import { until } from '../../support/wait.ts'
import { startMqtt } from './support.ts'

const CONNACK = Buffer.from([0x20, 3, 0, 0, 0])
/** A PUBLISH of 256 MiB. */
const LARGE = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])

for (const [when, before] of [
  ['in place of a CONNACK', Buffer.alloc(0)],
  ['after it', CONNACK],
] as const) {
  test(`a packet larger than the broker may send is not read, ${when}`, async (t) => {
    const ends: boolean[] = []
    const port = await startLiar(t, (socket) => {
      socket.on('close', () => ends.push(true))
      socket.once('data', () => {
        socket.write(Buffer.concat([before, LARGE]))
        flood(socket, Buffer.alloc(64 * 1024, 'a'))
      })
    })
    const url = `mqtt://somebody:s3cret@127.0.0.1:${port}`
    const { down, endpoint } = await startMqtt(t, { url, subscribe: 'orders' }, { mayBeDown: true })
    assert.match(await down(/max-packet-size/), /a packet of \d+ bytes/)
    await until(() => ends.length > 0)
    assert.equal(endpoint.counters.received, 0)
  })
}

test('a message of QoS 1 that is answered like one of QoS 2 ends the connection, and is not taken for delivered', async (t) => {
  const port = await startLiar(t, (socket) => {
    socket.once('data', () => {
      socket.write(CONNACK)
      // A PUBREC for whatever is published first.
      socket.once('data', () => socket.write(Buffer.from([0x50, 2, 0, 1])))
    })
  })
  const { send, down } = await startMqtt(t, { url: `mqtt://127.0.0.1:${port}`, topic: 'orders' })
  const sent = send('{}')
  assert.match(await down(/PUBREC/), /a message of QoS 1 with PUBREC/)
  assert.match((await sent)?.message ?? 'delivered', /connection/)
})

test('lengths are read in whatever pieces they come', () => {
  const small = Buffer.concat([CONNACK, Buffer.from([0xd0, 0]), Buffer.from([0x30, 0xc8, 1]), Buffer.alloc(200, 0xff)])
  const large = Buffer.concat([small, small, Buffer.from([0x30, 0xc9, 1]), Buffer.alloc(201)])
  for (const size of [1, 2, 3, 7, 64, 1_000]) {
    assert.equal(lookAt(Buffer.concat([small, small]), size), undefined)
    assert.equal(lookAt(large, size), 204)
  }
})

function lookAt(bytes: Buffer, size: number): number | undefined {
  const lengths = new PacketLengths(203)
  for (let at = 0; at < bytes.length; at += size) {
    const found = lengths.look(bytes.subarray(at, at + size))
    if (found !== undefined) return found
  }
  return undefined
}
