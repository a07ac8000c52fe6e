import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type IPublishPacket, parser } from 'mqtt-packet'
import type { Qos } from '../../../lib/endpoints/mqtt/options.ts'
import { type Properties, type Publish, PublishPacket } from '../../../lib/endpoints/mqtt/publish.ts'
import { textProblem } from '../../../lib/endpoints/mqtt/text.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 200 }).filter((each) => textProblem(each) === undefined)
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
  // Around the sizes where a length takes a byte more, and where the payload is written by itself.
  fc.constantFrom(16_000, 16_383, 16_384, 16_385, 17_000, 2_097_152).map((size) => Buffer.alloc(size, 'é')),
)
const option = <Value>(each: fc.Arbitrary<Value>) => fc.option(each, { nil: undefined })

const properties: fc.Arbitrary<Properties> = fc.record({
  isText: fc.boolean(),
  expiry: option(fc.integer({ min: 1, max: 2 ** 32 - 2 })),
  contentType: text,
  responseTopic: option(text),
  correlationData: option(fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each))),
  // No number, which JavaScript would put first, and no name of its own.
  user: fc
    .uniqueArray(
      fc.tuple(
        text.map((each) => `x-${each}`),
        text,
      ),
      { selector: ([name]) => name, maxLength: 5 },
    )
    .map((pairs) => pairs.flat()),
})

const publish: fc.Arbitrary<Publish> = fc.record({
  topic: text.filter((each) => each !== ''),
  payload: bytes,
  qos: fc.constantFrom<Qos>(0, 1, 2),
  retain: fc.boolean(),
  properties: option(properties),
})

test("what is written, MQTT.js' own parser reads as it was meant, in both versions; and its size is known before", () => {
  fc.assert(
    fc.property(publish, fc.integer({ min: 1, max: 65_535 }), (meant, id) => {
      const packet = new PublishPacket(meant)
      const written = Buffer.concat(packet.encode(id))
      assert.equal(written.length, packet.size)
      const read = parse(written, meant.properties === undefined ? 4 : 5)
      assert.deepEqual([read.topic, read.qos, read.retain, read.dup], [meant.topic, meant.qos, meant.retain, false])
      assert.ok(meant.payload.equals(read.payload as Buffer))
      assert.equal(read.messageId, meant.qos === 0 ? undefined : id)
      if (meant.properties !== undefined) assert.deepEqual(propertiesIn(read), { ...meant.properties })
    }),
  )
})

test('a large payload is not copied', () => {
  const payload = Buffer.alloc(1024 * 1024)
  const pieces = new PublishPacket({ topic: 'a', payload, qos: 1, retain: false, properties: undefined }).encode(1)
  assert.equal(pieces.at(-1), payload)
})

function parse(written: Buffer, protocolVersion: 4 | 5): IPublishPacket {
  const packets: IPublishPacket[] = []
  const reader = parser({ protocolVersion })
  reader.on('packet', (packet) => packets.push(packet as IPublishPacket))
  reader.on('error', (error) => assert.fail(error))
  assert.equal(reader.parse(written), 0)
  assert.equal(packets.length, 1)
  return packets[0] as IPublishPacket
}

function propertiesIn({ properties: read = {} }: IPublishPacket): Properties {
  return {
    isText: read.payloadFormatIndicator === true,
    expiry: read.messageExpiryInterval,
    contentType: read.contentType ?? '',
    responseTopic: read.responseTopic,
    correlationData: read.correlationData,
    user: Object.entries(read.userProperties ?? {}).flat() as string[],
  }
}
