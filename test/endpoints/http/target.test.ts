/** Messages that are sent to a URL: what of them arrives, and what each answer means. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createSecureServer } from 'node:https'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { outcomeOf } from '../../../lib/endpoints/http/outcome.ts'
import { parseRetryAfter } from '../../../lib/endpoints/http/retry-after.ts'
import { json } from '../../../lib/marshallers/json.ts'
import { Message } from '../../../lib/message.ts'
import { makeCertificate } from '../../support/certificate.ts'
import { freePort } from '../../support/port.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { startReceiver, startTarget, type Target } from './support.ts'

describe('a message', () => {
  test('is a request with its payload, its attributes and the headers of the config', async (t) => {
    const receiver = await startReceiver(t)
    const { send } = await startTarget(t, `${receiver.url}?a=b#c`, {
      method: 'PUT',
      headers: { Authorization: 'Bearer secret', 'x-static': 'ä' },
      'forward-headers': ['x-*', 'traceparent'],
    })
    const headers = { 'x-one': 'grün', 'X-Static': 'no', traceparent: 't', other: 'no', host: 'no', 'x-empty': '' }
    assert.equal(await send({ id: 7 }, { id: 'i', key: 'schlüssel', time: 5, headers }), null)
    const [request] = receiver.received
    assert.deepEqual([request?.method, request?.url, request?.body.toString()], ['PUT', '/hook?a=b', '{"id":7}'])
    const field = (text: string): string => Buffer.from(text).toString('latin1')
    const expected = {
      authorization: 'Bearer secret',
      'content-type': 'application/json',
      'content-length': '8',
      'araldo-id': 'i',
      'idempotency-key': 'i',
      'araldo-key': field('schlüssel'),
      'araldo-time': '5',
      'x-one': field('grün'),
      'x-static': field('ä'),
      'x-empty': '',
      traceparent: 't',
      other: undefined,
      host: `127.0.0.1:${receiver.port}`,
    }
    for (const [name, value] of Object.entries(expected)) assert.equal(request?.headers[name], value, name)
  })

  test('with headers that HTTP cannot carry is refused for good, and nothing is sent', async (t) => {
    const receiver = await startReceiver(t)
    const { send } = await startTarget(t, receiver.url, { 'forward-headers': ['*'] })
    const bad: Record<string, string>[] = [
      { 'x-a': 'a\r\nx-b: b' },
      { 'x-a': 'a\nb' },
      { 'x-a': 'a\0' },
      { 'x-a': ' a' },
      { 'x-a': 'a\t' },
      { 'x a': 'a' },
      { 'x:a': 'a' },
      { '': 'a' },
      { grün: 'a' },
      { 'x-a': '1', 'X-A': '2' },
      { 'x-a': 'x'.repeat(16 * 1024) },
    ]
    for (const headers of bad) {
      const error = await send(1, { headers })
      assert.deepEqual([error?.code, error?.retryable], ['ARALDO_ERR_HEADER_INVALID', false], JSON.stringify(headers))
    }
    assert.equal((await send(1, { id: 'a\r\nb' }))?.code, 'ARALDO_ERR_HEADER_INVALID')
    assert.equal((await send(1, { key: 'a\nb' }))?.code, 'ARALDO_ERR_HEADER_INVALID')
    assert.equal(receiver.received.length, 0)
  })
})

describe('an answer', () => {
  test('of each status means delivered, for now, or for good', () => {
    const url = new URL('https://x.example/secret')
    const means = (status: number): boolean | null => {
      const { error } = outcomeOf('out', status, {}, url)
      return error === null ? null : (error as Error & { retryable: boolean }).retryable
    }
    for (const status of [200, 201, 202, 204, 299]) assert.equal(means(status), null, String(status))
    for (const status of [408, 425, 429, 500, 501, 502, 503, 504, 599])
      assert.equal(means(status), true, String(status))
    for (const status of [300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 409, 410, 413, 415, 422, 451]) {
      assert.equal(means(status), false, String(status))
    }
  })

  test('settles the message, by its status', async (t) => {
    const receiver = await startReceiver(t, ({ body }, response) => {
      response.writeHead(Number(body.toString()), { location: 'https://elsewhere.example/token?x' }).end('answer')
    })
    const { send, endpoint } = await startTarget(t, receiver.url)
    assert.equal(await send(200), null)
    assert.deepEqual(
      [(await send(503))?.code, (await send(404))?.code],
      ['ARALDO_ERR_SEND_FAILED', 'ARALDO_ERR_RECEIVER_REFUSED'],
    )
    const redirected = await send(302)
    assert.deepEqual([redirected?.code, redirected?.retryable], ['ARALDO_ERR_RECEIVER_REFUSED', false])
    assert.match(
      redirected?.message ?? '',
      /302, a redirect to https:\/\/elsewhere\.example: redirects are not followed/,
    )
    assert.equal(receiver.received.length, 4)
    assert.equal(endpoint.counters['refused'], 3)
    assert.ok(receiver.connections <= 2, 'connections are kept')
  })

  test('with a long body costs its connection, and nothing else', async (t) => {
    const receiver = await startReceiver(t, (_, response) => void response.end(Buffer.alloc(4 * 1024 * 1024)))
    const { send, endpoint } = await startTarget(t, receiver.url, { connections: 1 })
    assert.equal(await send(1), null)
    await until(() => endpoint.ready)
    assert.equal(await send(2), null)
    await until(() => endpoint.gauges['inFlight'] === 0)
    assert.ok(receiver.connections > 1, `${receiver.connections} connections`)
  })

  test('that never ends costs no more than timeout', async (t) => {
    const receiver = await startReceiver(t, (_, response) => void response.writeHead(200).write('x'))
    const { send, endpoint } = await startTarget(t, receiver.url, { timeout: 50, connections: 1 })
    assert.equal(await send(1), null)
    await until(() => endpoint.gauges['inFlight'] === 0 && endpoint.ready)
  })

  test('that does not come: the receiver has the message, or has not', async (t) => {
    const receiver = await startReceiver(t, () => {})
    const { send, endpoint } = await startTarget(t, receiver.url, { timeout: 50 })
    const error = await send(1)
    assert.deepEqual([error?.code, error?.retryable], ['ARALDO_ERR_UNANSWERED', true])
    assert.equal((error as unknown as { dropReason: string }).dropReason, 'down')
    assert.equal(endpoint.counters['unanswered'], 1)
    const rude = await startReceiver(t, (_, response) => response.destroy())
    assert.equal((await (await startTarget(t, rude.url)).send(1))?.code, 'ARALDO_ERR_UNANSWERED')
  })

  test('that is none of HTTP, or an interim one first', async (t) => {
    const answers = [
      'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
      'what?\r\n\r\n',
      'HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    ]
    const server = createServer((socket) =>
      socket.on('error', () => {}).once('data', () => socket.write(answers.shift() ?? '')),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const { send, endpoint } = await startTarget(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
      connections: 1,
      timeout: 1_000,
    })
    assert.equal(await send(1), null)
    await until(() => endpoint.ready)
    await endpoint.stop()
    for (const _ of [1, 2]) {
      const other = await startTarget(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
      assert.equal((await other.send(1))?.code, 'ARALDO_ERR_UNANSWERED')
      await other.endpoint.stop()
    }
  })
})

describe('a receiver that is not there', () => {
  test('is found out with each message; the endpoint stays up', async (t) => {
    const { send, endpoint } = await startTarget(t, `http://127.0.0.1:${await freePort()}/`)
    const error = await send(1)
    assert.deepEqual([error?.code, error?.retryable], ['ARALDO_ERR_SEND_FAILED', true])
    assert.equal(endpoint.state, 'up')
  })

  test('by its name, when that leads to this machine: refused when it connects', async (t) => {
    const receiver = await startReceiver(t)
    const url = `http://localhost:${receiver.port}/`
    const refused = await (await startTarget(t, url, { 'allow-private': false })).send(1)
    assert.equal(refused?.code, 'ARALDO_ERR_SEND_FAILED')
    assert.match(refused?.message ?? '', /which is not public: name it in 'allow-private'/)
    assert.equal(receiver.connections, 0)
    assert.equal(await (await startTarget(t, url, { 'allow-private': true })).send(1), null)
  })
})

/** Sends so many, each from the end of the one before, by the only connection that there is. */
function sendInTurn({ endpoint }: Target, count: number): Promise<(string | undefined)[]> {
  return new Promise((resolve) => {
    const codes: (string | undefined)[] = []
    const send = (): void => {
      const message = new Message({ source: 'test', marshaller: json, body: codes.length })
      endpoint.send(message, (error) => {
        codes.push((error as { code?: string } | null)?.code)
        if (codes.length === count) resolve(codes)
        else send()
      })
    }
    send()
  })
}

