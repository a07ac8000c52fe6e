import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import type { Endpoint } from '../../../lib/endpoint.ts'
import { createRegistries, loadConfig } from '../../../lib/index.ts'
import { configOf, relayServer } from '../../support/relay.ts'
import { makeCertificate } from '../../support/certificate.ts'
import type { Owner } from '../../support/process.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { startRefusing, startServer } from './server.ts'

/** The application and a link, each to the other. */
async function relay(t: Owner, link: object, lane: object = {}): Promise<FastifyInstance> {
  const config = configOf(
    {
      app: { id: 'endpoint-app' },
      heard: { id: 'endpoint-app' },
      link: { id: 'endpoint-websocket-client', ...link },
    },
    { app: [{ to: 'link', ...lane }], link: ['heard'] },
  )
  const server = await relayServer(t, { config })
  await server.ready()
  return server
}

const linkOf = (server: FastifyInstance): Endpoint => server.araldo.endpoints.get('link') as unknown as Endpoint
const isUp = (server: FastifyInstance): Promise<unknown> =>
  until(() => linkOf(server).state === 'up', { message: 'the link to be up' })

function heard(server: FastifyInstance): { payload: string; id: string; time: number }[] {
  const all: { payload: string; id: string; time: number }[] = []
  server.araldo.subscribe('heard', ({ payload, id, time }) => void all.push({ payload: payload.toString(), id, time }))
  return all
}

describe('connecting', () => {
  test('says hello, in order and before anything else, after every connect', async (t) => {
    const server = await startServer({ t })
    const hello = ['first', { op: 'subscribe', args: ['orders'] }]
    const client = await relay(t, { url: server.url, hello })
    await isUp(client)
    await client.araldo.publish('app', { a: 1 })
    await until(() => server.clients[0]?.got.length === 3)
    assert.deepEqual(server.clients[0]?.got, ['first', '{"op":"subscribe","args":["orders"]}', '{"a":1}'])
    server.clients[0]?.websocket.terminate()
    await until(() => server.clients[1]?.got.length === 2)
    assert.deepEqual(server.clients[1]?.got, server.clients[0]?.got.slice(0, 2))
  })

  test('sends headers and subprotocols', async (t) => {
    const server = await startServer({ t })
    const client = await relay(t, {
      url: server.url,
      subprotocols: ['chat.v2', 'chat.v1'],
      headers: { Authorization: 'Bearer secret' },
    })
    await isUp(client)
    const { headers } = server.clients[0]?.request ?? {}
    assert.deepEqual(
      [headers?.authorization, headers?.['sec-websocket-protocol']],
      ['Bearer secret', 'chat.v2,chat.v1'],
    )
  })

  test('by TLS, to a server that the authority has signed, and to no other', { skip: need('openssl') }, async (t) => {
    const { caFile, certFile, keyFile } = await makeCertificate()
    const tls = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
    const server = await startServer({ t, tls })
    const trusting = await relay(t, { url: server.url, tls: { ca: caFile } })
    await isUp(trusting)
    await trusting.araldo.publish('app', 1)
    await until(() => server.clients[0]?.got.length === 1)
    const wary = await relay(t, { url: server.url })
    await until(() => /certificate|signed/i.test(linkOf(wary).reason ?? ''))
  })

  test('shows its certificate to a server that asks for one', { skip: need('openssl') }, async (t) => {
    const { ca, caFile, certFile, keyFile } = await makeCertificate()
    const own = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
    const server = await startServer({ t, tls: { ...own, ca, requestCert: true, rejectUnauthorized: true } })
    await isUp(await relay(t, { url: server.url, tls: { ca: caFile, cert: certFile, key: keyFile } }))
    const stranger = await relay(t, { url: server.url, tls: { ca: caFile } })
    await until(() => linkOf(stranger).counters.failures > 0)
    assert.equal(linkOf(stranger).counters.connects, 0)
  })

  for (const [status, expected] of [
    [401, /401: check the credentials/],
    [404, /404: there is nothing at the path/],
    [302, /302: redirects are not followed/],
  ] as const) {
    test(`answered with ${status} says what to check, and no secret`, async (t) => {
      const elsewhere = await startServer({ t })
      const url = await startRefusing(t, status, { location: elsewhere.url })
      const client = await relay(t, { url: url.replace('//', '//user:geheim@'), headers: { 'x-token': 'geheim' } })
      await until(() => expected.test(linkOf(client).reason ?? ''))
      assert.doesNotMatch(linkOf(client).reason ?? '', /geheim/)
      assert.equal(elsewhere.clients.length, 0)
    })
  }

  test('a server that does not speak araldo.v1 is not used where it has to', async (t) => {
    const server = await startServer({ t, handleProtocols: () => false })
    const client = await relay(t, { url: server.url, acknowledge: true })
    await until(() => /subprotocol/.test(linkOf(client).reason ?? ''))
    assert.notEqual(linkOf(client).state, 'up')
  })

  test('a server that closes says why', async (t) => {
    const server = await startServer({ t, onClient: (websocket) => websocket.close(4003, 'no\u001b[2J subscription') })
    const client = await relay(t, { url: server.url })
    await until(() => linkOf(client).reason?.includes("4003, for a reason of its own: 'no [2J subscription'"))
  })
})

