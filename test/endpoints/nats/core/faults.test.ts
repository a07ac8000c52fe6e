/** What endpoint-nats does at a server that dies, hangs, or is none. */
import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { connect } from '@nats-io/transport-node'
import { listening } from '../listening.ts'
import { startNats } from '../../../support/nats.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { startNatsEndpoint } from '../support.ts'

describe('endpoint-nats', { skip: need('nats-server') }, () => {
  test('heals after its server was killed, subscriptions and queue groups included', async (t) => {
    const nats = await startNats({ t })
    const options = { url: nats.url, subjects: ['a.*', 'b'], queue: 'q', topic: 'out', confirm: 'flush' } as const
    const { endpoint, texts, send } = await startNatsEndpoint(t, options)
    for (let round = 1; round <= 2; round++) {
      await nats.kill()
      await until(() => endpoint.state !== 'up')
      assert.match(endpoint.reason ?? '', /closed the connection|refused|ECONNRESET/)
      assert.match(String(await send('lost')), /lost its connection/)
      await nats.start()
      await until(() => endpoint.state === 'up')
      const client = await connect({ servers: nats.url })
      client.publish('a.x', `a${round}`)
      client.publish('b', `b${round}`)
      await client.flush()
      await client.close()
      await texts(round * 2)
      assert.equal(await send('again'), null)
    }
    assert.deepEqual(await texts(4), ['a1', 'b1', 'a2', 'b2'])
  })

  test('tells each message that waits for its confirmation that the connection is lost', async (t) => {
    const nats = await startNats({ t })
    const { send } = await startNatsEndpoint(t, { url: nats.url, topic: 'x', confirm: 'flush', 'ping-interval': 10 })
    nats.pause()
    const all = Array.from({ length: 50 }, (_, number) => send(String(number)))
    await nats.kill()
    const codes = new Set((await Promise.all(all)).map((error) => (error as { code?: string } | null)?.code))
    assert.deepEqual([...codes], ['ARALDO_ERR_CONNECTION_LOST'])
  })

  test('goes to another of its servers when one is gone', async (t) => {
    const [one, other] = [await startNats({ t }), await startNats({ t })]
    await one.kill()
    const servers = [`127.0.0.1:${one.port}`, other.url]
    const { endpoint } = await startNatsEndpoint(t, { servers, subject: 'a' })
    await other.kill()
    await until(() => endpoint.state !== 'up')
    await one.start()
    await until(() => endpoint.state === 'up')
  })

  test('says of each server why it is not to be had', async (t) => {
    const { down } = await startNatsEndpoint(
      t,
      { servers: ['127.0.0.1:1', '127.0.0.1:2'], subject: 'a' },
      { mayBeDown: true },
    )
    const reason = await down(/refused/)
    assert.match(reason, /127\.0\.0\.1:1: /)
    assert.match(reason, /127\.0\.0\.1:2: /)
  })

  test('notices a server that answers nothing any more', async (t) => {
    const nats = await startNats({ t })
    const { down } = await startNatsEndpoint(t, { url: nats.url, subject: 'a', 'ping-interval': 100 })
    nats.pause()
    await until(async () => down(/no answer to PING within 4000 ms/), { timeout: 10_000 })
  })

  for (const [what, onConnection] of Object.entries<(socket: Socket) => void>({
    'accepts and says nothing': () => {},
    'says something else': (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'says what cannot be read': (socket) => socket.write('INFO {"\r\n'),
    'says no more than INFO': (socket) =>
      socket.write('INFO {"version":"2.9.10","proto":1,"max_payload":1024,"headers":true}\r\n'),
    'hangs up at once': (socket) => socket.destroy(),
    'never ends its first line': (socket) => socket.write(`INFO ${'x'.repeat(100_000)}`),
  })) {
    test(`can be stopped at once while it connects to a server that ${what}`, async (t) => {
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
        socket.resume()
        onConnection(socket)
      })
      const port = await listening(server, t)
      let seen = 0
      server.on('connection', () => seen++)
      const { endpoint, close } = await startNatsEndpoint(
        t,
        { url: `nats://127.0.0.1:${port}`, subject: 'a' },
        { mayBeDown: true },
      )
      await until(() => seen > 0)
      assert.notEqual(endpoint.state, 'up')
      await close()
      await until(() => sockets.size === 0, { message: 'the socket to be closed' })
    })
  }

  test('says what to do where the server knows no headers', async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write('INFO {"version":"2.1.9","proto":1,"max_payload":1024}\r\n')
      socket.on('data', (data) => {
        for (const _ of data.toString().matchAll(/PING/g)) socket.write('PONG\r\n')
      })
    })
    const port = await listening(server, t)
    const url = `nats://127.0.0.1:${port}`
    const { down } = await startNatsEndpoint(t, { url, subject: 'a' }, { mayBeDown: true })
    await down(/set 'headers: false'/)
    const plain = await startNatsEndpoint(t, { url, subject: 'a', headers: false })
    assert.equal(plain.endpoint.state, 'up')
  })
})
