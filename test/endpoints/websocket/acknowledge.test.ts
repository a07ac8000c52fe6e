/** Clients that speak araldo.v1: each of their messages is answered once, when it is settled, and only to them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fastify from 'fastify'
import websocket from '@fastify/websocket'
import { endpointWebSocket, type WebSocketOptions } from '../../../lib/endpoints/websocket/index.ts'
import { errors } from '../../../lib/errors.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { connect, UpgradeRefused } from '../../support/client.ts'
import { startEndpoint } from '../../support/endpoint.ts'
import { until } from '../../support/wait.ts'
import { messageOf, SESSION, settleAll, start, told } from './acknowledging.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw } from './raw.ts'

describe('the handshake', () => {
  test('answers araldo.v1 where it is asked for, whatever else is, and in whichever order', async (t) => {
    const { host } = await start(t)
    for (const protocols of [['araldo.v1'], ['bearer.abc', 'araldo.v1'], ['araldo.v1', 'chat']]) {
      assert.equal((await connect(`ws://${host}/ws`, { t, protocols })).socket.protocol, 'araldo.v1')
    }
    for (const protocols of [['chat'], ['araldo.v2', 'chat'], ['Araldo.v1']]) {
      assert.equal((await connect(`ws://${host}/ws`, { t, protocols })).socket.protocol, protocols[0])
    }
  })

  test('refuses whoever does not ask for it where it is required, and says so', async (t) => {
    const { host, open } = await start(t, { acknowledge: 'required' })
    for (const protocols of [[], ['chat'], ['araldo.v2']]) {
      await assert.rejects(connect(`ws://${host}/ws`, { t, protocols }), (error) => {
        assert.ok(error instanceof UpgradeRefused)
        assert.equal(error.statusCode, 400)
        return /ARALDO_ERR_SUBPROTOCOL_REQUIRED.*araldo\.v1/.test(error.body)
      })
    }
    assert.equal((await open()).socket.protocol, 'araldo.v1')
  })

  test("an endpoint is a source that acknowledges where all its clients are told, else it isn't", () => {
    const ack = (acknowledge: WebSocketOptions['acknowledge']) =>
      endpointWebSocket.capabilities({ ...DEFAULTS, acknowledge }).source?.ack
    assert.equal(ack('required'), true)
    assert.equal(ack('allowed'), false)
  })
})

describe('a message', () => {
  test('is acknowledged when it is settled, and not before', async (t) => {
    const { pending, open, endpoint } = await start(t)
    const client = await open()
    await client.send(messageOf('1', { text: 'hello' }))
    assert.deepEqual(await told(client), [])
    assert.equal(endpoint.gauges.inFlight, 1)
    assert.deepEqual(pending[0]?.message.body, { text: 'hello' })
    assert.equal(pending[0]?.message.payload.toString(), '{"text":"hello"}')
    assert.equal(pending[0]?.message.topic, '/ws')
    settleAll(pending)
    assert.deepEqual(await told(client), [{ type: 'ack', id: '1' }])
    assert.equal(endpoint.gauges.inFlight, 0)
    assert.equal(endpoint.counters.acknowledged, 1)
  })

  test('that is rejected is answered with nack, a code, and whether to send it again', async (t) => {
    const { pending, open, endpoint } = await start(t)
    const client = await open()
    await client.send(messageOf('1'))
    await client.send(messageOf('2'))
    await client.roundTrip()
    pending[0]?.settle(new errors.OVERFLOW('secret', 7))
    pending[1]?.settle(new errors.TOO_LARGE('secret', 1, 2))
    assert.deepEqual(await told(client), [
      { type: 'nack', id: '1', code: 'ARALDO_ERR_OVERFLOW', reason: 'more is waiting than is kept', retry: true },
      { type: 'nack', id: '2', code: 'ARALDO_ERR_TOO_LARGE', reason: 'it is larger than a target takes', retry: false },
    ])
    assert.equal(endpoint.counters.rejected, 2)
  })

  test('is answered in the order of settling, each once, however often it is settled', async (t) => {
    const { pending, open } = await start(t)
    const client = await open()
    for (const id of ['a', 'b', 'c']) await client.send(messageOf(id))
    await client.roundTrip()
    for (const index of [2, 0, 1, 2, 0]) pending[index]?.settle(index === 2 ? null : new errors.OVERFLOW('x', 1))
    pending[0]?.settle(null)
    const answers = (await told(client)) as { type: string; id: string }[]
    assert.deepEqual(
      answers.map(({ type, id }) => `${type} ${id}`),
      ['ack c', 'nack a', 'nack b'],
    )
  })

  test('carries its key, its headers, and those of the connection', async (t) => {
    const { pending, open } = await start(t, { path: '/rooms/:room' })
    const client = await open('/rooms/blue')
    await client.send({ type: 'message', id: '1', key: 'k', headers: { trace: 'abc' }, body: 1 })
    await client.send(messageOf('2'))
    await client.roundTrip()
    const [one, two] = pending.map(({ message }) => message)
    assert.equal(one?.key, 'k')
    const { connection_id: id, ...rest } = one?.headers ?? {}
    assert.deepEqual(rest, { param_room: 'blue', trace: 'abc' })
    assert.equal(two?.headers.connection_id, id)
    assert.equal(two?.headers.trace, undefined)
  })

  test('is bytes for a binary endpoint, in base64', async (t) => {
    const { pending, open, send } = await start(t, {}, { marshaller: raw })
    const client = await open()
    await client.send({ type: 'message', id: '1', base64: 'AP8B' })
    await client.roundTrip()
    assert.deepEqual(pending[0]?.message.payload, Buffer.from([0, 255, 1]))
    settleAll(pending)
    assert.deepEqual(await client.nextJson(), { type: 'ack', id: '1' })
    send(Buffer.from([1, 2]), { id: 'm', time: 3 })
    assert.deepEqual(await client.nextJson(), { type: 'message', id: 'm', time: 3, base64: 'AQI=' })
  })

  test('where no route begins is answered with nack', async (t) => {
    const { host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, routed: false })
    const client = await connect(`ws://${host}/ws`, { t, protocols: ['araldo.v1'] })
    await client.send(messageOf('1'))
    const [nack] = (await told(client)) as { code: string; retry: boolean }[]
    assert.deepEqual([nack?.code, nack?.retry], ['ARALDO_ERR_NOT_A_SOURCE', false])
  })
})

describe('an id that comes again', () => {
  test('while it is in flight is not delivered twice, and answered once', async (t) => {
    const { pending, open, endpoint } = await start(t)
    const client = await open()
    for (let time = 0; time < 3; time++) await client.send(messageOf('1'))
    assert.deepEqual(await told(client), [])
    assert.equal(pending.length, 1)
    settleAll(pending)
    assert.deepEqual(await told(client), [{ type: 'ack', id: '1' }])
    assert.equal(endpoint.counters.duplicates, 2)
  })

  test('after it was acknowledged is acknowledged again, and not delivered', async (t) => {
    const { pending, open, endpoint } = await start(t)
    const client = await open()
    await client.send(messageOf('1'))
    await client.roundTrip()
    settleAll(pending)
    await client.send(messageOf('1', 'other'))
    assert.deepEqual(await told(client), [
      { type: 'ack', id: '1' },
      { type: 'ack', id: '1' },
    ])
    assert.equal(pending.length, 0)
    assert.equal(endpoint.counters.duplicates, 1)
  })

  test('after it was rejected is delivered', async (t) => {
    const { pending, open } = await start(t)
    const client = await open()
    await client.send(messageOf('1'))
    await client.roundTrip()
    settleAll(pending, new errors.OVERFLOW('x', 1))
    await client.send(messageOf('1'))
    await client.roundTrip()
    assert.equal(pending.length, 1)
    settleAll(pending)
    assert.deepEqual(
      ((await told(client)) as { type: string }[]).map(({ type }) => type),
      ['nack', 'ack'],
    )
  })

  test('is remembered as long as max-in-flight others', async (t) => {
    const { pending, open } = await start(t, { 'max-in-flight': 4 })
    const client = await open()
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      await client.send(messageOf(id))
      await until(() => pending.length === 1)
      settleAll(pending)
    }
    await client.send(messageOf('b'))
    await client.send(messageOf('a'))
    await client.roundTrip()
    assert.deepEqual(
      pending.map(({ message }) => message.body),
      ['a'],
    )
  })

  test('of the same session travels as the same message, on another connection too', async (t) => {
    const { pending, open } = await start(t, { path: '/:any' })
    const idOf = async (path: string, session: string | undefined, id: string): Promise<string> => {
      const client = await open(path)
      if (session !== undefined) await client.send({ type: 'session', session })
      await client.send(messageOf(id))
      await until(() => pending.length === 1)
      const received = pending[0]?.message.id ?? ''
      settleAll(pending)
      client.terminate()
      return received
    }
    const first = await idOf('/a', SESSION, '1')
    assert.match(first, /^[\w-]{22}$/)
    assert.equal(await idOf('/a', SESSION, '1'), first)
    const others = [
      await idOf('/a', SESSION, '2'),
      await idOf('/b', SESSION, '1'),
      await idOf('/a', `${SESSION}x`, '1'),
      await idOf('/a', undefined, '1'),
      await idOf('/a', undefined, '1'),
    ]
    assert.equal(new Set([first, ...others]).size, 6)
  })

  test('of another connection is another message', async (t) => {
    const { pending, open } = await start(t)
    const [one, two] = [await open(), await open()]
    await one.send(messageOf('1', 'one'))
    await two.send(messageOf('1', 'two'))
    await until(() => pending.length === 2)
    pending.find(({ message }) => message.body === 'two')?.settle(null)
    assert.deepEqual(await told(two), [{ type: 'ack', id: '1' }])
    assert.deepEqual(await told(one), [])
  })
})

test("a host whose own @fastify/websocket chooses otherwise: 'required' admits nobody as a plain client", async (t) => {
  const app = fastify()
  await app.register(websocket, { options: { handleProtocols: () => false } })
  const { host, endpoint } = await start(t, { acknowledge: 'required' }, { app })
  const client = await connectRaw(`ws://${host}/ws`, { t, headers: ['Sec-WebSocket-Protocol: araldo.v1'] })
  await until(() => client.closeCode === 1011)
  client.socket.destroy()
  await until(() => endpoint.gauges.connections === 0)
})