describe('a server that is hostile', () => {
  test('sends no frames of araldo.v1: they are counted, and what follows is heard', async (t) => {
    const server = await startServer({
      t,
      onClient(websocket) {
        websocket.on('message', (data: Buffer) => {
          const { type, id } = JSON.parse(data.toString()) as { type: string; id: string }
          if (type !== 'message') return
          for (const frame of ['', '{', '[]', '{"type":"ack"}', `{"type":"ack","id":"${id}x"}`]) websocket.send(frame)
          websocket.send(Buffer.from([0xff]))
          websocket.send('{"type":"message","id":"7","time":1000,"body":{"b": 1.0}}')
          websocket.send(`{"type":"ack","id":"${id}"}`)
          websocket.send(`{"type":"ack","id":"${id}"}`)
        })
      },
    })
    const client = await relay(t, { url: server.url, acknowledge: true })
    const all = heard(client)
    await isUp(client)
    await client.araldo.publish('app', 1)
    assert.deepEqual(all, [{ payload: '{"b": 1.0}', id: '7', time: 1000 }])
    assert.equal(linkOf(client).counters.decodeErrors, 5)
    assert.equal(linkOf(client).state, 'up')
  })

  test('sends more than max-payload: it is left, and connected to again', async (t) => {
    let sent = 0
    const server = await startServer({
      t,
      onClient: (websocket) => void (sent++ === 0 && websocket.send('x'.repeat(2_000))),
    })
    const client = await relay(t, { url: server.url, 'max-payload': 1_000 })
    const all = heard(client)
    await until(() => server.clients.length === 2 && linkOf(client).state === 'up')
    assert.deepEqual(all, [])
  })
})

