/** Brokers, and those who publish by them, that mean no good. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lookAt } from '../../../lib/endpoints/amqp/frames.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message } from '../../../lib/message.ts'
import { flood } from '../../support/liar.ts'
import { until } from '../../support/wait.ts'
import { contentHeader, delivery, frame, long, method, short, startAmqpLiar, u16, u32, u64 } from './liar.ts'
import { startAmqp } from './support.ts'

/** The bit that says `multiple`. */
const ALL_BEFORE = Buffer.from([1])
const table = (content: Buffer): Buffer => Buffer.concat([short('a'), Buffer.from('F'), long(content)])
/** A value in a table in an array. */
const mixed = (value: Buffer): Buffer =>
  array(Buffer.concat([Buffer.from('F'), long(value.length === 0 ? value : Buffer.concat([short('a'), value]))]))
const array = (content: Buffer): Buffer => Buffer.concat([Buffer.from('A'), long(content)])

function nested(depth: number, wrap: (content: Buffer) => Buffer): Buffer {
  let content = Buffer.alloc(0)
  for (let level = 0; level < depth; level++) content = wrap(content) as Buffer<ArrayBuffer>
  return content
}

const DEEP: Readonly<Record<string, Buffer>> = {
  tables: nested(5_000, table),
  arrays: Buffer.concat([short('a'), nested(5_000, array)]),
  'tables in arrays': Buffer.concat([short('a'), nested(2_500, mixed)]),
}

for (const [what, headers] of Object.entries(DEEP)) {
  test(`a message whose headers are thousands of ${what} deep comes in like any other`, async (t) => {
    const port = await startAmqpLiar(t, (socket, channel) => {
      socket.write(delivery(channel, 1n, headers, 'deep'))
      socket.write(delivery(channel, 2n, Buffer.concat([short('b'), Buffer.from('S'), long('flat')]), 'next'))
    })
    const { texts, incoming, endpoint } = await startAmqp(t, { port, queue: 'orders' })
    assert.deepEqual(await texts(2), ['deep', 'next'])
    assert.equal(typeof incoming[0]?.message.headers['a'], 'string')
    assert.equal(incoming[1]?.message.headers['b'], 'flat')
    assert.equal(endpoint.state, 'up')
  })
}

test('headers that are not deep are not written to, and those that are keep their length', () => {
  for (const depth of [0, 1, 63, 64]) {
    const header = contentHeader(
      1,
      4n,
      Buffer.concat([u16(0xe000), short('text/plain'), short('gzip'), long(nested(depth, table))]),
    )
    const before = Buffer.from(header)
    lookAt(header)
    assert.ok(header.equals(before), `${depth}`)
  }
  const header = contentHeader(1, 4n, Buffer.concat([u16(0x2000), long(nested(65, table))]))
  const before = Buffer.from(header)
  lookAt(header)
  assert.equal(header.filter((byte, index) => byte !== before[index]).length, 1)
})

test('a table that lies about its lengths, or is of no known type, is left to the library', () => {
  for (const content of [
    Buffer.from([1]),
    Buffer.concat([short('a'), Buffer.from('F'), u32(2 ** 32 - 1)]),
    Buffer.concat([short('a'), Buffer.from('A'), u32(5), Buffer.from('F')]),
    Buffer.concat([short('a'), Buffer.from('Z')]),
    Buffer.from('a'.repeat(300)),
  ]) {
    assert.doesNotThrow(() => lookAt(contentHeader(1, 4n, Buffer.concat([u16(0x2000), long(content)]))))
  }
  assert.doesNotThrow(() => lookAt(frame(2, 1, Buffer.alloc(0))))
  assert.doesNotThrow(() => lookAt(contentHeader(1, 4n, u16(0xffff))))
})

test('a body without an end costs the connection, and says why', async (t) => {
  const port = await startAmqpLiar(t, (socket, channel) => {
    socket.write(method(channel, 60, 60, short('consumer'), u64(1n), Buffer.from([0]), short(''), short('orders')))
    socket.write(contentHeader(channel, 2n ** 62n, u16(0)))
    flood(socket, frame(3, channel, Buffer.alloc(100_000)))
  })
  const { endpoint } = await startAmqp(t, { port, queue: 'orders' }, { mayBeDown: true })
  await until(() => endpoint.state === 'down' && /announces a message of/.test(endpoint.reason ?? ''), { interval: 1 })
})

test('a broker that delivers without waiting for acknowledgements costs the connection', async (t) => {
  let tag = 0n
  const port = await startAmqpLiar(t, (socket, channel) => {
    const next = (): void => {
      while (!socket.destroyed && socket.write(delivery(channel, ++tag, Buffer.alloc(0), 'more')));
    }
    socket.on('drain', next)
    next()
  })
  const { endpoint, incoming } = await startAmqp(t, { port, queue: 'orders', prefetch: 10 }, { mayBeDown: true })
  await until(() => /more than 10 messages/.test(endpoint.reason ?? ''), { interval: 1 })
  assert.ok(incoming.length >= 20)
})

test('a broker that confirms more than it was sent confirms what it was sent, and nothing that is published after', async (t) => {
  let published = 0
  const port = await startAmqpLiar(t, () => {}, {
    '85.10': (channel) => method(channel, 85, 11),
    '60.40': (channel) => (published++ === 0 ? method(channel, 60, 80, u64(2n ** 63n), ALL_BEFORE) : Buffer.alloc(0)),
  })
  const { endpoint, close } = await startAmqp(t, { port, topic: 'orders' })
  const outcomes: (Error | null)[] = []
  const publish = (then?: () => void): void =>
    endpoint.send(new Message({ source: 'test', marshaller: raw, payload: Buffer.from('x') }), (error) => {
      outcomes.push(error)
      then?.()
    })
  publish(() => publish())
  await until(() => published === 2)
  assert.deepEqual(outcomes, [null])
  await close()
  assert.match(String(outcomes[1]), /lost its connection/)
})

const OPEN_OK = method(0, 10, 41, short(''))

for (const [what, frames] of Object.entries({
  'the same answer again': [OPEN_OK],
  'a frame of a channel that is not open': [method(77, 60, 11)],
  'what is no frame': [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  'a method that there is none of': [method(0, 99, 99)],
  'the end of the connection': [method(0, 10, 50, u16(530), short('NOT_ALLOWED'), u16(0), u16(0))],
})) {
  test(`${what} behind the answer that lets it in costs the connection, and nothing else`, async (t) => {
    let connections = 0
    const port = await startAmqpLiar(t, () => {}, {
      '10.40': () => {
        connections++
        return Buffer.concat([OPEN_OK, ...frames])
      },
    })
    const { endpoint, close } = await startAmqp(t, { port, queue: 'orders' }, { mayBeDown: true })
    // It comes again: nothing is stuck.
    await until(() => connections > 1 && endpoint.state === 'down', { timeout: 10_000, interval: 1 })
    await close()
  })
}
