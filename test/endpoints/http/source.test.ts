/** What requests are answered with, and what becomes of them in the relay. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import Fastify from 'fastify'
import { errors } from '../../../lib/errors.ts'
import { json } from '../../../lib/marshallers/json.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { text } from '../../../lib/marshallers/text.ts'
import { runOrThrow } from '../../support/process.ts'
import { find, need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { post, startSource } from './support.ts'

const RETRY_AFTER = /^[123]$/

describe('a request', () => {
  test('is answered with 200 when its message is settled, and not before', async (t) => {
    const { url, incoming } = await startSource(t, {}, { onIncoming: () => {} })
    let isAnswered = false
    const answered = post(url, '{"id":7}').then((answer) => {
      isAnswered = true
      return answer
    })
    await until(() => incoming.length === 1)
    assert.equal(isAnswered, false)
    incoming[0]?.settle?.(null)
    const { status, body } = await answered
    assert.equal(status, 200)
    assert.deepEqual(body, { id: incoming[0]?.message.id })
    assert.deepEqual(incoming[0]?.message.body, { id: 7 })
  })

  test('is answered with 202 at once where nobody waits for the settlement', async (t) => {
    const { url, incoming } = await startSource(t, { acknowledge: 'accepted' }, { onIncoming: () => {} })
    const { status, body } = await post(url, '1')
    assert.equal(status, 202)
    assert.equal(incoming[0]?.settle, undefined)
    assert.deepEqual(body, { id: incoming[0]?.message.id })
  })

  test('says id, key, time, trace and chosen headers of its message', async (t) => {
    const { url, incoming } = await startSource(t, { 'forward-headers': ['traceparent', 'x-*', '*'] })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const headers = {
      'araldo-id': 'a',
      'idempotency-key': 'b',
      'araldo-key': Buffer.from('schlüssel').toString('latin1'),
      'araldo-time': '1700000000000',
      'x-one': '1',
      authorization: 'Bearer secret',
      cookie: 'session=1',
      traceparent,
    }
    await post(`${url}?q=1`, '1', { method: 'PUT', headers })
    const message = incoming[0]?.message
    assert.equal(message?.id, 'a')
    assert.equal(message?.key, 'schlüssel')
    assert.equal(message?.time, 1_700_000_000_000)
    assert.equal(message?.topic, '/in')
    const expected = { 'x-one': '1', traceparent, 'content-type': 'application/json' }
    for (const [name, value] of Object.entries(expected)) assert.equal(message?.headers[name], value)
    for (const name of ['authorization', 'cookie', 'host', 'content-length', 'araldo-id', 'idempotency-key']) {
      assert.equal(message?.headers[name], undefined, name)
    }
  })

  test('gives an authorization to the message only where it is named', async (t) => {
    const { url, incoming } = await startSource(t, { 'forward-headers': ['Authorization'] })
    await post(url, '1', { headers: { authorization: 'Basic x' } })
    assert.equal(incoming[0]?.message.headers['authorization'], 'Basic x')
  })

  test('has its Idempotency-Key for an id, quoted or not, and no time of the future', async (t) => {
    const { url, incoming } = await startSource(t)
    await post(url, '1', { headers: { 'idempotency-key': 'order-7' } })
    await post(url, '1', { headers: { 'idempotency-key': '"order \\"8\\""', 'araldo-time': '9999999999999' } })
    assert.deepEqual(
      incoming.map(({ message }) => message.id),
      ['order-7', 'order "8"'],
    )
    assert.ok((incoming[1]?.message.time ?? Infinity) <= Date.now())
  })

  test("has its path for a topic, and the path's parameters for headers", async (t) => {
    const { app, incoming, url } = await startSource(t, { path: '/hooks/:name' }, { prefix: '/relay' })
    const base = url.replace('/hooks/:name', '')
    assert.equal((await post(`${base}/relay/hooks/gr%C3%BCn`, '1')).status, 200)
    assert.equal(incoming[0]?.message.topic, '/hooks/grün')
    assert.equal(incoming[0]?.message.headers['param_name'], 'grün')
    const { status, body } = await post(`${base}/relay/hooks/a%2Fb`, '1')
    assert.deepEqual([status, body['code']], [400, 'ARALDO_ERR_PATH_REFUSED'])
    assert.equal((await app.inject({ method: 'GET', url: '/relay/hooks/a' })).statusCode, 404)
  })

  test('is refused with an id or a key that is too long', async (t) => {
    const { url, incoming } = await startSource(t)
    for (const headers of [{ 'araldo-id': 'x'.repeat(257) }, { 'araldo-key': 'x'.repeat(1_025) }]) {
      const { status, body } = await post(url, '1', { headers: headers as unknown as Record<string, string> })
      assert.deepEqual([status, body['code']], [400, 'ARALDO_ERR_REQUEST_INVALID'])
    }
    assert.equal(incoming.length, 0)
    assert.equal((await post(url, '1', { headers: { 'araldo-id': 'x'.repeat(256) } })).status, 200)
  })

  test('is answered with 422 where its body is not of the format, and where a target refused it for good', async (t) => {
    const { url, incoming, endpoint } = await startSource(
      t,
      {},
      {
        onIncoming: ({ settle }) => {
          const cause = new errors.TOPIC_INVALID('secret-target', 'a secret')
          settle?.(new errors.UNDELIVERABLE('id', 'in', 'a secret', { cause }))
        },
      },
    )
    for (const body of ['{"half":', '', '[', '{"__proto__":1}', Buffer.from([0xff, 0xfe])]) {
      const answer = await post(url, body)
      assert.deepEqual([answer.status, answer.body['code']], [422, 'ARALDO_ERR_UNDECODABLE'])
      assert.equal(typeof answer.body['reason'], 'string')
    }
    assert.equal(endpoint.counters.decodeErrors, 5)
    assert.equal(incoming.length, 0)
    const { status, body, headers } = await post(url, '1')
    assert.deepEqual([status, body['code']], [422, 'ARALDO_ERR_TOPIC_INVALID'])
    assert.equal(headers['retry-after'], undefined)
    assert.doesNotMatch(JSON.stringify(body), /secret/)
  })

  test('is answered with 503 where a target refused it for now', async (t) => {
    const onIncoming = ({ settle }: { settle: ((error: Error | null) => void) | undefined }): void =>
      settle?.(new errors.UNDELIVERED('id', 'in', 'why', { cause: new errors.OVERFLOW('secret', 7) }))
    const { url } = await startSource(t, {}, { onIncoming })
    const { status, body, headers } = await post(url, '1')
    assert.deepEqual([status, body['code']], [503, 'ARALDO_ERR_OVERFLOW'])
    assert.match(String(headers['retry-after']), RETRY_AFTER)
    assert.doesNotMatch(JSON.stringify(body), /secret/)
  })

  test('is answered with 504 where nothing settles it in time, and a settlement after that does no harm', async (t) => {
    const { url, incoming, endpoint } = await startSource(t, { 'settle-timeout': 20 }, { onIncoming: () => {} })
    const { status, body, headers } = await post(url, '1')
    assert.deepEqual([status, body['code']], [504, 'ARALDO_ERR_UNSETTLED'])
    assert.match(String(headers['retry-after']), RETRY_AFTER)
    incoming[0]?.settle?.(null)
    assert.equal(endpoint.counters['unsettled'], 1)
  })
})

describe('a content type', () => {
  const statusOf = async (url: string, type: string): Promise<number> => (await post(url, '1', { type })).status

  test("is the marshaller's own, with parameters; others are answered with 415 and what is taken", async (t) => {
    const { url } = await startSource(t)
    const taken = ['application/json', 'Application/JSON; charset=UTF-8', 'application/json;charset="utf-8"', '']
    for (const type of [...taken, 'application/cloudevents+json', 'application/vnd.x.y+json; a=b']) {
      assert.equal(await statusOf(url, type), 200, type)
    }
    for (const type of ['text/plain', 'application/xml', 'application/json; charset=utf-16', 'json', 'a/b/c', '*/*']) {
      const { status, body } = await post(url, '1', { type })
      assert.equal(status, 415, type)
      if (body['code'] === 'ARALDO_ERR_MEDIA_TYPE_REFUSED') {
        assert.match(String(body['message']), /application\/json, application\/\*\+json, application\/x-ndjson/)
      }
    }
  })

  test('is any for bytes, and text/plain for text', async (t) => {
    const bytes = await startSource(t, {}, { marshaller: raw })
    for (const type of ['image/png', 'application/x-ndjson', '']) assert.equal(await statusOf(bytes.url, type), 200)
    assert.equal(bytes.incoming[1]?.message.payload.toString(), '1')
    assert.equal(bytes.incoming[0]?.message.headers['content-type'], 'image/png')
    const words = await startSource(t, {}, { marshaller: text })
    assert.equal(await statusOf(words.url, 'text/plain'), 200)
    assert.equal(await statusOf(words.url, 'application/json'), 415)
  })

  test('with a coding is refused: nothing is decompressed here', async (t) => {
    const { url, incoming } = await startSource(t)
    const { status } = await post(url, '1', { headers: { 'content-encoding': 'gzip' } })
    assert.equal(status, 415)
    assert.equal(incoming.length, 0)
  })
})

