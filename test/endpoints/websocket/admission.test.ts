/** Who may connect: origins, the number of connections, the host's hooks; all decided before the upgrade. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { preValidationAsyncHookHandler } from 'fastify'
import { isOrigin } from '../../../lib/endpoints/websocket/admission.ts'
import { decodePath } from '../../../lib/endpoints/websocket/handshake.ts'
import { endpointWebSocket, type WebSocketOptions } from '../../../lib/endpoints/websocket/index.ts'
import { connect, type ConnectOptions, UpgradeRefused } from '../../support/client.ts'
import { recordingLog } from '../../support/core.ts'
import { startEndpoint } from '../../support/endpoint.ts'
import { until } from '../../support/wait.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw } from './raw.ts'

/** 101, or the status of the answer; with its parsed body. */
async function attempt(url: string, options: ConnectOptions): Promise<{ status: number; code?: string }> {
  try {
    const client = await connect(url, options)
    client.terminate()
    return { status: 101 }
  } catch (error) {
    if (!(error instanceof UpgradeRefused)) throw error
    return { status: error.statusCode, code: (JSON.parse(error.body) as { code: string }).code }
  }
}

const ORIGIN_REFUSED = { status: 403, code: 'ARALDO_ERR_ORIGIN_REFUSED' }
const FULL = { status: 503, code: 'ARALDO_ERR_ENDPOINT_FULL' }

describe('origins', () => {
  const own: [origin: string, host: string, admitted: boolean][] = [
    ['http://localhost:54321', 'localhost:54321', true],
    ['https://app.example.com', 'app.example.com', true],
    ['https://app.example.com', 'app.example.com:443', true],
    ['http://app.example.com', 'app.example.com:80', true],
    ['https://APP.example.com', 'app.EXAMPLE.com', true],
    ['http://[::1]:8080', '[::1]:8080', true],
    ['http://localhost:54321', 'localhost:54322', false],
    ['https://evil.example', 'app.example.com', false],
    ['https://app.example.com.evil.example', 'app.example.com', false],
    ['https://app.example.com@evil.example', 'app.example.com', false],
    ['https://app.example.com, https://evil.example', 'app.example.com', false],
    ['null', 'app.example.com', false],
    ['', 'app.example.com', false],
    ['file://', 'app.example.com', false],
    ['chrome-extension://app.example.com', 'app.example.com', false],
  ]
  for (const [origin, host, admitted] of own) {
    test(`a page of '${origin}' is ${admitted ? 'admitted' : 'refused'} at ${host}`, async (t) => {
      const server = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
      const answer = await attempt(`ws://${server.host}/ws`, { t, headers: { origin, host } })
      assert.deepEqual(answer, admitted ? { status: 101 } : ORIGIN_REFUSED)
      assert.equal(server.endpoint.counters.refusedOrigin, admitted ? 0 : 1)
    })
  }

  test('a request without an origin is no browser, and passes', async (t) => {
    const options: WebSocketOptions = { ...DEFAULTS, origins: ['https://app.example.com'] }
    const { host } = await startEndpoint(endpointWebSocket, options, { t })
    assert.deepEqual(await attempt(`ws://${host}/ws`, { t }), { status: 101 })
  })

  test('with a list only its entries pass, whatever the host', async (t) => {
    const origins = ['https://app.example.com', 'http://localhost:3000', 'capacitor://localhost', 'null']
    const { host } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, origins }, { t })
    for (const origin of origins) {
      assert.deepEqual(await attempt(`ws://${host}/ws`, { t, headers: { origin } }), { status: 101 }, origin)
    }
    for (const origin of [
      `http://${host}`,
      'http://app.example.com',
      'https://app.example.com:8443',
      'http://localhost',
    ]) {
      assert.deepEqual(await attempt(`ws://${host}/ws`, { t, headers: { origin } }), ORIGIN_REFUSED, origin)
    }
  })

  test('with * every page passes', async (t) => {
    const { host } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, origins: ['*'] }, { t })
    for (const origin of ['https://anything.example', 'null', 'nonsense']) {
      assert.deepEqual(await attempt(`ws://${host}/ws`, { t, headers: { origin } }), { status: 101 })
    }
  })

  test('what is no origin is an error of the config', () => {
    for (const origin of ['*', 'null', 'https://a.example', 'http://a:1', 'capacitor://localhost']) {
      assert.ok(isOrigin(origin), origin)
    }
    for (const origin of ['', 'a.example', 'https://', 'https://a.example/', 'https://a.example/path', 'https://a b']) {
      assert.ok(!isOrigin(origin), origin)
      const issues = [...(endpointWebSocket.check?.({ ...DEFAULTS, origins: [origin] }) ?? [])]
      assert.equal(issues[0]?.path, 'origins')
    }
  })
})

describe('max-connections', () => {
  test('one more is refused with 503, and admitted when one has gone', async (t) => {
    const { host, endpoint } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, 'max-connections': 2 }, { t })
    const first = await connect(`ws://${host}/ws`, { t })
    await connect(`ws://${host}/ws`, { t })
    assert.deepEqual(await attempt(`ws://${host}/ws`, { t }), FULL)
    assert.equal(endpoint.counters.refusedFull, 1)
    await first.close()
    await until(() => endpoint.gauges.connections === 1)
    assert.deepEqual(await attempt(`ws://${host}/ws`, { t }), { status: 101 })
  })

  test('a crowd that waits in an asynchronous hook does not get past it', async (t) => {
    const options = { ...DEFAULTS, 'max-connections': 3 }
    let arrived = 0
    let open: (() => void) | undefined
    const all = new Promise<void>((resolve) => (open = resolve))
    const hold = async (): Promise<void> => {
      if (++arrived === 10) open?.()
      await all
    }
    const { host, endpoint } = await startEndpoint(endpointWebSocket, options, { t, hooks: { preValidation: hold } })
    const crowd = Array.from({ length: 10 }, () => connect(`ws://${host}/ws`, { t }))
    const answers = await Promise.allSettled(crowd)
    assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 3)
    assert.equal(endpoint.gauges.connections, 3)
    assert.equal(endpoint.counters.refusedFull, 7)
  })
})