describe('a message that is sent from the end of another', () => {
  test('is tried for itself, where nobody is there', async (t) => {
    const target = await startTarget(t, `http://127.0.0.1:${await freePort()}/`, { connections: 1 })
    assert.deepEqual(
      await sendInTurn(target, 5),
      Array.from({ length: 5 }, () => 'ARALDO_ERR_SEND_FAILED'),
    )
  })

  test('is tried for itself, where the certificate is of another name', { skip: need('openssl') }, async (t) => {
    const { ca, caFile, certFile, keyFile } = await makeCertificate()
    const server = createSecureServer({ cert: readFileSync(certFile), key: readFileSync(keyFile), ca })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const tls = { ca: caFile, servername: 'another.example' }
    const target = await startTarget(t, url, { connections: 1, tls })
    assert.deepEqual(
      await sendInTurn(target, 5),
      Array.from({ length: 5 }, () => 'ARALDO_ERR_SEND_FAILED'),
    )
  })

  test('has another connection, where that one was reset behind the answer', async (t) => {
    const receiver = await startReceiver(t, (_, response) => {
      const socket = response.socket as Socket
      response.writeHead(204).end(() => socket.resetAndDestroy())
    })
    const target = await startTarget(t, receiver.url, { connections: 1 })
    // Some are told that their answer was lost: they were written before the reset came.
    for (const code of await sendInTurn(target, 20))
      assert.ok(code === undefined || code === 'ARALDO_ERR_UNANSWERED', code)
    assert.ok(receiver.connections > 1, `${receiver.connections} connections`)
  })

  test('goes by the same connection, where it holds', async (t) => {
    const receiver = await startReceiver(t)
    const target = await startTarget(t, receiver.url)
    assert.deepEqual(
      await sendInTurn(target, 20),
      Array.from({ length: 20 }, () => undefined),
    )
    assert.deepEqual([receiver.connections, receiver.received.length], [1, 20])
  })
})