describe('bounds', () => {
  test('a body of max-payload is taken; a longer one is answered with 413, whether or not it says so', async (t) => {
    const { url, incoming, endpoint } = await startSource(t, { 'max-payload': 100 }, { marshaller: raw })
    assert.equal((await post(url, 'x'.repeat(100))).status, 200)
    const declared = await post(url, 'x'.repeat(101))
    assert.deepEqual([declared.status, declared.body['code']], [413, 'ARALDO_ERR_TOO_LARGE'])
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write('POST /in HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n65\r\n' + 'x'.repeat(101))
    const [answer] = (await once(socket, 'data')) as [Buffer]
    assert.match(answer.toString(), /^HTTP\/1.1 413 /)
    socket.destroy()
    assert.equal(incoming.length, 1)
    await until(() => endpoint.gauges['requests'] === 0 && endpoint.gauges['requestBytes'] === 0)
  })

  test('max-requests are in hand at one time; further ones are answered with 503', async (t) => {
    const { url, incoming } = await startSource(t, { 'max-requests': 2 }, { onIncoming: () => {} })
    const first = [post(url, '1'), post(url, '2')]
    await until(() => incoming.length === 2)
    const { status, body, headers } = await post(url, '3')
    assert.deepEqual([status, body['code']], [503, 'ARALDO_ERR_SOURCE_BUSY'])
    assert.match(String(headers['retry-after']), RETRY_AFTER)
    for (const { settle } of incoming) settle?.(null)
    await Promise.all(first)
    const fourth = post(url, '4')
    await until(() => incoming.length === 3)
    incoming[2]?.settle?.(null)
    assert.equal((await fourth).status, 200)
  })

  test('max-bytes of bodies are in hand at one time', async (t) => {
    const { url, incoming, endpoint } = await startSource(
      t,
      { 'max-bytes': 100 },
      { onIncoming: () => {}, marshaller: raw },
    )
    const first = post(url, 'x'.repeat(60))
    await until(() => incoming.length === 1)
    assert.equal(endpoint.gauges['requestBytes'], 60)
    assert.equal((await post(url, 'x'.repeat(60))).status, 503)
    incoming[0]?.settle?.(null)
    assert.equal((await first).status, 200)
    await until(() => endpoint.gauges['requestBytes'] === 0)
  })

  test('a client that goes away frees its place; what it sent goes on', async (t) => {
    const { url, incoming, endpoint } = await startSource(t, { 'max-requests': 1 }, { onIncoming: () => {} })
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write('POST /in HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1')
    await until(() => incoming.length === 1)
    socket.destroy()
    await until(() => endpoint.gauges['requests'] === 0)
    assert.equal(endpoint.counters['abandoned'], 1)
    incoming[0]?.settle?.(null)
    const half = connect(Number(port), hostname)
    half.write('POST /in HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n1')
    await until(() => endpoint.gauges['requestBytes'] === 1)
    half.destroy()
    await until(() => endpoint.gauges['requests'] === 0)
    assert.equal(incoming.length, 1)
  })
})

