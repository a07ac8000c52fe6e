/** permessage-deflate (RFC 7692): negotiated only where it is switched on, mixed with clients that do not compress. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import fastify from 'fastify'
import { endpointWebSocket } from '../../../lib/endpoints/websocket/index.ts'
import { connect } from '../../support/client.ts'
import { recordingLog } from '../../support/core.ts'
import { registerEndpoint, startEndpoint } from '../../support/endpoint.ts'
import { until } from '../../support/wait.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw } from './raw.ts'

const COMPRESSING = { ...DEFAULTS, 'permessage-deflate': true }

test('a client that offers it is not given it where it is off', async (t) => {
  const { host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
  const client = await connect(`ws://${host}/ws`, { t, perMessageDeflate: true })
  assert.equal(client.socket.extensions, '')
})

test('compressing and plain clients get the same messages, in order', async (t) => {
  const { host, send, received } = await startEndpoint(endpointWebSocket, COMPRESSING, { t })
  const compressing = await connect(`ws://${host}/ws`, { t, perMessageDeflate: { threshold: 0 } })
  const plain = await connect(`ws://${host}/ws`, { t, perMessageDeflate: false })
  assert.match(compressing.socket.extensions, /permessage-deflate/)
  assert.equal(plain.socket.extensions, '')
  const bodies = Array.from({ length: 200 }, (_, index) => `${index} ${'x'.repeat(index * 50)}`)
  for (const body of bodies) send(body)
  for (const client of [compressing, plain]) {
    const messages = await client.take(bodies.length)
    assert.deepEqual(
      messages.map((message) => JSON.parse(String(message)) as unknown),
      bodies,
    )
  }
  await compressing.send(JSON.stringify('y'.repeat(5_000)))
  await compressing.roundTrip()
  assert.equal(received[0]?.body, 'y'.repeat(5_000))
})

test('what a compressing client sent is not sent back to it', async (t) => {
  const { host, send, received } = await startEndpoint(endpointWebSocket, COMPRESSING, { t })
  const client = await connect(`ws://${host}/ws`, { t })
  await client.send('1')
  await client.roundTrip()
  send('own', { origin: received[0]?.origin })
  send('other')
  assert.equal(await client.next(), '"other"')
})

test('a small message that inflates past max-payload closes with 1009', async (t) => {
  const { host, received } = await startEndpoint(endpointWebSocket, COMPRESSING, { t })
  const client = await connect(`ws://${host}/ws`, { t, perMessageDeflate: { threshold: 0 } })
  await client.send(JSON.stringify('0'.repeat(10 * 1024 * 1024)))
  assert.equal((await client.closed).code, 1009)
  assert.deepEqual(received, [])
})

test('a compressing client that reads nothing is closed like any other', async (t) => {
  const { host, send, endpoint } = await startEndpoint(endpointWebSocket, { ...COMPRESSING, limit: 64 * 1024 }, { t })
  const stalled = await connectRaw(`ws://${host}/ws`, { t, headers: ['Sec-WebSocket-Extensions: permessage-deflate'] })
  const reader = await connect(`ws://${host}/ws`, { t })
  stalled.socket.pause()
  const noise = Array.from({ length: 50_000 }, () => String.fromCharCode(48 + Math.random() * 75)).join('')
  await until(
    async () => {
      send(noise)
      await reader.next()
      return endpoint.counters.slowClosed === 1
    },
    { interval: 0, timeout: 20_000 },
  )
  assert.equal(await reader.roundTrip(), undefined)
  stalled.socket.destroy()
})

test("where the host's own @fastify/websocket has it off, that is said once, and clients connect plainly", async (t) => {
  const { log, lines } = recordingLog()
  const app = fastify()
  t.after(() => app.close())
  await app.register(fastifyWebsocket)
  await registerEndpoint(app, endpointWebSocket, COMPRESSING, { log })
  await app.ready()
  assert.equal(lines.filter(({ level, msg }) => level === 40 && /permessage-deflate/.test(msg)).length, 1)
})
