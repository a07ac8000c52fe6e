/** Servers that do not speak PostgreSQL as they should: each costs its connection, and nothing else. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { Guard } from '../../../lib/endpoints/postgres/guard.ts'
import { flood, startLiar } from '../../support/liar.ts'
import { until } from '../../support/wait.ts'
import { startPostgresEndpoint } from './support.ts'

const text = (value: string): Buffer => Buffer.from(value, 'latin1')

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function message(type: string, body: Buffer, length = body.length + 4): Buffer {
  return Buffer.concat([text(type), int32(length), body])
}

const LET_IN = message('R', int32(0))
const READY = message('Z', text('I'))

const BROKEN: Readonly<Record<string, readonly Buffer[]>> = {
  'an authentication without its kind': [message('R', Buffer.alloc(0))],
  'an authentication of a kind that is none': [message('R', int32(99))],
  'a key that is cut off': [LET_IN, message('K', text('x'))],
  'a row description of 30,000 columns that are not there': [LET_IN, READY, message('T', text('\x75\x30abc'))],
  'a notification that is cut off': [LET_IN, READY, message('A', text('x'))],
  'an error whose last field has no end': [message('E', text('Sabc'))],
  'an error without an end': [message('E', text('SFATAL\0'))],
  'an empty error': [message('E', Buffer.alloc(0))],
  'a length that is less than itself': [LET_IN, message('S', Buffer.alloc(0), 3)],
  'a negative length': [LET_IN, message('S', Buffer.alloc(0), -1)],
  'a length of 2 GiB before anybody is let in': [message('D', Buffer.alloc(0), 2 ** 31 - 1)],
  'an error of 2 GiB': [LET_IN, READY, message('E', Buffer.alloc(0), 2 ** 31 - 1)],
  'another protocol': [text('HTTP/1.1 400 Bad Request\r\n\r\n')],
}

for (const [name, said] of Object.entries(BROKEN)) {
  test(`${name} ends the connection, and the endpoint says why`, async (t) => {
    let connections = 0
    const port = await startLiar(t, (socket) => {
      connections++
      socket.once('data', () => socket.write(Buffer.concat(said)))
    })
    const { endpoint, close } = await startPostgresEndpoint(t, hereAt(port), { mayBeDown: true })
    // It comes again: nothing is stuck.
    await until(() => connections > 1 && endpoint.state === 'down', { timeout: 10_000, interval: 1 })
    assert.doesNotMatch(endpoint.reason as string, /no answer|s3cret/)
    await close()
  })
}

test('what is endless is not read on', async (t) => {
  const sockets: Socket[] = []
  const port = await startLiar(t, (socket) => {
    sockets.push(socket)
    socket.once('data', () => {
      socket.write(Buffer.concat([LET_IN, text('S'), int32(2 ** 31 - 1)]))
      flood(socket, Buffer.alloc(64 * 1024, 'a'))
    })
  })
  await startPostgresEndpoint(t, hereAt(port), { mayBeDown: true })
  await until(() => sockets[0]?.destroyed === true)
  assert.ok((sockets[0] as Socket).bytesWritten < 64 * 1024 * 1024)
})

test('messages pass in whatever pieces they come, and what is wrong is found in any', () => {
  const error = message('E', text('SERROR\0C42P01\0Mno such table\0\0'))
  const right = Buffer.concat([LET_IN, READY, error, message('D', Buffer.alloc(100_000)), error, READY])
  const wrong = Buffer.concat([right, message('E', text('SERROR'))])
  for (const size of [1, 2, 3, 5, 7, 64, 1_000, wrong.length]) {
    assert.doesNotThrow(() => lookAt(right, size), `${size}`)
    assert.throws(() => lookAt(wrong, size), /without its end/, `${size}`)
  }
})

function lookAt(bytes: Buffer, size: number): void {
  const guard = new Guard()
  for (let at = 0; at < bytes.length; at += size) guard.look(bytes.subarray(at, at + size))
}

function hereAt(port: number): { url: string; channel: string } {
  return { url: `postgres://somebody:s3cret@127.0.0.1:${port}/orders`, channel: 'orders' }
}