describe('Retry-After', () => {
  test('is read as seconds and as a date', () => {
    const now = Date.UTC(2026, 0, 1)
    assert.equal(parseRetryAfter('120', now), 120_000)
    assert.equal(parseRetryAfter(' 0 ', now), 0)
    assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now), 30_000)
    assert.equal(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now), 0)
    for (const value of ['', '-1', '1.5', 'soon', '2026-01-01', '99999999999', undefined, ['1']]) {
      assert.equal(parseRetryAfter(value, now), undefined, String(value))
    }
  })

  for (const form of ['seconds', 'a date'] as const) {
    test(`in ${form} holds everything back until then`, async (t) => {
      const value = form === 'seconds' ? '600' : new Date(Date.now() + 600_000).toUTCString()
      let isBusy = true
      const receiver = await startReceiver(t, (_, response) => {
        if (isBusy) response.writeHead(429, { 'retry-after': value }).end()
        else response.writeHead(204).end()
        isBusy = false
      })
      const { send, endpoint } = await startTarget(t, receiver.url, { 'max-retry-after': 300 })
      assert.equal((await send(1))?.code, 'ARALDO_ERR_SEND_FAILED')
      await until(() => !endpoint.ready)
      assert.equal((await send(2))?.code, 'ARALDO_ERR_OVERFLOW')
      assert.equal(receiver.received.length, 1)
      await until(() => endpoint.ready)
      assert.equal(await send(3), null)
      assert.equal(endpoint.counters['pauses'], 1)
    })
  }
})

describe('connections', () => {
  test('as many as there may be have a request each; the endpoint takes no more until one is free', async (t) => {
    const answers: (() => void)[] = []
    const receiver = await startReceiver(t, (_, response) => answers.push(() => response.writeHead(204).end()))
    const { send, endpoint } = await startTarget(t, receiver.url, { connections: 3 })
    const sent = [send(1), send(2), send(3)]
    assert.equal(endpoint.ready, false)
    assert.equal((await send(4))?.code, 'ARALDO_ERR_OVERFLOW')
    await until(() => answers.length === 3)
    assert.equal(receiver.connections, 3)
    answers[0]?.()
    await Promise.any(sent)
    await until(() => endpoint.ready)
    for (const answer of answers.slice(1)) answer()
    assert.deepEqual(await Promise.all(sent), [null, null, null])
  })

  test('of one endpoint are not those of another: a slow receiver holds up its own', async (t) => {
    const slow = await startReceiver(t, () => {})
    const quick = await startReceiver(t)
    const [one, other] = [
      await startTarget(t, slow.url, { connections: 1 }),
      await startTarget(t, quick.url, { connections: 1 }),
    ]
    const stuck = one.send(1)
    await until(() => slow.received.length === 1)
    for (let number = 0; number < 20; number++) {
      await until(() => other.endpoint.ready)
      assert.equal(await other.send(number), null)
    }
    await one.endpoint.stop()
    assert.equal((await stuck)?.code, 'ARALDO_ERR_CONNECTION_LOST')
  })
})

describe('TLS', { skip: need('openssl') }, () => {
  test('with an authority of the config and a certificate of the client', async (t) => {
    const { ca, caFile, certFile, keyFile } = await makeCertificate()
    const files = { cert: readFileSync(certFile), key: readFileSync(keyFile), ca }
    const server = createSecureServer({ ...files, requestCert: true, rejectUnauthorized: true }, (_, response) => {
      response.writeHead(204).end()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const tls = { ca: caFile, cert: certFile, key: keyFile }
    assert.equal(await (await startTarget(t, url, { tls })).send(1), null)
    assert.notEqual(await (await startTarget(t, url, { tls: { ca: caFile } })).send(1), null)
    const distrustful = await (await startTarget(t, url)).send(1)
    assert.equal(distrustful?.code, 'ARALDO_ERR_SEND_FAILED')
  })
})
