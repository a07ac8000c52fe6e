/** The frames of araldo.v1 at an endpoint: what clients should not send, and what they are sent. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Message } from '../../../lib/message.ts'
import { connect } from '../../support/client.ts'
import { until } from '../../support/wait.ts'
import { messageOf, SESSION, settleAll, start, told } from './acknowledging.ts'
import { connectRaw, encodeFrame, OPCODES } from './raw.ts'

describe('what a client should not send', () => {
  const bad: [what: string, frame: string, reason: RegExp][] = [
    ['what is no JSON', 'hello', /araldo\.v1: it is no JSON object/],
    ['a plain message', '{"text":"hello"}', /araldo\.v1: its 'type' is neither/],
    ['an unknown type', '{"type":"ack","id":"1"}', /'type' is neither/],
    ['a message without an id', '{"type":"message","body":1}', /'id' is no text/],
    ['a second session', `{"type":"session","session":"${'x'.repeat(16)}"}`, /a session is opened once/],
  ]
  for (const [what, frame, reason] of bad) {
    test(`${what} closes the client with 1007, or is not heard with on-invalid: drop`, async (t) => {
      for (const onInvalid of ['close', 'drop'] as const) {
        const { open, endpoint, pending } = await start(t, { 'on-invalid': onInvalid })
        const client = await open()
        await client.send({ type: 'session', session: SESSION })
        await client.send(frame)
        if (onInvalid === 'close') {
          const closed = await client.closed
          assert.equal(closed.code, 1007)
          assert.match(closed.reason, reason)
        } else {
          await client.send(messageOf('1'))
          await until(() => pending.length === 1)
          settleAll(pending)
          assert.deepEqual(await told(client), [{ type: 'ack', id: '1' }])
        }
        assert.equal(endpoint.counters.decodeErrors, 1)
      }
    })
  }

  test('a session after a message closes it, too', async (t) => {
    const { open } = await start(t)
    const client = await open()
    await client.send(messageOf('1'))
    await client.send({ type: 'session', session: SESSION })
    assert.equal((await client.closed).code, 1007)
  })

  test('a binary frame closes it with 1003', async (t) => {
    const { open } = await start(t)
    const client = await open()
    await client.send(Buffer.from(messageOf('1')))
    assert.equal((await client.closed).code, 1003)
  })

  test('a message that cannot be taken as it is is rejected for good, and the client stays', async (t) => {
    const { open, pending, endpoint } = await start(t)
    const client = await open()
    await client.send('{"type":"message","id":"1","body":{"a":}}')
    await client.send('{"type":"message","id":"2","text":"a","body":1}')
    await client.send('{"type":"message","id":"3","body":1,"headers":{"connection_id":"x"}}')
    const nacks = (await told(client)) as Record<string, unknown>[]
    assert.deepEqual(
      nacks.map(({ id, code, retry }) => [id, code, retry]),
      [
        ['1', 'ARALDO_ERR_FRAME_INVALID', false],
        ['2', 'ARALDO_ERR_FRAME_INVALID', false],
        ['3', 'ARALDO_ERR_FRAME_INVALID', false],
      ],
    )
    assert.match(String(nacks[2]?.['reason']), /the header 'connection_id' is the relay's own/)
    assert.equal(pending.length, 0)
    assert.equal(endpoint.counters.decodeErrors, 3)
  })

  test('one that reads no answers is closed with 1013', async (t) => {
    const { host, endpoint } = await start(t, { limit: 4 * 1024 })
    const client = await connectRaw(`ws://${host}/ws`, { t, headers: ['Sec-WebSocket-Protocol: araldo.v1'] })
    client.socket.pause()
    const crowd = Array.from({ length: 2_000 }, (_, id) => encodeFrame(`{"type":"message","id":"${id}"}`))
    client.write(Buffer.concat(crowd))
    await until(() => endpoint.counters.slowClosed === 1)
    client.socket.resume()
    await until(() => client.closeCode === 1013)
    assert.equal(client.frames.at(-1)?.opcode, OPCODES.close)
    client.socket.destroy()
  })
})

describe('what clients are sent', () => {
  test('is the message alone for plain ones, and a frame with its id for the others; the sender gets none', async (t) => {
    const { host, open, send, pending } = await start(t, { path: '/:room', topic: '{topic}' })
    const plain = await connect(`ws://${host}/a`, { t })
    const [one, two, elsewhere] = [await open('/a'), await open('/a'), await open('/b')]
    await one.send(messageOf('1', 'from one'))
    await until(() => pending.length === 1)
    const origin = pending[0]?.message.origin
    send('to a', { id: 'm1', time: 1, topic: '/a', headers: { secret: 'x' }, key: 'secret' })
    send('from one', { id: 'm2', time: 2, topic: '*', origin })
    const first = { type: 'message', id: 'm1', time: 1, body: 'to a' }
    const second = { type: 'message', id: 'm2', time: 2, body: 'from one' }
    assert.deepEqual(await told(one), [first])
    assert.deepEqual(await told(two), [first, second])
    assert.deepEqual(await told(elsewhere), [second])
    assert.deepEqual(await plain.take(2), ['"to a"', '"from one"'])
  })

  test('costs one frame for all of them, and none where there is no such client', async (t) => {
    const { host, open, endpoint } = await start(t)
    let asked = 0
    const message = { marshaller: endpoint.marshaller, payload: Buffer.from('1') }
    class Watched extends Message {
      override get id(): string {
        asked++
        return 'm'
      }
    }
    const clients = [await connect(`ws://${host}/ws`, { t })]
    endpoint.send(new Watched({ source: 's', ...message }))
    assert.equal(asked, 0)
    clients.push(await open(), await open(), await open())
    endpoint.send(new Watched({ source: 's', ...message }))
    assert.equal(asked, 1)
    for (const client of clients) await client.next()
  })

  test('in its frame is too large for the limit is counted, and others get it', async (t) => {
    const { host, open, send, endpoint } = await start(t, { limit: 4 * 1024 })
    const [plain, client] = [await connect(`ws://${host}/ws`, { t }), await open()]
    const large = 'x'.repeat(4 * 1024 - 10)
    send(large)
    send('small')
    assert.deepEqual(await plain.take(2), [JSON.stringify(large), '"small"'])
    assert.equal(((await client.nextJson()) as { body: string }).body, 'small')
    assert.equal(endpoint.counters.oversized, 1)
    assert.equal(endpoint.counters.slowClosed, 0)
  })

  test('comes compressed where that was agreed, answers too', async (t) => {
    const { host, send, pending } = await start(t, { 'permessage-deflate': true })
    const client = await connect(`ws://${host}/ws`, { t, protocols: ['araldo.v1'], perMessageDeflate: true })
    assert.equal(client.socket.extensions.includes('permessage-deflate'), true)
    await client.send(messageOf('1', 'x'.repeat(5_000)))
    await until(() => pending.length === 1)
    settleAll(pending)
    assert.deepEqual(await client.nextJson(), { type: 'ack', id: '1' })
    send('y'.repeat(5_000))
    assert.equal(((await client.nextJson()) as { body: string }).body, 'y'.repeat(5_000))
  })
})
