/** Clients that read too slowly, or nothing, or are gone without a word: closed, counted, and nobody else notices. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { endpointWebSocket } from '../../../lib/endpoints/websocket/index.ts'
import type { Marshaller } from '../../../lib/message.ts'
import { connect } from '../../support/client.ts'
import { startEndpoint } from '../../support/endpoint.ts'
import { until, within } from '../../support/wait.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw, OPCODES } from './raw.ts'

const bytes: Marshaller = {
  format: 'bytes',
  contentType: 'application/octet-stream',
  binary: true,
  decode: (payload) => payload,
  encode: (body) => body as Buffer,
}

const KIB = 1024
const MIB = 1024 * KIB

function numbered(number: number, length: number): Buffer {
  const payload = Buffer.alloc(length, number)
  payload.writeUInt32BE(number)
  return payload
}

describe('a client that reads nothing', () => {
  test('is closed with 1013 when more than the limit waits; others get everything', async (t) => {
    const { host, endpoint, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, marshaller: bytes })
    const stalled = await connectRaw(`ws://${host}/ws`, { t })
    const reader = await connect(`ws://${host}/ws`, { t })
    stalled.socket.pause()
    let sent = 0
    while (endpoint.counters.slowClosed === 0) {
      send(numbered(sent, 64 * KIB))
      sent++
      const next = await reader.next()
      assert.equal((next as Buffer).readUInt32BE(), sent - 1)
      assert.ok((endpoint.gauges.bufferedBytes as number) <= MIB + 64 * KIB)
    }
    for (let more = 0; more < 10; more++) {
      send(numbered(sent, 64 * KIB))
      await reader.next()
    }
    assert.equal(endpoint.counters.slowClosed, 1)

    // It wakes up: it gets what had been written, whole, and learns why it was closed.
    stalled.socket.resume()
    await within(until(() => stalled.closeCode !== undefined))
    const { frames } = stalled
    const data = frames.slice(0, -1)
    data.forEach(({ opcode, payload }, index) => {
      assert.equal(opcode, OPCODES.binary)
      assert.ok(payload.equals(numbered(index, 64 * KIB)))
    })
    assert.ok(data.length < sent)
    assert.equal(stalled.closeCode, 1013)
    assert.match(frames.at(-1)?.payload.toString('utf8', 2) ?? '', /^the client reads too slowly, \d+ bytes wait$/)
    stalled.socket.destroy()
  })

  test('is closed when what waits makes no progress, and cut off as it reads no close frame', async (t) => {
    const options = { ...DEFAULTS, limit: 64 * MIB, 'write-timeout': 300 }
    const { host, endpoint, send } = await startEndpoint(endpointWebSocket, options, { t, marshaller: bytes })
    const stalled = await connectRaw(`ws://${host}/ws`, { t })
    const reader = await connect(`ws://${host}/ws`, { t })
    stalled.socket.pause()
    send(numbered(1, 16 * MIB))
    await reader.next()
    await until(() => endpoint.counters.slowClosed === 1)
    await until(() => endpoint.gauges.connections === 1)
    assert.equal(endpoint.gauges.bufferedBytes, 0)
    send(numbered(2, 10))
    assert.equal(((await reader.next()) as Buffer).readUInt32BE(), 2)
  })

  test('and a hundred of them cost a hundred times the limit at most', async (t) => {
    const options = { ...DEFAULTS, limit: 128 * KIB }
    const { host, endpoint, send } = await startEndpoint(endpointWebSocket, options, { t, marshaller: bytes })
    const stalled = await Promise.all(Array.from({ length: 100 }, () => connectRaw(`ws://${host}/ws`, { t })))
    for (const { socket } of stalled) socket.pause()
    for (let sent = 0; (endpoint.counters.slowClosed as number) < 100; sent++) {
      assert.ok(sent < 2_000)
      send(numbered(sent, 64 * KIB))
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok((endpoint.gauges.bufferedBytes as number) <= 100 * (128 * KIB + 200))
    }
    for (const { socket } of stalled) socket.destroy()
  })
})

test('a client that reads slowly but steadily stays, however large the write that it reads', async (t) => {
  const options = { ...DEFAULTS, limit: 64 * MIB, 'write-timeout': 1_000 }
  const { host, endpoint, send } = await startEndpoint(endpointWebSocket, options, { t, marshaller: bytes })
  const slow = await connectRaw(`ws://${host}/ws`, { t })
  slow.socket.pause()
  const payload = numbered(7, 32 * MIB)
  send(payload)
  let allowance = 0
  slow.socket.on('data', (chunk: Buffer) => {
    allowance -= chunk.length
    if (allowance <= 0) slow.socket.pause()
  })
  const timer = setInterval(() => {
    allowance = 512 * KIB
    slow.socket.resume()
  }, 50)
  t.after(() => clearInterval(timer))
  const started = performance.now()
  await until(() => slow.socket.bytesRead > payload.length, { timeout: 15_000 })
  assert.ok(performance.now() - started > 2_000, 'it took longer than the write timeout')
  assert.ok(slow.frames[0]?.payload.equals(payload))
  assert.equal(endpoint.counters.slowClosed, 0)
  slow.socket.destroy()
})

describe('pings', () => {
  const options = { ...DEFAULTS, 'ping-interval': 80, 'ping-timeout': 80 }

  test('a client that answers stays', async (t) => {
    const { host, endpoint } = await startEndpoint(endpointWebSocket, options, { t })
    const client = await connect(`ws://${host}/ws`, { t })
    await until(() => client.pings >= 4)
    assert.equal(endpoint.counters.pingTimeouts, 0)
    assert.equal(endpoint.gauges.connections, 1)
  })

  test('a client that does not answer is cut off and counted', async (t) => {
    const { host, endpoint } = await startEndpoint(endpointWebSocket, options, { t })
    const client = await connectRaw(`ws://${host}/ws`, { t })
    await within(client.ended)
    assert.deepEqual(
      client.frames.map(({ opcode }) => opcode),
      [OPCODES.ping],
    )
    assert.equal(endpoint.counters.pingTimeouts, 1)
    await until(() => endpoint.gauges.connections === 0)
  })

  test('a client that speaks is sent none, and lives without answering', async (t) => {
    const { host, endpoint } = await startEndpoint(endpointWebSocket, options, { t })
    const client = await connectRaw(`ws://${host}/ws`, { t })
    for (let message = 0; message < 30; message++) {
      client.send('1')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.deepEqual(client.frames, [])
    assert.equal(endpoint.gauges.connections, 1)
    client.socket.destroy()
  })

  test('a loop that was blocked blames nobody', async (t) => {
    const { host, endpoint } = await startEndpoint(endpointWebSocket, options, { t })
    const client = await connect(`ws://${host}/ws`, { t })
    for (let block = 0; block < 3; block++) {
      await until(() => client.pings > block, { interval: 1 })
      const end = performance.now() + 200
      while (performance.now() < end);
    }
    await client.roundTrip()
    assert.equal(endpoint.counters.pingTimeouts, 0)
  })
})

test('a client that does not answer a close frame is cut off', async (t) => {
  const { host, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
  const client = await connectRaw(`ws://${host}/ws`, { t })
  client.send('{"broken')
  await until(() => client.closeCode === 1007)
  assert.equal(endpoint.gauges.connections, 1)
  await within(client.ended)
  await until(() => endpoint.gauges.connections === 0)
})
