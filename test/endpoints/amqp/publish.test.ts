import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import type { Properties } from '../../../lib/endpoints/amqp/properties.ts'
import { PublishWriter } from '../../../lib/endpoints/amqp/publish.ts'

interface Frame {
  readonly channel: number
  readonly fields?: Record<string, unknown>
  readonly size?: number
  readonly rest: Buffer
}

/** amqplib's own reading of frames, which it does not export. */
const require = createRequire(import.meta.url)
const { parseFrame, decodeFrame } = require(join(dirname(require.resolve('amqplib')), 'lib', 'frame.js')) as {
  parseFrame(bytes: Buffer, max: number): Frame | false
  decodeFrame(frame: Frame): Frame | Buffer
}

const CHANNEL = 7
const FRAME_MAX = 4_096

interface Meant {
  readonly routingKey: string
  readonly properties: Properties
  readonly payload: Buffer
}

const short = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((text) => Buffer.byteLength(text) <= 255)
const option = <Value>(each: fc.Arbitrary<Value>) => fc.option(each, { nil: undefined })

const properties: fc.Arbitrary<Properties> = fc.record({
  contentType: short,
  contentEncoding: option(short),
  // No number, which JavaScript would put first, and no name of its own.
  headers: fc
    .uniqueArray(
      fc.tuple(
        short.map((name) => `x-${name}`.slice(0, 60)),
        fc.string({ unit: 'grapheme', maxLength: 99 }),
      ),
      {
        selector: ([name]) => name,
        maxLength: 5,
      },
    )
    .map((pairs) => pairs.flat()),
  priority: option(fc.nat(255)),
  correlationId: option(short),
  replyTo: option(short),
  expiration: option(short),
  messageId: option(short),
  timestamp: fc.oneof(fc.nat(), fc.nat(2 ** 45)),
  type: option(short),
  appId: option(short),
})

const meant: fc.Arbitrary<Meant> = fc.record({
  routingKey: fc.oneof(fc.constant('orders'), short),
  properties,
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    // Around the sizes where one frame more begins.
    fc.constantFrom(4_087, 4_088, 4_089, 8_176, 8_177, 70_000).map((size) => Buffer.alloc(size, 'é')),
  ),
})

describe('what is published', () => {
  test("amqplib's own reader reads as it was meant, one message behind the other", async () => {
    const settings = fc.record({
      exchange: fc.constantFrom('', 'events', 'grün'),
      persistent: fc.boolean(),
      mandatory: fc.boolean(),
      frameMax: fc.constantFrom(FRAME_MAX, 131_072, 0xff_ff_ff_ff),
    })
    await fc.assert(
      fc.asyncProperty(settings, fc.array(meant, { maxLength: 20 }), async (setting, all) => {
        const written: Buffer[] = []
        const writer = new PublishWriter({ ...setting, channel: CHANNEL, write: (bytes) => written.push(bytes) })
        let bytes = 0
        for (const { routingKey, properties: each, payload } of all) bytes += writer.add(routingKey, each, payload)
        await turn()
        assert.equal(Buffer.concat(written).length, bytes)
        const { exchange, persistent, mandatory, frameMax } = setting
        const expected = all.map(({ routingKey, properties: { headers, ...each }, payload }) => ({
          method: { exchange, routingKey, mandatory, ticket: 0, immediate: false },
          properties: { ...each, deliveryMode: persistent ? 2 : 1, headers: pairsOf(headers) },
          body: payload.toString('hex'),
        }))
        assert.deepEqual(read(Buffer.concat(written), frameMax), expected)
      }),
    )
  })

  test('leaves in one piece for all of a turn, and nothing that was handed over is written over', async () => {
    const written: Buffer[] = []
    const writer = new PublishWriter({ ...PLAIN, write: (bytes) => written.push(bytes) })
    const send = (text: string) => writer.add('orders', EMPTY, Buffer.from(text))
    for (let number = 0; number < 100; number++) send(`first ${number}`)
    assert.equal(written.length, 0)
    await turn()
    assert.equal(written.length, 1)
    const before = Buffer.from(written[0] as Buffer)
    for (let number = 0; number < 2_000; number++) send(`second ${number}`)
    writer.flush()
    assert.ok(before.equals(written[0] as Buffer))
    assert.equal(read(Buffer.concat(written), PLAIN.frameMax).length, 2_100)
    const { length } = written
    await turn()
    assert.equal(written.length, length)
  })

  test('is not copied where it is large', () => {
    const payload = Buffer.alloc(100_000)
    const written: Buffer[] = []
    const writer = new PublishWriter({ ...PLAIN, write: (bytes) => written.push(bytes) })
    writer.add('orders', EMPTY, payload)
    assert.ok(written.some(({ buffer }) => buffer === payload.buffer))
  })

  test('is refused where its headers are larger than a frame, and what is before and behind it goes', () => {
    const written: Buffer[] = []
    const writer = new PublishWriter({ ...PLAIN, frameMax: FRAME_MAX, write: (bytes) => written.push(bytes) })
    const add = (text: string, size: number) =>
      writer.add('orders', { ...EMPTY, headers: ['x', 'ü'.repeat(size)] }, Buffer.from(text))
    add('before', 10)
    for (const size of [2_040, 5_000, 50_000])
      assert.throws(() => add('too large', size), /takes at one time \(4096 bytes\)/)
    add('behind', 2_000)
    writer.flush()
    const bodies = read(Buffer.concat(written), FRAME_MAX).map(({ body }) => Buffer.from(body, 'hex').toString())
    assert.deepEqual(bodies, ['before', 'behind'])
  })
})

const PLAIN = { channel: CHANNEL, exchange: '', persistent: true, mandatory: true, frameMax: 131_072 }
const EMPTY: Properties = {
  contentType: 'text/plain',
  contentEncoding: undefined,
  headers: [],
  priority: undefined,
  correlationId: undefined,
  replyTo: undefined,
  expiration: undefined,
  messageId: undefined,
  timestamp: 0,
  type: undefined,
  appId: undefined,
}

function pairsOf(headers: readonly string[]): [string, string][] {
  return headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1] as string]] : []))
}

function read(bytes: Buffer, frameMax: number): { method: unknown; properties: unknown; body: string }[] {
  const frames = framesIn(bytes, frameMax)
  const messages: { method: unknown; properties: unknown; body: string }[] = []
  while (frames.length > 0) {
    const [method, header] = frames.splice(0, 2) as [Frame, Frame]
    const { headers, clusterId: _clusterId, userId: _userId, ...rest } = header.fields ?? {}
    const { size = 0 } = header
    let body = Buffer.alloc(0)
    while (body.length < size) body = Buffer.concat([body, frames.shift() as Buffer])
    assert.equal(body.length, size)
    messages.push({
      method: method.fields,
      properties: { ...rest, headers: Object.entries(headers as object) },
      body: body.toString('hex'),
    })
  }
  return messages
}

function framesIn(bytes: Buffer, frameMax: number): (Frame | Buffer)[] {
  const frames: (Frame | Buffer)[] = []
  let rest = bytes
  while (rest.length > 0) {
    const frame = parseFrame(rest, frameMax)
    assert.ok(frame, 'a whole frame')
    assert.equal(frame.channel, CHANNEL)
    assert.ok(rest.length - frame.rest.length <= frameMax, 'a frame that is too large')
    rest = frame.rest
    const decoded = decodeFrame(frame)
    frames.push(Buffer.isBuffer(decoded) ? decoded : ((decoded as { content?: Buffer }).content ?? decoded))
  }
  return frames
}
