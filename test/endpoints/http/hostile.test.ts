/** Requests that nobody means well with: thousands of them, and none does harm. */
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { Holds } from '../../../lib/endpoints/http/hold.ts'
import { until } from '../../support/wait.ts'
import { startSource } from './support.ts'

const RUNS = 2_000
const TYPES = [
  'application/json',
  'application/x-ndjson',
  'text/plain',
  'application/json; charset=x',
  '',
  ';',
  'a/b;\u0001',
]
const KNOWN = new Set([200, 400, 413, 415, 422])

const body = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc.array(fc.json({ maxDepth: 1 }), { maxLength: 30 }).map((lines) => Buffer.from(lines.join('\n'))),
  fc
    .constantFrom('{"__proto__":{"a":1}}', '['.repeat(2_000), '\u0000', '\r\n\r\n', '{"a":')
    .map((text) => Buffer.from(text)),
)
const name = fc.constantFrom(
  'araldo-id',
  'araldo-key',
  'araldo-time',
  'idempotency-key',
  'x-any',
  'traceparent',
  '__proto__',
)
const headers = fc.array(fc.tuple(name, fc.string({ maxLength: 300 })), { maxLength: 4 })

test(`${RUNS} hostile requests have an answer each, nothing stays in hand, and what came in was decoded`, async (t) => {
  const options = {
    path: '/in/*',
    'max-payload': 200,
    'max-batch': { messages: 20, bytes: 250 },
    'forward-headers': ['*'],
  }
  const { app, endpoint, incoming } = await startSource(t, options)
  const path = fc.constantFrom('/in/a', '/in/%2F', '/in/%', '/in/%ff', '/in/../x', '/in/?q=%', '/in/%00')
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom(...TYPES), headers, path, async (payload, type, pairs, url) => {
      const given = { ...Object.fromEntries(pairs), ...(type === '' ? {} : { 'content-type': type }) }
      const before = incoming.length
      const { statusCode } = await app.inject({ method: 'POST', url, headers: given, payload })
      assert.ok(KNOWN.has(statusCode) || (url.endsWith('x') && statusCode === 404), `${statusCode} ${url}`)
      if (statusCode !== 200) assert.equal(incoming.length, before)
    }),
    { numRuns: RUNS },
  )
  for (const { message } of incoming) assert.doesNotThrow(() => message.body)
  await until(() => endpoint.gauges['requests'] === 0 && endpoint.gauges['requestBytes'] === 0)
  assert.equal(Object.getOwnPropertyDescriptor(Object.prototype, 'a'), undefined)
})

test('pipelined requests are taken in their order, and answered in it', async (t) => {
  const { url, incoming } = await startSource(t)
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let answers = ''
  socket.on('data', (chunk: Buffer) => (answers += chunk.toString()))
  await once(socket, 'connect')
  const request = (number: number): string =>
    `POST /in HTTP/1.1\r\nhost: x\r\naraldo-id: ${number}\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n${number}`
  socket.write([1, 2, 3, 4, 5].map(request).join(''))
  await until(() => answers.split('HTTP/1.1 200').length === 6)
  socket.destroy()
  assert.deepEqual(
    [...answers.matchAll(/\{"id":"(\d)"\}/g)].map(([, id]) => id),
    ['1', '2', '3', '4', '5'],
  )
  assert.deepEqual(
    incoming.map(({ message }) => message.body),
    [1, 2, 3, 4, 5],
  )
})

test('a body that comes a byte at a time costs its bytes, and not its pieces', async () => {
  const bytes = 1024 * 1024
  const body = new EventEmitter() as IncomingMessage
  body.resume = () => body
  const reading = new Holds({ name: 'in', requests: 1, bytes }).take().read(body, bytes)
  const before = heapUsed()
  for (let index = 0; index < bytes; index++) body.emit('data', Buffer.from([index & 0xff]))
  // A piece of its own takes some hundred bytes.
  assert.ok(heapUsed() - before < 16 * bytes)
  body.emit('end')
  const read = await reading
  assert.ok(Buffer.isBuffer(read))
  assert.equal(read.length, bytes)
  assert.ok(read.every((byte, index) => byte === (index & 0xff)))
})

/** Of what is still in use. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  return process.memoryUsage().heapUsed
}