describe('the state of the relay', () => {
  test('suspended means 503 with Retry-After, until it goes on', async (t) => {
    const { url, endpoint, incoming } = await startSource(t)
    endpoint.hold()
    const { status, headers, body } = await post(url, '1')
    assert.deepEqual([status, body['code']], [503, 'ARALDO_ERR_SOURCE_BUSY'])
    assert.match(String(headers['retry-after']), RETRY_AFTER)
    assert.equal(incoming.length, 0)
    endpoint.release()
    assert.equal((await post(url, '1')).status, 200)
  })

  test('not started, without a route, and ending mean 503', async (t) => {
    const { url, endpoint } = await startSource(t, {}, { started: false })
    assert.deepEqual((await post(url, '1')).body['code'], 'ARALDO_ERR_ENDPOINT_DOWN')
    endpoint.start()
    await endpoint.whenUp(5_000)
    endpoint.bind(undefined)
    assert.deepEqual((await post(url, '1')).status, 503)
    await endpoint.pause()
    const { status, headers, body } = await post(url, '1')
    assert.deepEqual([status, body['code'], headers['connection']], [503, 'ARALDO_ERR_CLOSING', 'close'])
  })

  test('what waits at the end is answered', async (t) => {
    const { url, endpoint, incoming } = await startSource(t, {}, { onIncoming: () => {} })
    const answered = post(url, '1')
    await until(() => incoming.length === 1)
    await endpoint.pause()
    await endpoint.stop()
    assert.deepEqual((await answered).body['code'], 'ARALDO_ERR_CLOSING')
  })
})