describe("the host's hooks", () => {
  test('run in their order, and an answer of theirs is what the client gets', async (t) => {
    const seen: string[] = []
    const refuse: preValidationAsyncHookHandler = async (request, reply) => {
      seen.push('preValidation')
      if ((request.query as { token?: string }).token !== 'good') {
        return reply.code(401).send({ code: 'UNAUTHORIZED' })
      }
      return undefined
    }
    const note = (name: string) => async (): Promise<void> => {
      seen.push(name)
    }
    const hooks = {
      onRequest: [note('onRequest 1'), note('onRequest 2')],
      preValidation: refuse,
      preHandler: note('preHandler'),
    }
    const { host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, hooks })
    assert.deepEqual(await attempt(`ws://${host}/ws`, { t }), { status: 401, code: 'UNAUTHORIZED' })
    assert.deepEqual(seen.splice(0), ['onRequest 1', 'onRequest 2', 'preValidation'])
    assert.deepEqual(await attempt(`ws://${host}/ws?token=good`, { t }), { status: 101 })
    assert.deepEqual(seen, ['onRequest 1', 'onRequest 2', 'preValidation', 'preHandler'])
  })

  test('a hook that throws refuses the upgrade', async (t) => {
    const hooks = {
      preHandler: async (): Promise<void> => {
        throw Object.assign(new Error('no'), { statusCode: 403, code: 'NO' })
      },
    }
    const { host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, hooks })
    assert.deepEqual(await attempt(`ws://${host}/ws`, { t }), { status: 403, code: 'NO' })
  })

  test('do not run for a page that may not connect', async (t) => {
    let asked = 0
    const hooks = {
      onRequest: async (): Promise<void> => {
        asked++
      },
    }
    const { host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, hooks })
    assert.deepEqual(
      await attempt(`ws://${host}/ws`, { t, headers: { origin: 'http://evil.example' } }),
      ORIGIN_REFUSED,
    )
    assert.equal(asked, 0)
  })

  test('a client that leaves while a hook runs leaves nothing behind', async (t) => {
    let arrived: (() => void) | undefined
    const inHook = new Promise<void>((resolve) => (arrived = resolve))
    let release: (() => void) | undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    const hooks = {
      preHandler: async (): Promise<void> => {
        arrived?.()
        await held
      },
    }
    const { host, endpoint } = await startEndpoint(endpointWebSocket, DEFAULTS, { t, hooks })
    const leaver = connectRaw(`ws://${host}/ws`, { t, onSocket: (socket) => void inHook.then(() => socket.destroy()) })
    await assert.rejects(leaver)
    release?.()
    const next = await connect(`ws://${host}/ws`, { t })
    await next.roundTrip()
    assert.equal(endpoint.gauges.connections, 1)
  })
})

describe('what is no upgrade', () => {
  test('is answered with 426 and says what to do', async (t) => {
    const { app } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    const answer = await app.inject('/ws')
    assert.equal(answer.statusCode, 426)
    assert.match(answer.json<{ message: string }>().message, /connect with ws:\/\/ or wss:\/\//)
  })

  test('an upgrade to another path is answered with 404', async (t) => {
    const { host } = await startEndpoint(endpointWebSocket, DEFAULTS, { t })
    await assert.rejects(
      connect(`ws://${host}/nowhere`, { t }),
      (error) => error instanceof UpgradeRefused && error.statusCode === 404,
    )
  })

  test('refusals fill no error log', async (t) => {
    const { log, lines } = recordingLog()
    const { host } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, 'max-connections': 1 }, { t, log })
    await connect(`ws://${host}/ws`, { t })
    await attempt(`ws://${host}/ws`, { t })
    await attempt(`ws://${host}/ws`, { t, headers: { origin: 'http://evil.example' } })
    assert.deepEqual(
      lines.filter(({ level }) => level >= 40),
      [],
    )
  })
})

test('a path with an encoded slash is refused: two paths must not become one', async (t) => {
  const { host } = await startEndpoint(endpointWebSocket, { ...DEFAULTS, path: '/rooms/:room' }, { t })
  const answer = await attempt(`ws://${host}/rooms/a%2Fb`, { t })
  assert.deepEqual(answer, { status: 400, code: 'ARALDO_ERR_PATH_REFUSED' })
})

test('paths are decoded part by part', () => {
  assert.equal(decodePath('/a/b?c=%'), '/a/b')
  assert.equal(decodePath('/a#%2F'), '/a')
  assert.equal(decodePath('/a%20b/%C3%A4/%40'), '/a b/ä/@')
  assert.equal(decodePath('/a%252Fb'), '/a%2Fb')
  assert.equal(decodePath('/a%2fb'), undefined)
  assert.equal(decodePath('/%'), undefined)
  assert.equal(decodePath('/%ff'), undefined)
})
