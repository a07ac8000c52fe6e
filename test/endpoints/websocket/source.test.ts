/** What browsers send: one message each, decoded once, nothing that they send harms anybody. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fastify from 'fastify'
import { endpointWebSocket } from '../../../lib/endpoints/websocket/index.ts'
import type { Marshaller } from '../../../lib/message.ts'
import { connect } from '../../support/client.ts'
import { counting, recordingLog } from '../../support/core.ts'
import { registerEndpoint, startEndpoint } from '../../support/endpoint.ts'
import { until } from '../../support/wait.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw, encodeFrame, OPCODES } from './raw.ts'

const bytes: Marshaller = {
  format: 'bytes',
  contentType: 'application/octet-stream',
  binary: true,
  decode: (payload) => payload,
  encode: (body) => body as Buffer,
}

describe('what a browser sends', () => {
  test('each message comes in once, with path, parameters and connection', async (t) => {
    const { host, received } = await startEndpoint(
      endpointWebSocket,
      { ...DEFAULTS, path: '/rooms/:room/:seat' },
      { t },
    )
    const client = await connect(`ws://${host}/rooms/blue/7?token=secret`, { t })
    await client.send({ text: 'one' })
    await client.send({ text: 'two' })
    await client.roundTrip()
    const [one, two] = received
    assert.equal(received.length, 2)
    assert.deepEqual(
      received.map((message) => message.body),
      [{ text: 'one' }, { text: 'two' }],
    )
    assert.equal(one?.topic, '/rooms/blue/7')
    assert.equal(one?.headers.param_room, 'blue')
    assert.equal(one?.headers.param_seat, '7')
    assert.match(one?.headers.connection_id ?? '', /^[\w-]{20}$/)
    assert.equal(one?.headers, two?.headers, 'made once a connection')
    assert.equal(one?.origin, two?.origin)
  })

  test('two connections have two ids and two origins', async (t) => {
    const { host, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    for (let index = 0; index < 2; index++) {
      const client = await connect(`ws://${host}/ws`, { t })
      await client.send({ index })
      await client.roundTrip()
    }
    assert.notEqual(received[0]?.headers.connection_id, received[1]?.headers.connection_id)
    assert.notEqual(received[0]?.origin, received[1]?.origin)
  })

  test('a path is decoded, and the prefix of the scope is no part of the topic', async (t) => {
    const options = { ...DEFAULTS, path: '/users/:user' }
    const { host, received } = await startEndpoint(endpointWebSocket, options, { t, prefix: '/relay' })
    const client = await connect(`ws://${host}/relay/users/b%C3%A4r%40example.com`, { t })
    await client.send('1')
    await client.roundTrip()
    assert.equal(received[0]?.topic, '/users/bär@example.com')
    assert.equal(received[0]?.headers.param_user, 'bär@example.com')
  })

  test('a payload is decoded once and passes on as it came', async (t) => {
    const marshaller = counting()
    const { host, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, marshaller })
    const client = await connect(`ws://${host}/ws`, { t })
    await client.send('{ "spaced" :  1 }')
    await client.roundTrip()
    const [message] = received
    assert.deepEqual(message?.body, { spaced: 1 })
    assert.equal(message?.payload.toString(), '{ "spaced" :  1 }')
    assert.equal(marshaller.decodes, 1)
    assert.equal(marshaller.encodes, 0)
  })

  test('a message in many fragments, with a ping between them, is one message', async (t) => {
    const { host, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const client = await connectRaw(`ws://${host}/ws`, { t })
    client.send('["frag', { fin: false })
    client.send('', { opcode: OPCODES.ping })
    client.send('men', { fin: false, opcode: OPCODES.continuation })
    client.send('ts"]', { opcode: OPCODES.continuation })
    await client.roundTrip()
    assert.deepEqual(
      received.map((message) => message.body),
      [['fragments']],
    )
    client.socket.destroy()
  })

  test('a message that comes with the request, before its answer, is not lost', async (t) => {
    const hooks = { preValidation: async () => new Promise<void>((resolve) => setTimeout(resolve, 20)) }
    const { host, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, hooks })
    const client = await connectRaw(`ws://${host}/ws`, { t, head: encodeFrame('"early"') })
    await client.roundTrip()
    assert.deepEqual(
      received.map((message) => message.body),
      ['early'],
    )
    client.socket.destroy()
  })

  test('binary and text both come in where the marshaller is binary', async (t) => {
    const { host, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, marshaller: bytes })
    const client = await connect(`ws://${host}/ws`, { t })
    await client.send(Buffer.from([0, 255, 1]))
    await client.send('text')
    await client.roundTrip()
    assert.deepEqual(
      received.map((message) => message.payload),
      [Buffer.from([0, 255, 1]), Buffer.from('text')],
    )
  })

  test('where no route begins nothing is decoded, and the client stays', async (t) => {
    const marshaller = counting()
    const { host, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, marshaller, routed: false })
    const client = await connect(`ws://${host}/ws`, { t })
    await client.send('not JSON')
    await client.roundTrip()
    assert.equal(marshaller.decodes, 0)
    assert.equal(endpoint.counters.received, 0)
  })
})

describe('what a browser should not send', () => {
  test('a message that cannot be decoded closes the client with 1007 and is counted', async (t) => {
    const { host, endpoint, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const client = await connect(`ws://${host}/ws`, { t })
    await client.send('{"cut off')
    await client.send('"not heard any more"')
    assert.deepEqual(await client.closed, { code: 1007, reason: 'the message is not valid json' })
    assert.deepEqual(received, [])
    assert.equal(endpoint.counters.decodeErrors, 1)
    assert.equal(endpoint.counters.invalidClosed, 1)
  })

  test('with on-invalid: drop the message is counted and the client stays', async (t) => {
    const options = { ...DEFAULTS, 'on-invalid': 'drop' } as const
    const { host, endpoint, received } = await startEndpoint(endpointWebSocket, options, { t })
    const client = await connect(`ws://${host}/ws`, { t })
    await client.send('{"cut off')
    await client.send(Buffer.from('"binary"'))
    await client.send('"valid"')
    await client.roundTrip()
    assert.deepEqual(
      received.map((message) => message.body),
      ['valid'],
    )
    assert.equal(endpoint.counters.decodeErrors, 2)
    assert.equal(endpoint.counters.invalidClosed, 0)
  })

  test('a binary message closes the client of a textual endpoint with 1003', async (t) => {
    const { host, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const client = await connect(`ws://${host}/ws`, { t })
    await client.send(Buffer.from('"binary"'))
    assert.deepEqual(await client.closed, { code: 1003, reason: 'this endpoint takes text messages only' })
    assert.deepEqual(received, [])
  })

  const broken: Record<string, { bytes: Buffer; code: number }> = {
    'a frame without a mask': { bytes: encodeFrame('1', { masked: false }), code: 1002 },
    'a reserved bit': { bytes: encodeFrame('1', { rsv: 2 }), code: 1002 },
    'compression that was not negotiated': { bytes: encodeFrame('1', { rsv: 4 }), code: 1002 },
    'an unknown opcode': { bytes: encodeFrame('1', { opcode: 5 }), code: 1002 },
    'a continuation of nothing': { bytes: encodeFrame('1', { opcode: OPCODES.continuation }), code: 1002 },
    'a message within a message': {
      bytes: Buffer.concat([encodeFrame('1', { fin: false }), encodeFrame('2')]),
      code: 1002,
    },
    'a fragmented ping': { bytes: encodeFrame('1', { opcode: OPCODES.ping, fin: false }), code: 1002 },
    'a ping of 126 bytes': { bytes: encodeFrame(Buffer.alloc(126), { opcode: OPCODES.ping }), code: 1002 },
    'a close frame of one byte': { bytes: encodeFrame('1', { opcode: OPCODES.close }), code: 1002 },
    'text that is not UTF-8': { bytes: encodeFrame(Buffer.from([0x22, 0xff, 0x22])), code: 1007 },
    'a length past what numbers hold': { bytes: encodeFrame('', { length: 2n ** 63n }), code: 1009 },
  }
  for (const [what, { bytes: sent, code }] of Object.entries(broken)) {
    test(`${what} closes the client with ${code}`, async (t) => {
      const { host, endpoint, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
      const client = await connectRaw(`ws://${host}/ws`, { t })
      client.write(sent)
      await client.ended
      assert.equal(client.closeCode, code)
      assert.deepEqual(received, [])
      assert.equal(endpoint.counters.protocolErrors, 1)
      await until(() => endpoint.gauges.connections === 0)
    })
  }

  test('a message over max-payload closes with 1009 as soon as its header tells', async (t) => {
    const { host, received, endpoint } = await startEndpoint(
      endpointWebSocket,
      { ...DEFAULTS, 'max-payload': 10 },
      { t },
    )
    const client = await connectRaw(`ws://${host}/ws`, { t })
    client.send('"12345678"')
    await client.roundTrip()
    assert.equal(received.length, 1)
    // The payload itself never comes.
    client.write(encodeFrame('', { length: 11 }))
    await client.ended
    assert.equal(client.closeCode, 1009)
    assert.equal(endpoint.counters.protocolErrors, 1)
  })

  test('fragments that are more than max-payload together close with 1009', async (t) => {
    const { host, received } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, 'max-payload': 10 }, { t })
    const client = await connectRaw(`ws://${host}/ws`, { t })
    client.send('"1234567', { fin: false })
    client.send('89', { fin: false, opcode: OPCODES.continuation })
    client.send('"', { opcode: OPCODES.continuation })
    await client.ended
    assert.equal(client.closeCode, 1009)
    assert.deepEqual(received, [])
  })

  test('a message in a crowd of tiny fragments closes with 1008', async (t) => {
    const { host, received } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const client = await connectRaw(`ws://${host}/ws`, { t })
    client.send('"', { fin: false })
    const fragment = encodeFrame('x', { fin: false, opcode: OPCODES.continuation })
    client.write(Buffer.concat(Array.from({ length: 600 }, () => fragment)))
    await client.ended
    assert.equal(client.closeCode, 1008)
    assert.deepEqual(received, [])
  })

  test('two endpoints of one server have bounds of their own', async (t) => {
    const app = fastify()
    const options = { ...DEFAULTS, path: '/large', 'max-payload': 200_000 }
    const large = await registerEndpoint(app, endpointWebSocket, options, {})
    app.addHook('preClose', () => large.stop())
    const bodies: unknown[] = []
    large.bind((message) => bodies.push(message.body))
    const { host } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, 'max-payload': 10 }, { t, app })
    large.start()
    const text = 'x'.repeat(150_000)
    const client = await connect(`ws://${host}/large`, { t })
    await client.send(JSON.stringify(text))
    await client.roundTrip()
    assert.deepEqual(bodies, [text])
    const refused = await connect(`ws://${host}/ws`, { t })
    await refused.send(JSON.stringify(text))
    assert.equal((await refused.closed).code, 1009)
  })

  test('an error of ours in taking a message in is logged, closes that client with 1011, and nobody else', async (t) => {
    const { log, lines } = recordingLog()
    const { host, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, log, routed: false })
    endpoint.bind((message) => {
      if (message.body === 'bad') throw new Error('a defect')
    })
    const client = await connect(`ws://${host}/ws`, { t })
    const other = await connect(`ws://${host}/ws`, { t })
    await client.send('"bad"')
    assert.equal((await client.closed).code, 1011)
    await other.send('"good"')
    await other.roundTrip()
    assert.equal(lines.filter((line) => line.level >= 50).length, 1)
    assert.equal(endpoint.gauges.connections, 1)
  })

  test('a client that dies without a word leaves nothing behind', async (t) => {
    const { host, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const client = await connectRaw(`ws://${host}/ws`, { t })
    client.write(encodeFrame('"half').subarray(0, 5))
    await until(() => endpoint.gauges.connections === 1)
    client.socket.resetAndDestroy()
    await until(() => endpoint.gauges.connections === 0)
  })
})