describe("the application's hooks", () => {
  test('run before the body is read, and refuse', async (t) => {
    const app = Fastify()
    const hooks = {
      onRequest: async (request: { headers: Record<string, unknown> }) => {
        if (request.headers['authorization'] !== 'yes') throw Object.assign(new Error('who?'), { statusCode: 401 })
      },
    }
    const { url, incoming } = await startSource(t, {}, { app, hooks, marshaller: json })
    assert.equal((await post(url, '1')).status, 401)
    assert.equal(incoming.length, 0)
    assert.equal((await post(url, '1', { headers: { authorization: 'yes' } })).status, 200)
  })
})

describe('curl', { skip: need('curl') }, () => {
  test('posts, with Expect: 100-continue for what is large, and a batch', async (t) => {
    const { url, incoming } = await startSource(t)
    const curl = (...args: string[]): Promise<string> =>
      runOrThrow(find('curl'), ['-sS', '-o', '/dev/null', '-w', '%{http_code}', ...args, url])
    const type = (value: string): string[] => ['-H', `content-type: ${value}`]
    assert.equal(await curl(...type('application/json'), '-d', '{"id":7}'), '200')
    assert.equal(
      await curl(
        ...type('application/json'),
        '-H',
        'Expect: 100-continue',
        '-d',
        `"${'x'.repeat(500_000)}"`.slice(0, 100_000) + '"',
      ),
      '200',
    )
    assert.equal(await curl('-d', 'a=b'), '415')
    assert.equal(await curl(...type('application/x-ndjson'), '--data-binary', '1\n2\n3\n'), '200')
    assert.equal(incoming.length, 5)
  })
})
