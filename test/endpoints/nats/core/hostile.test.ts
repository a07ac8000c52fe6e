/** Servers that do not speak NATS as they should: each costs its connection, and nothing else. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { flood, startLiar } from '../../../support/liar.ts'
import type { Owner } from '../../../support/process.ts'
import { until } from '../../../support/wait.ts'
import type { Started } from '../../../support/alone.ts'
import { startNatsEndpoint } from '../support.ts'

function infoOf(more: object = {}): string {
  return `INFO ${JSON.stringify({ server_id: 'liar', proto: 1, version: '2.10.0', headers: true, max_payload: 1_048_576, ...more })}\r\n`
}

/** Answers pings, and says something to whoever has subscribed. */
async function startTalking(t: Owner, say: (socket: Socket) => void): Promise<Started & { sockets: Socket[] }> {
  const sockets: Socket[] = []
  const port = await startLiar(t, (socket) => {
    sockets.push(socket)
    socket.write(infoOf())
    let isHeard = false
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1')
      for (const _ of text.matchAll(/PING\r\n/g)) socket.write('PONG\r\n')
      if (isHeard || !text.includes('SUB ')) return
      isHeard = true
      setImmediate(say, socket)
    })
  })
  const options = { servers: [`nats://somebody:s3cret@127.0.0.1:${port}`], subject: 'orders' }
  return { ...(await startNatsEndpoint(t, options, { mayBeDown: true })), sockets }
}

const BROKEN: Readonly<Record<string, string>> = {
  'another protocol': 'HTTP/1.1 400 Bad Request\r\n\r\n',
  'a length that is none': 'MSG orders 1 many\r\nsecret words\r\n',
  'a negative length': 'MSG orders 1 -5\r\nsecret words\r\n',
  'headers longer than their message': 'HMSG orders 1 50 10\r\nsecret words\r\n',
  'an INFO that is no JSON': 'INFO {"secret words\r\n',
  'an INFO that is null': 'INFO null\r\n',
}

for (const [name, said] of Object.entries(BROKEN)) {
  test(`${name} ends the connection at once, and none of it is repeated`, async (t) => {
    const printed = t.mock.method(console, 'log', () => {})
    const { endpoint, down, sockets, close } = await startTalking(t, (socket) => socket.write(said))
    assert.equal(await down(/the server sent/), 'the server sent what is not the protocol of NATS')
    // It comes again: nothing is stuck.
    await until(() => sockets.length > 1 && sockets[0]?.destroyed === true)
    assert.equal(endpoint.counters.received, 0)
    await close()
    assert.equal(printed.mock.callCount(), 0)
  })
}

test('a message without an end is not read on', async (t) => {
  const { down, sockets } = await startTalking(t, (socket) => {
    socket.write('MSG orders 1 99999999999\r\n')
    flood(socket, Buffer.alloc(64 * 1024, 'a'))
  })
  await down(/a message of more than/)
  await until(() => sockets[0]?.destroyed === true)
})

test('a line without an end is not read on', async (t) => {
  const { down, sockets } = await startTalking(t, (socket) => {
    socket.write('MSG ')
    flood(socket, Buffer.alloc(64 * 1024, 'a'))
  })
  await down(/a line of more than/)
  await until(() => sockets[0]?.destroyed === true)
})

test('PINGs without end, from a server that does not read the answers, cost the connection', async (t) => {
  const { down, sockets } = await startTalking(t, (socket) => {
    socket.pause()
    flood(socket, Buffer.from('PING\r\n'.repeat(10_000)))
  })
  await down(/more than 1000 PINGs/)
  await until(() => sockets[0]?.destroyed === true)
})

test('a server that requires TLS where none is configured is told of in words', async (t) => {
  const heard: string[] = []
  const port = await startLiar(t, (socket) => {
    socket.on('data', (chunk: Buffer) => heard.push(chunk.toString('latin1')))
    socket.write(infoOf({ tls_required: true }))
  })
  const options = { servers: [`nats://somebody:s3cret@127.0.0.1:${port}`], subject: 'orders' }
  const { down } = await startNatsEndpoint(t, options, { mayBeDown: true })
  await down(/the server requires TLS: write tls:\/\//)
  assert.doesNotMatch(heard.join(''), /s3cret/)
})

test('a server that has no TLS where it is configured gets no password', async (t) => {
  const heard: string[] = []
  const port = await startLiar(t, (socket) => {
    socket.on('data', (chunk: Buffer) => heard.push(chunk.toString('latin1')))
    socket.write(infoOf())
  })
  const options = { servers: [`tls://somebody:s3cret@127.0.0.1:${port}`], subject: 'orders' }
  const { down } = await startNatsEndpoint(t, options, { mayBeDown: true })
  await down(/tls/i)
  assert.doesNotMatch(heard.join(''), /s3cret/)
})
