/** The end: no new clients, no new messages, what was sent arrives, and every browser learns when to come back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpointWebSocket } from '../../../lib/endpoints/websocket/index.ts'
import { connect, UpgradeRefused } from '../../support/client.ts'
import { startEndpoint } from '../../support/endpoint.ts'
import { within } from '../../support/wait.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw, OPCODES } from './raw.ts'

test('every browser gets what was sent, then 1001 and a delay of its own', async (t) => {
  const { app, host, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
  const clients = await Promise.all(Array.from({ length: 50 }, () => connect(`ws://${host}/ws`, { t })))
  send('last words')
  await within(app.close())
  const delays = new Set<number>()
  for (const client of clients) {
    const { code, reason } = await client.closed
    assert.equal(code, 1001)
    const [, delay] = /^the server is going away, reconnect in (\d+) ms$/.exec(reason) ?? []
    assert.ok(Number(delay) > 0 && Number(delay) <= 5_000)
    delays.add(Number(delay))
    assert.deepEqual(client.drain(), ['"last words"'])
  }
  assert.ok(delays.size > 40, 'they are spread')
})

test('what was sent in the turn of the end goes before the close frame', async (t) => {
  const { endpoint, host, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
  const client = await connectRaw(`ws://${host}/ws`, { t })
  send('last words')
  const stopped = endpoint.stop()
  await within(client.ended)
  await stopped
  assert.deepEqual(
    client.frames.map(({ opcode }) => opcode),
    [OPCODES.text, OPCODES.close],
  )
})

test('a browser that does not answer holds the end up for two seconds, not longer', async (t) => {
  const { app, endpoint, host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
  const mute = await connectRaw(`ws://${host}/ws`, { t })
  const polite = await connect(`ws://${host}/ws`, { t })
  const started = performance.now()
  await within(app.close())
  assert.ok(performance.now() - started < 4_500)
  assert.equal(mute.closeCode, 1001)
  assert.equal((await polite.closed).code, 1001)
  assert.equal(endpoint.gauges.connections, 0)
})

test('with the relay about to stop, no client comes in and no message is taken; messages still go out', async (t) => {
  const { endpoint, host, received, send } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
  const client = await connect(`ws://${host}/ws`, { t })
  await endpoint.pause()
  await assert.rejects(connect(`ws://${host}/ws`, { t }), (error) => {
    return error instanceof UpgradeRefused && error.statusCode === 503 && /ARALDO_ERR_CLOSING/.test(error.body)
  })
  await client.send('"too late"')
  await client.roundTrip()
  assert.deepEqual(received, [])
  send('still')
  assert.equal(await client.next(), '"still"')
})

test('before the endpoint is started a client is refused with 503', async (t) => {
  const { endpoint, host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, started: false })
  await assert.rejects(connect(`ws://${host}/ws`, { t }), (error) => {
    return error instanceof UpgradeRefused && error.statusCode === 503 && /ARALDO_ERR_ENDPOINT_DOWN/.test(error.body)
  })
  endpoint.start()
  await endpoint.whenUp(1_000)
  const client = await connect(`ws://${host}/ws`, { t })
  await client.roundTrip()
})
