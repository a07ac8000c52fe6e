import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { connect, UpgradeRefused } from './client.ts'
import { WaitTimeout } from './wait.ts'

/** A WebSocket server that does what `onConnection` says; its address. */
async function serve(t: TestContext, onConnection: (socket: WebSocket) => void): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', onConnection)
  t.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('the WebSocket test client', () => {
  test('misses nothing that is sent with the handshake', async (t) => {
    const url = await serve(t, (socket) => {
      socket.send('one')
      socket.send(Buffer.from([2]))
      socket.send('{"three":3}')
    })
    const client = await connect(url, { t })
    assert.deepEqual(await client.take(2), ['one', Buffer.from([2])])
    assert.deepEqual(await client.nextJson(), { three: 3 })
    assert.equal(client.waiting, 0)
  })

  test('round trips, and tells the close code and reason', async (t) => {
    const url = await serve(t, (socket) => {
      socket.on('message', (data: Buffer) => socket.send(data.toString().toUpperCase()))
      socket.on('pong', () => socket.close(4001, 'enough'))
    })
    const client = await connect(url, { t })
    await client.send('hi')
    assert.equal(await client.next(), 'HI')
    await client.send({ a: 1 })
    await client.roundTrip()
    assert.deepEqual(client.drain(), ['{"A":1}'])
    assert.deepEqual(await client.close(1000, 'bye'), { code: 1000, reason: 'bye' })
  })

  test('tells what the handshake was refused with', async (t) => {
    const server = createServer()
    server.on('upgrade', (_request, socket) => {
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwho?')
    })
    t.after(() => server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
    await assert.rejects(connect(url), (error) => {
      assert.ok(error instanceof UpgradeRefused)
      assert.equal(error.statusCode, 401)
      assert.equal(error.body, 'who?')
      return true
    })
  })

  test('does not wait for ever, nor for a message of a closed connection', async (t) => {
    let server: WebSocket | undefined
    const url = await serve(t, (socket) => (server = socket))
    const client = await connect(url, { t })
    await assert.rejects(client.next(20), WaitTimeout)
    const next = client.next()
    server?.close(1011, 'broken')
    await assert.rejects(next, /closed with 1011 'broken'/)
  })
})