describe('what is sent', () => {
  test('waits while nothing answers, within max-in-flight, and is settled by the answers', async (t) => {
    const server = await startServer({ t })
    const client = await relay(t, { url: server.url, acknowledge: true, 'max-in-flight': 4 }, { key: 'string(body)' })
    await isUp(client)
    const [peer] = server.clients
    const published = Array.from({ length: 10 }, (_unused, index) => client.araldo.publish('app', String(index)))
    await until(() => peer?.got.length === 5)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(peer?.got.length, 5, 'the session, and as many messages as may be in flight')
    let answered = 1
    while (answered < 11) {
      await until(() => (peer?.got.length ?? 0) > answered)
      const { id } = JSON.parse(String(peer?.got[answered++])) as { id: string }
      peer?.websocket.send(JSON.stringify({ type: 'ack', id }))
    }
    await Promise.all(published)
  })

  test('and refused for good is not sent again; refused for now is', async (t) => {
    const tries: string[] = []
    const server = await startServer({
      t,
      onClient(websocket) {
        websocket.on('message', (data: Buffer) => {
          const { type, id, body } = JSON.parse(data.toString()) as { type: string; id: string; body: string }
          if (type !== 'message') return
          const isFirst = !tries.includes(body)
          tries.push(body)
          if (body === 'fine') websocket.send(JSON.stringify({ type: 'ack', id }))
          else if (body === 'later' && !isFirst) websocket.send(JSON.stringify({ type: 'ack', id }))
          else websocket.send(JSON.stringify({ type: 'nack', id, retry: body === 'later', reason: 'no' }))
        })
      },
    })
    const client = await relay(t, { url: server.url, acknowledge: true })
    await isUp(client)
    await assert.rejects(client.araldo.publish('app', 'never'), /refused|never|no/i)
    await client.araldo.publish('app', 'later')
    await client.araldo.publish('app', 'fine')
    assert.deepEqual(tries, ['never', 'later', 'later', 'fine'])
  })

  test('and too large for the server is refused once, and does not hold up what follows', async (t) => {
    const server = await startServer({
      t,
      maxPayload: 1_000,
      onClient(websocket) {
        websocket.on('message', (data: Buffer) => {
          const { type, id } = JSON.parse(data.toString()) as { type: string; id: string }
          if (type === 'message') websocket.send(JSON.stringify({ type: 'ack', id }))
        })
      },
    })
    const client = await relay(t, { url: server.url, acknowledge: true })
    await isUp(client)
    await assert.rejects(client.araldo.publish('app', 'x'.repeat(2_000)))
    await client.araldo.publish('app', 'small')
    assert.equal(server.clients.length, 2)
  })

  test('to a server that reads nothing is bounded by limit', async (t) => {
    const server = await startServer({ t, onClient: (websocket) => websocket.pause() })
    const client = await relay(t, { url: server.url, limit: '64KiB' }, { buffer: { messages: 10 } })
    await isUp(client)
    const link = linkOf(client)
    let count = 0
    while (link.ready && count++ < 100_000) void client.araldo.publish('app', 'x'.repeat(10_000)).catch(() => {})
    assert.equal(link.ready, false)
    assert.ok((link.gauges['unsentBytes'] ?? 0) < 64 * 1024 + 20_000)
    server.clients[0]?.websocket.resume()
    await until(() => link.ready)
  })
})

describe('the config', () => {
  const issues = async (link: object): Promise<string> => {
    const config = configOf(
      { link: { id: 'endpoint-websocket-client', ...link }, out: { id: 'endpoint-mock' } },
      { link: ['out'] },
    )
    return loadConfig(config, createRegistries()).then(
      () => 'none',
      (error: Error) => error.message,
    )
  }
  const url = 'ws://127.0.0.1/ws'
  for (const [what, link, expected] of [
    ['no address', { url: 'localhost' }, /is no address of a WebSocket server/],
    ['another protocol', { url: 'http://localhost' }, /is no address of a WebSocket server/],
    ['a fragment', { url: `${url}#a` }, /has a fragment/],
    ['TLS twice over', { url, tls: true }, /the url says no TLS/],
    ['a header that is none', { url, headers: { a: 'b\r\nc' } }, /'a' or its value is none/],
    ["the handshake's own header", { url, headers: { Upgrade: 'x' } }, /the handshake's own/],
    ['hello to another araldo', { url, acknowledge: true, hello: 'x' }, /excludes 'acknowledge'/],
    ['a session for nothing', { url, session: 'x'.repeat(16) }, /needs 'acknowledge: true'/],
    ['nothing wrong', { url, tls: false, hello: [{ a: { b: 1 } }] }, /^none$/],
  ] as [string, object, RegExp][]) {
    test(`with ${what} is looked through`, async () => assert.match(await issues(link), expected))
  }

  test('that sends back where it came from is a loop', async () => {
    const link = { id: 'endpoint-websocket-client', url }
    const config = configOf({ one: link, two: link }, { one: ['two'], two: ['one'] })
    await assert.rejects(loadConfig(config, createRegistries()), /loop/)
  })
})
