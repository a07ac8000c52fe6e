/** What browsers are sent: to all, to those of a path, not to the one who sent it; text, binary, and what is refused. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { errors } from '../../../lib/errors.ts'
import { endpointWebSocket } from '../../../lib/endpoints/websocket/index.ts'
import type { Marshaller } from '../../../lib/message.ts'
import { connect, type TestClient } from '../../support/client.ts'
import { startEndpoint } from '../../support/endpoint.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw, OPCODES } from './raw.ts'

const bytes: Marshaller = {
  format: 'bytes',
  contentType: 'application/octet-stream',
  binary: true,
  decode: (payload) => payload,
  encode: (body) => body as Buffer,
}

async function everything(client: TestClient): Promise<unknown[]> {
  await client.roundTrip()
  return client.drain().map((message) => JSON.parse(String(message)) as unknown)
}

describe('to everyone', () => {
  test('every client gets every message, in order', async (t) => {
    const { host, send, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const clients = await Promise.all([1, 2, 3].map(() => connect(`ws://${host}/ws`, { t })))
    const bodies = Array.from({ length: 500 }, (_, index) => ({ index }))
    for (const body of bodies) send(body)
    for (const client of clients) assert.deepEqual(await everything(client), bodies)
    assert.equal(endpoint.counters.deliveries, 1500)
  })

  test('the messages of one turn leave in one write', async (t) => {
    const { host, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const client = await connectRaw(`ws://${host}/ws`, { t })
    let chunks = 0
    client.socket.on('data', () => chunks++)
    for (let index = 0; index < 100; index++) send(index)
    await new Promise((resolve) => client.socket.once('data', resolve))
    assert.equal(chunks, 1)
    assert.equal(client.frames.length, 100)
    client.socket.destroy()
  })

  test('with nobody there a message is sent to nobody', async (t) => {
    const { send, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    send('lost')
    assert.equal(endpoint.counters.deliveries, 0)
  })

  for (const length of [0, 1, 125, 126, 65_535, 65_536, 500_000]) {
    test(`a payload of ${length} bytes is one frame, byte for byte`, async (t) => {
      const { host, endpoint, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, marshaller: bytes })
      const client = await connectRaw(`ws://${host}/ws`, { t })
      const payload = Buffer.alloc(length, 'payload')
      send(payload)
      await client.roundTrip()
      const [frame] = client.frames
      assert.deepEqual({ ...frame, payload: null }, { fin: true, rsv: 0, opcode: OPCODES.binary, payload: null })
      assert.ok(frame?.payload.equals(payload))
      const header = length > 65_535 ? 10 : length > 125 ? 4 : 2
      assert.equal(endpoint.counters.deliveredBytes, length + header)
      client.socket.destroy()
    })
  }

  test('what a client sends is not sent back to it, others get it', async (t) => {
    const { host, received, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const sender = await connect(`ws://${host}/ws`, { t })
    const other = await connect(`ws://${host}/ws`, { t })
    await sender.send('1')
    await sender.roundTrip()
    const origin = received[0]?.origin
    send('before')
    send('own', { origin })
    send('between')
    send('own', { origin })
    send('own', { origin })
    send('after')
    assert.deepEqual(await everything(sender), ['before', 'between', 'after'])
    assert.deepEqual(await everything(other), ['before', 'own', 'between', 'own', 'own', 'after'])
  })

  test('with echo the client that sent it gets it too', async (t) => {
    const { host, received, send } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, echo: true }, { t })
    const sender = await connect(`ws://${host}/ws`, { t })
    await sender.send('1')
    await sender.roundTrip()
    send('own', { origin: received[0]?.origin })
    assert.deepEqual(await everything(sender), ['own'])
  })

  test('a client of another endpoint is nobody special here', async (t) => {
    const one = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const two = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const sender = await connect(`ws://${one.host}/ws`, { t })
    const reader = await connect(`ws://${two.host}/ws`, { t })
    await sender.send('1')
    await sender.roundTrip()
    const origin = one.received[0]?.origin
    two.send('across', { origin })
    one.send('to all of one')
    assert.deepEqual(await everything(reader), ['across'])
    assert.deepEqual(await everything(sender), ['to all of one'])
  })

  test('a client that leaves within a turn harms nobody', async (t) => {
    const { host, received, send, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const leaver = await connectRaw(`ws://${host}/ws`, { t })
    const stayer = await connect(`ws://${host}/ws`, { t })
    leaver.send('1')
    await leaver.roundTrip()
    const origin = received[0]?.origin
    leaver.socket.destroy()
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        send('own', { origin })
        if (endpoint.gauges.connections === 2) return
        clearInterval(timer)
        resolve()
      })
    })
    send('last', { origin })
    assert.equal((await everything(stayer)).at(-1), 'last')
  })
})

describe('to those of a path', () => {
  const rooms = { ...DEFAULTS, path: '/rooms/:room', topic: '/rooms/{headers.room}' }

  test('only clients with the rendered path get a message', async (t) => {
    const { host, send } = await startEndpoint(endpointWebSocket, rooms, { t, prefix: '/relay' })
    const blue = await connect(`ws://${host}/relay/rooms/blue`, { t })
    const blueToo = await connect(`ws://${host}/relay/rooms/%62lue?x=1`, { t })
    const red = await connect(`ws://${host}/relay/rooms/red`, { t })
    send(1, { headers: { room: 'blue' } })
    send(2, { headers: { room: 'red' } })
    send(3, { headers: { room: 'nobody is here' } })
    send(4, { headers: { room: 'blue' } })
    assert.deepEqual(await everything(blue), [1, 4])
    assert.deepEqual(await everything(blueToo), [1, 4])
    assert.deepEqual(await everything(red), [2])
  })

  test('a value that would choose another path, or everyone, is refused', async (t) => {
    const { host, send } = await startEndpoint(endpointWebSocket, rooms, { t })
    const client = await connect(`ws://${host}/rooms/x`, { t })
    for (const room of ['a/b', '*', '']) {
      assert.throws(() => send(1, { headers: { room } }), errors.TOPIC_INVALID)
    }
    assert.deepEqual(await everything(client), [])
  })

  test('with {topic} the lanes say it, and * is everyone', async (t) => {
    const { host, send } = await startEndpoint(endpointWebSocket, { ...rooms, topic: '{topic}' }, { t })
    const blue = await connect(`ws://${host}/rooms/blue`, { t })
    const red = await connect(`ws://${host}/rooms/red`, { t })
    send(1, { topic: '*' })
    send(2, { topic: '/rooms/blue' })
    send(3, { topic: '*' })
    send(4, { topic: '/rooms/red' })
    assert.deepEqual(await everything(blue), [1, 2, 3])
    assert.deepEqual(await everything(red), [1, 3, 4])
  })
})

describe('what cannot be sent', () => {
  test('text that is not UTF-8 is refused for good', async (t) => {
    const { host, endpoint, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const client = await connect(`ws://${host}/ws`, { t })
    const payload = Buffer.from([0x22, 0xff, 0x22])
    assert.throws(
      () => send(undefined, { payload }),
      (error) => error instanceof errors.NOT_TEXT && !error.retryable,
    )
    send('good')
    assert.deepEqual(await everything(client), ['good'])
    assert.equal(endpoint.counters.deliveries, 1)
  })

  test('a message that is larger than the limit of a client is refused, not the clients', async (t) => {
    const { host, send } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, limit: 10_000 }, { t })
    const client = await connect(`ws://${host}/ws`, { t })
    assert.throws(
      () => send('x'.repeat(10_000)),
      (error) => error instanceof errors.TOO_LARGE && !error.retryable,
    )
    send('good')
    assert.deepEqual(await everything(client), ['good'])
  })
})
