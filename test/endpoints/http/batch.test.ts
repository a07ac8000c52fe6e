/** Requests with a message a line: all of them or none, in their order, within bounds. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { Batch, type BatchReport, linesOf } from '../../../lib/endpoints/http/batch.ts'
import { errors } from '../../../lib/errors.ts'
import { text } from '../../../lib/marshallers/text.ts'
import type { Settle } from '../../../lib/types.ts'
import { until } from '../../support/wait.ts'
import { type Incoming, post, startSource } from './support.ts'

const type = 'application/x-ndjson'
const LIMITS = { name: 'in', messages: 5, payload: 10 }

describe('the lines of a body', () => {
  const lines = (body: string): unknown => {
    const found = linesOf(Buffer.from(body), LIMITS)
    return Array.isArray(found) ? found.map(({ number, payload }) => `${number}:${String(payload)}`) : found.code
  }

  test('end with LF or CR LF, the last one with nothing; empty ones are none', () => {
    assert.deepEqual(lines('a\nb\r\nc'), ['1:a', '2:b', '3:c'])
    assert.deepEqual(lines('\n\r\n\na\n\n'), ['4:a'])
    assert.deepEqual(lines('a\rb\n'), ['1:a\rb'])
    assert.deepEqual(lines(''), [])
    assert.deepEqual(lines('\n'), [])
  })

  test('are bounded in number and in size', () => {
    assert.deepEqual((lines('1\n2\n3\n4\n5\n\n') as string[]).length, 5)
    assert.equal(lines('1\n2\n3\n4\n5\n6'), 'ARALDO_ERR_BATCH_TOO_LONG')
    assert.deepEqual(lines('1234567890\r\n'), ['1:1234567890'])
    assert.equal(lines('1\n12345678901'), 'ARALDO_ERR_TOO_LARGE')
  })
})

describe('a batch', () => {
  test('is answered with 200 when all of it is settled; each line has its id, and the key of the request', async (t) => {
    const { url, incoming } = await startSource(t)
    const headers = { 'idempotency-key': 'order', 'araldo-key': 'k' }
    const { status, body } = await post(url, '{"a":1}\r\n\n"two"\n3', { type, headers })
    assert.deepEqual([status, body], [200, { messages: 3 }])
    assert.deepEqual(
      incoming.map(({ message: { id, key, payload, headers: own } }) => [
        id,
        key,
        String(payload),
        own['content-type'],
      ]),
      [
        ['order/1', 'k', '{"a":1}', undefined],
        ['order/3', 'k', '"two"', undefined],
        ['order/4', 'k', '3', undefined],
      ],
    )
  })

  test('is answered with 202 where nobody waits, and with 200 where it is empty', async (t) => {
    const { url, incoming } = await startSource(t, { acknowledge: 'accepted' })
    assert.deepEqual((await post(url, '1\n2', { type: 'application/jsonl' })).status, 202)
    assert.equal(incoming.length, 2)
    const settled = await startSource(t)
    assert.deepEqual((await post(settled.url, '\n', { type })).body, { messages: 0 })
  })

  test('of ten thousand lines comes in whole and in order, though its body comes in pieces', async (t) => {
    const { url, incoming } = await startSource(t)
    const body = Buffer.from(Array.from({ length: 10_000 }, (_, number) => `{"number":${number}}`).join('\n'))
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    const head = ['POST /in HTTP/1.1', 'host: x', `content-type: ${type}`, `content-length: ${body.length}`, '', '']
    socket.write(head.join('\r\n'))
    // Cut within lines.
    for (let start = 0; start < body.length; start += 9_973) socket.write(body.subarray(start, start + 9_973))
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    assert.match(answer.toString(), /^HTTP\/1.1 200 [^]*\{"messages":10000\}$/)
    assert.equal(incoming.length, 10_000)
    incoming.forEach(({ message }, number) => assert.deepEqual(message.body, { number }))
    assert.equal((await post(url, `${body.toString()}\n1`, { type })).status, 413)
    assert.equal(incoming.length, 10_000)
  })

  test('with one bad line is refused whole', async (t) => {
    const { url, incoming } = await startSource(t, { 'max-payload': 20, 'max-batch': { messages: 3, bytes: 50 } })
    const answers = {
      '1\n{"half":\n3': [422, 'ARALDO_ERR_UNDECODABLE'],
      [`1\n"${'x'.repeat(20)}"`]: [413, 'ARALDO_ERR_TOO_LARGE'],
      '1\n2\n3\n4': [413, 'ARALDO_ERR_BATCH_TOO_LONG'],
      [' '.repeat(51)]: [413, 'ARALDO_ERR_TOO_LARGE'],
    }
    for (const [body, expected] of Object.entries(answers)) {
      const answer = await post(url, body, { type })
      assert.deepEqual([answer.status, answer.body['code']], expected, body)
    }
    assert.match(String((await post(url, '1\n{', { type })).body['message']), /line 2/)
    assert.equal(incoming.length, 0)
  })

  test('lists what did not reach its targets, and says whether to send it again', async (t) => {
    const onIncoming = ({ message, settle }: Incoming): void => {
      if (message.body === 2) settle?.(new errors.UNDELIVERED('id', 'in', '', { cause: new errors.OVERFLOW('out', 1) }))
      else settle?.(message.body === 3 ? new errors.UNDELIVERABLE('id', 'in', 'secret') : null)
    }
    const { url } = await startSource(t, {}, { onIncoming })
    const mixed = await post(url, '1\n2\n3', { type })
    const two = { line: 2, code: 'ARALDO_ERR_OVERFLOW', retry: true }
    const three = { line: 3, code: 'ARALDO_ERR_UNDELIVERABLE', retry: false }
    assert.deepEqual([mixed.status, mixed.body], [503, { messages: 3, settled: 1, failed: [two, three], omitted: 0 }])
    assert.match(String(mixed.headers['retry-after']), /^[123]$/)
    const final = await post(url, '1\n3', { type })
    assert.deepEqual([final.status, final.headers['retry-after']], [422, undefined])
    assert.deepEqual(final.body['failed'], [{ ...three, line: 2 }])
  })

  test('waits while the lanes want nothing, and goes on with them', async (t) => {
    const source = await startSource(
      t,
      {},
      {
        onIncoming: ({ message, settle }) => {
          settle?.(null)
          if (message.body === 2) source.endpoint.hold()
        },
      },
    )
    const answered = post(source.url, '1\n2\n3\n4', { type })
    await until(() => source.incoming.length === 2)
    assert.equal((await post(source.url, '5')).status, 503)
    assert.equal(source.incoming.length, 2)
    source.endpoint.release()
    assert.deepEqual((await answered).body, { messages: 4 })
  })

  test('is answered with 504 when the time is over: what is not in never comes in', async (t) => {
    const source = await startSource(
      t,
      { 'settle-timeout': 50 },
      {
        onIncoming: ({ message, settle }) => {
          if (message.body === 1) settle?.(null)
          else source.endpoint.hold()
        },
      },
    )
    const { status, body } = await post(source.url, '1\n2\n3', { type })
    const failed = [2, 3].map((line) => ({ line, code: 'ARALDO_ERR_UNSETTLED', retry: true }))
    assert.deepEqual([status, body], [504, { messages: 3, settled: 1, failed, omitted: 0 }])
    source.endpoint.release()
    assert.equal((await post(source.url, '1')).status, 200)
    assert.deepEqual(
      source.incoming.map(({ message }) => message.body),
      [1, 2, 1],
    )
  })

  test('of a client that goes away ends there', async (t) => {
    const source = await startSource(t, {}, { onIncoming: () => source.endpoint.hold() })
    const { hostname, port } = new URL(source.url)
    const socket = connect(Number(port), hostname)
    socket.write(`POST /in HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: 3\r\n\r\n1\n2`)
    await until(() => source.incoming.length === 1)
    socket.destroy()
    await until(() => source.endpoint.counters['abandoned'] === 1)
    source.endpoint.release()
    await until(() => source.endpoint.gauges['requests'] === 0)
    assert.equal(source.incoming.length, 1)
  })

  test('is no batch where the marshaller knows no JSON', async (t) => {
    const { url } = await startSource(t, {}, { marshaller: text })
    assert.equal((await post(url, '1\n2', { type })).status, 415)
  })

  test('lists a thousand lines at most', async () => {
    const settles: Settle[] = []
    let report: BatchReport | undefined
    const lines = Array.from({ length: 1_500 }, (_, index) => ({ number: index + 1, payload: Buffer.alloc(1) }))
    const batch = new Batch({
      lines,
      settles: true,
      isHeld: () => false,
      give: (_line, settle) => settles.push(settle as Settle),
      onEnd: (result) => (report = result),
    })
    await batch.goOn()
    for (const settle of settles) settle(new Error('no'))
    // A second word counts no more.
    for (const settle of settles) settle(null)
    const { failed, omitted, settled } = report as unknown as BatchReport
    assert.deepEqual([failed.length, omitted, settled], [1_000, 500, 0])
  })
})
