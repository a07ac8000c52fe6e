import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { dropReasonOf, isRetryable } from '../../../../lib/errors.ts'
import { raw } from '../../../../lib/marshallers/raw.ts'
import { Message } from '../../../../lib/message.ts'
import { type RedisServer, startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { callsOf, startStream } from './support.ts'

const isOk = (answers: readonly (Error | null)[]): boolean => answers.every((answer) => answer === null)

describe('endpoint-redis-stream, a target', { skip: need('redis-server', 'redis-cli'), concurrency: 4 }, () => {
  let redis: RedisServer
  let url: string
  before(async () => {
    redis = await startRedis()
    url = redis.url
  })

  test('a message is confirmed when Redis has it, with its fields', async (t) => {
    const { send } = await startStream(t, { url, stream: 't-fields' })
    const headers = { region: 'eu', id: 'not the id' }
    assert.equal(await send('{"total":12}', { id: 'a-1', time: 17, key: 'k', headers }), null)
    const entry = (await redis.cli('XRANGE', 't-fields', '-', '+')).split('\n').slice(1)
    const fields = ['payload', '{"total":12}', 'id', 'a-1', 'time', '17', 'key', 'k', 'region', 'eu']
    assert.deepEqual(entry, [...fields, 'header:id', 'not the id'])
  })

  test('bytes, and text of every script, are as they were', async (t) => {
    const { send, endpoint, incoming, texts } = await startStream(t, { url, stream: 't-größe', topic: 't-{key}' })
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const headers = { Größe: '日本語 🐘', empty: '' }
    assert.equal(await send(every, { key: 'größe', headers }), null)
    assert.equal(await send(Buffer.alloc(0), { key: 'größe' }), null)
    await texts(2)
    assert.ok(incoming[0]?.message.payload.equals(every))
    assert.deepEqual({ ...incoming[0]?.message.headers }, headers)
    assert.equal(incoming[1]?.message.byteLength, 0)
    assert.equal(endpoint.counters['refused'], 0)
  })

  test('what is sent within one turn leaves by few writes, in order', async (t) => {
    const { send } = await startStream(t, { url, topic: 't-turn' })
    const reads = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(await redis.cli('INFO', 'stats'))?.[1])
    const before = await reads()
    assert.ok(isOk(await Promise.all(Array.from({ length: 500 }, (_, number) => send(String(number))))))
    assert.ok((await reads()) - before < 100)
    const payloads = [...(await redis.cli('XRANGE', 't-turn', '-', '+')).matchAll(/^payload\n(\d+)$/gm)]
    assert.deepEqual(
      payloads.map(([, number]) => Number(number)),
      Array.from({ length: 500 }, (_, number) => number),
    )
  })

  test('the stream is trimmed, by length or by age', async (t) => {
    const long = await startStream(t, { url, topic: 't-length', 'max-length': 100 })
    assert.ok(isOk(await Promise.all(Array.from({ length: 1_000 }, () => long.send('x')))))
    const length = Number(await redis.cli('XLEN', 't-length'))
    // Redis drops whole nodes of 100 entries.
    assert.ok(length >= 100 && length <= 300, `${length} entries`)
    await redis.cli('EVAL', "for i = 1, 300 do redis.call('XADD', KEYS[1], i .. '-1', 'a', 'b') end", '1', 't-age')
    const aged = await startStream(t, { url, topic: 't-age', 'max-age': 60_000 })
    assert.equal(await aged.send('young'), null)
    assert.ok(Number(await redis.cli('XLEN', 't-age')) <= 101)
  })

  test('data chooses the stream, but none of more than 1024 characters, nor with a line break', async (t) => {
    const { send } = await startStream(t, { url, topic: 't-by.{key}' })
    assert.equal(await send('x', { key: 'eu' }), null)
    assert.equal(await redis.cli('XLEN', 't-by.eu'), '1')
    for (const key of ['a\r\nDEL x', 'a\u0000b', 'x'.repeat(1_024)]) {
      const error = await send('x', { key })
      assert.equal((error as { code?: string } | null)?.code, 'ARALDO_ERR_TOPIC_INVALID')
    }
  })

  test('a key that holds no stream is an error for good; what the server cannot do now is one for now', async (t) => {
    const own = await startRedis({ t })
    const { send, endpoint } = await startStream(t, { url: own.url, topic: '{key}' })
    await own.cli('SET', 'string', 'x')
    const wrong = await send('x', { key: 'string' })
    assert.deepEqual([isRetryable(wrong), dropReasonOf(wrong)], [false, 'invalid'])
    assert.match(wrong?.message ?? '', /'string' holds no stream/)
    const cases: [string, readonly string[], readonly string[]][] = [
      ['OOM', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
      ['READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
      ['NOREPLICAS', ['CONFIG', 'SET', 'min-replicas-to-write', '1'], ['CONFIG', 'SET', 'min-replicas-to-write', '0']],
      ['NOPERM', ['ACL', 'SETUSER', 'default', '-xadd'], ['ACL', 'SETUSER', 'default', '+xadd']],
    ]
    for (const [code, cause, cure] of cases) {
      await own.cli(...cause)
      const error = await send('x', { key: 'k' })
      assert.deepEqual([isRetryable(error), dropReasonOf(error)], [true, 'failed'], code)
      assert.match(error?.message ?? '', new RegExp(code))
      await own.cli(...cure)
      assert.equal(await send('x', { key: 'k' }), null, code)
    }
    assert.equal(endpoint.counters['refused'], 5)
    assert.equal(endpoint.state, 'up')
  })

  test('what the server would cut the connection for is not sent', async (t) => {
    const own = await startRedis({ t, args: ['--proto-max-bulk-len', '1mb'] })
    const { send, endpoint } = await startStream(t, { url: own.url, topic: 'large' })
    const [half, more] = [Buffer.alloc(512 * 1024), Buffer.alloc(1024 * 1024 + 1)]
    const error = await send(more)
    assert.equal((error as { code?: string } | null)?.code, 'ARALDO_ERR_TOO_LARGE')
    assert.equal(await send(half, { headers: { also: 'x'.repeat(600 * 1024) } }), null, 'it is each field that counts')
    assert.deepEqual([endpoint.counters.connects, endpoint.counters.failures], [1, 0])
  })

  test('what waits for an answer is bounded, and the endpoint says when it is full', async (t) => {
    const own = await startRedis({ t })
    const { send, endpoint } = await startStream(t, { url: own.url, topic: 'full' })
    own.pause()
    const payload = Buffer.alloc(1024 * 1024)
    const answers = Array.from({ length: 64 }, () => send(payload))
    assert.equal(endpoint.ready, false)
    const surplus = await send(payload)
    assert.deepEqual([isRetryable(surplus), dropReasonOf(surplus)], [true, 'overflow'])
    assert.equal(endpoint.gauges['inFlight'], 64)
    const isReady = new Promise<void>((resolve) => void endpoint.onReady(resolve))
    own.resume()
    assert.ok(isOk(await Promise.all(answers)))
    await isReady
    assert.equal(endpoint.gauges['inFlight'], 0)
    assert.equal(await callsOf(own, 'xadd'), 64)
  })

  test('a connection that is being lost takes nothing more', async (t) => {
    const own = await startRedis({ t })
    const { endpoint } = await startStream(t, { url: own.url, topic: 't-lost', 'ping-interval': 10 })
    const message = new Message({ source: 'test', marshaller: raw, payload: Buffer.from('x') })
    const refused: unknown[] = []
    // As a lane does: it has room for another message now.
    const sendAnother = (): void => {
      try {
        endpoint.send(message, () => {})
      } catch (error) {
        refused.push(error)
      }
    }
    own.pause()
    for (let number = 0; number < 10; number++) endpoint.send(message, sendAnother)
    await until(() => endpoint.state === 'down', { timeout: 15_000 })
    assert.equal(refused.length, 10)
    assert.ok(refused.every((error) => dropReasonOf(error) === 'down'))
    assert.equal(endpoint.counters['unanswered'], 10)
  })

  test('what no answer came for when the connection was lost may be there or not', async (t) => {
    const own = await startRedis({ t })
    const { send, endpoint } = await startStream(t, { url: own.url, topic: 'lost' })
    own.pause()
    const answer = send('x')
    await own.kill()
    const error = await answer
    assert.deepEqual([isRetryable(error), dropReasonOf(error)], [true, 'down'])
    assert.equal(endpoint.counters['unanswered'], 1)
    await own.start()
    await until(() => endpoint.state === 'up')
    assert.equal(await send('y'), null)
  })
})
