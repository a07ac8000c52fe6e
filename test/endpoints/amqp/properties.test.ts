import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ConsumeMessage } from 'amqplib'
import fc from 'fast-check'
import { contentOf, textOf } from '../../../lib/endpoints/amqp/content.ts'
import { type Properties, propertiesOf } from '../../../lib/endpoints/amqp/properties.ts'
import { topicOf } from '../../../lib/endpoints/amqp/topic.ts'
import { json } from '../../../lib/marshallers/json.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message, type MessageInit } from '../../../lib/message.ts'
import type { Headers } from '../../../lib/types.ts'
import { optionsOf } from './support.ts'

const message = (init: Partial<MessageInit>): Message =>
  new Message({ source: 'test', marshaller: raw, payload: Buffer.from('x'), ...init })

const published = (init: Partial<MessageInit>) => tableOf(propertiesOf(message(init), raw, 'orders'))

const refused = (headers: Headers, pattern: RegExp): void => {
  assert.throws(
    () => published({ headers }),
    (error: { code?: string; retryable?: boolean; message: string }) =>
      error.code === 'ARALDO_ERR_HEADER_INVALID' && error.retryable === false && pattern.test(error.message),
  )
}

/** Without those that are not sent, and with the headers as a table. */
function tableOf({ headers, ...properties }: Properties): {
  readonly headers: Headers
  readonly [name: string]: unknown
} {
  const table = Object.create(null) as Record<string, string>
  for (let index = 0; index < headers.length; index += 2) table[headers[index] as string] = headers[index + 1] as string
  const sent = Object.entries(properties).filter(([, value]) => value !== undefined)
  return { ...Object.fromEntries(sent), headers: table }
}

/** As amqplib would deliver it. */
function delivered(properties: object, routingKey = 'a.b'): ConsumeMessage {
  const fields = { deliveryTag: 1, redelivered: false, exchange: '', routingKey, consumerTag: '' }
  return { content: Buffer.from('x'), fields, properties } as unknown as ConsumeMessage
}

describe('properties', () => {
  test('carry a message there and back', () => {
    const headers = {
      traceparent: '00-1-2-01',
      'araldo-hops': 'one',
      'amqp-correlation-id': 'c',
      'amqp-reply-to': 'answers',
      'amqp-type': 't',
      'amqp-app-id': 'shop',
      'amqp-expiration': '60000',
      'amqp-priority': '9',
      'content-type': 'image/png',
      'content-encoding': 'gzip',
      __proto__x: 'y',
      empty: '',
    }
    const properties = published({ id: 'one', key: 'grün', time: 1_700_000_000_123, headers })
    assert.deepEqual(
      { ...properties, headers: { ...properties.headers } },
      {
        headers: {
          traceparent: '00-1-2-01',
          'araldo-hops': 'one',
          __proto__x: 'y',
          empty: '',
          'araldo-key': 'grün',
          'araldo-time': '1700000000123',
        },
        timestamp: 1_700_000_000,
        contentType: 'image/png',
        contentEncoding: 'gzip',
        messageId: 'one',
        correlationId: 'c',
        replyTo: 'answers',
        type: 't',
        appId: 'shop',
        expiration: '60000',
        priority: 9,
      },
    )
    const { payload, ...content } = contentOf(delivered(properties))
    assert.equal(payload.toString(), 'x')
    assert.deepEqual(
      { ...content, headers: { ...content.headers } },
      { topic: 'a.b', id: 'one', key: 'grün', time: 1_700_000_000_123, headers },
    )
  })

  test('hold the id and the time alone where they can', () => {
    const short = published({ id: 'one', time: 5_000 })
    assert.deepEqual({ ...short.headers }, {})
    const id = 'ü'.repeat(200)
    const long = published({ id, time: 5_000 })
    assert.equal(long['messageId'], undefined)
    assert.equal(contentOf(delivered(long)).id, id)
    assert.equal(contentOf(delivered(short)).time, 5_000)
    assert.equal(contentOf(delivered({ headers: {} })).time, undefined)
    assert.equal(contentOf(delivered({ timestamp: 1_700_000_000_123 })).time, 1_700_000_000_123)
    assert.equal(contentOf(delivered({ timestamp: 2 ** 63 })).time, undefined)
  })

  test("say the payload's type: the message's own where it is these bytes, else the target's", () => {
    const own = message({ headers: { 'content-type': 'image/png', 'content-encoding': 'gzip' } })
    assert.equal(propertiesOf(own, raw, '').contentType, 'image/png')
    const encoded = propertiesOf(own, json, '')
    assert.equal(encoded.contentType, 'application/json')
    assert.equal(encoded.contentEncoding, undefined)
  })

  test('are not what brokers refuse, message by message', () => {
    refused({ CC: '["other"]' }, /'CC': .*more queues/)
    refused({ BCC: 'other' }, /more queues/)
    refused({ 'amqp-expiration': 'soon' }, /whole number of milliseconds/)
    refused({ 'amqp-expiration': '4294967296' }, /4294967295 at most/)
    refused({ 'amqp-priority': '256' }, /0 to 255/)
    refused({ 'amqp-reply-to': 'amq.rabbitmq.reply-to' }, /reach only/)
    refused({ 'amqp-type': 'ü'.repeat(128) }, /255 bytes/)
    refused({ 'content-type': 'x'.repeat(256) }, /255 bytes/)
    refused({ ['n'.repeat(256)]: '' }, /its name/)
  })

  test('have no header twice: what the message is counts for more than what its headers say', () => {
    const headers = { 'araldo-id': 'said', 'araldo-key': 'said', 'araldo-time': '1', other: 'x' }
    const id = 'i'.repeat(300)
    const { headers: written } = propertiesOf(message({ id, key: 'k', time: 5_001, headers }), raw, '')
    assert.deepEqual(written, ['other', 'x', 'araldo-id', id, 'araldo-key', 'k', 'araldo-time', '5001'])
    const { headers: said } = propertiesOf(message({ id: 'short', time: 5_000, headers }), raw, '')
    assert.deepEqual(said, Object.entries(headers).flat())
  })

  test('leave out what the broker says of a delivery, and whom it came from', () => {
    const headers = { 'x-death': '[]', 'x-delivery-count': '2', 'amqp-user-id': 'u', 'amqp-cc': '["a"]', 'x-mine': '1' }
    const properties = published({ headers, time: 0 })
    assert.deepEqual({ ...properties.headers }, { 'x-mine': '1' })
    assert.equal(properties['userId'], undefined)
  })
})

describe('field tables of others', () => {
  test('become text', () => {
    assert.equal(textOf('grün'), 'grün')
    assert.equal(textOf(-1.5), '-1.5')
    assert.equal(textOf(true), 'true')
    assert.equal(textOf(null), '')
    assert.equal(textOf(undefined), '')
    assert.equal(textOf(Buffer.from('bytes')), 'bytes')
    assert.equal(textOf(Buffer.from([0xff, 0])), '/wA=')
    assert.equal(textOf({ '!': 'timestamp', value: 1_700_000_000 }), '1700000000')
    assert.equal(textOf({ '!': 'decimal', value: { digits: 125, places: 2 } }), '1.25')
    const death = { count: 1, time: { '!': 'timestamp', value: 5 }, raw: Buffer.from([0xff]), 'routing-keys': ['q'] }
    assert.equal(textOf([death]), '[{"count":1,"time":5,"raw":"/w==","routing-keys":["q"]}]')
    assert.equal(textOf(JSON.parse('{"__proto__":{"a":1}}')), '{"__proto__":{"a":1}}')
  })

  test('have no say in what only properties do', () => {
    const headers = { 'amqp-user-id': 'root', 'content-type': 'text/html', CC: ['a', 'b'], 'araldo-time': 'never' }
    const content = contentOf(delivered({ headers, userId: undefined, timestamp: 3 }))
    assert.deepEqual({ ...content.headers }, { 'amqp-cc': '["a","b"]' })
    assert.equal(content.time, 3_000)
    assert.equal(contentOf(delivered({ userId: 'relay' })).headers?.['amqp-user-id'], 'relay')
  })

  test('never throw, whatever is in them', () => {
    const nested = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 5 }, fc.anything(), fc.uint8Array().map(Buffer.from), tie('tagged')),
      tagged: fc.record({ '!': fc.oneof(fc.string(), fc.constant('decimal')), value: tie('value') }),
    }))
    fc.assert(fc.property(nested.value, (value) => typeof textOf(value) === 'string'))
    let deep: unknown = 'x'
    for (let level = 0; level < 5_000; level++) deep = [deep]
    assert.equal(typeof textOf(deep), 'string')
  })
})

describe('routing keys', () => {
  test('are what the template says, or none: data chooses no other', async () => {
    const route = topicOf(await optionsOf({ exchange: 'events', topic: 'orders.{key}.new' }), 'orders')
    assert.ok(route)
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (key) => {
        let rendered: string
        try {
          rendered = route(message({ key }))
        } catch (error) {
          assert.equal((error as { retryable?: boolean }).retryable, false)
          return
        }
        assert.equal(rendered, `orders.${key}.new`)
        assert.equal(rendered.split('.').length, 3)
        assert.ok(Buffer.byteLength(rendered) <= 255)
        // eslint-disable-next-line no-control-regex
        assert.doesNotMatch(rendered, /[*#\u0000-\u001f\u007f]/)
      }),
    )
  })

  test('have at most 255 bytes, not characters', async () => {
    const route = topicOf(await optionsOf({ topic: '{topic}' }), 'orders')
    assert.equal(route?.(message({ topic: 'a'.repeat(255) })), 'a'.repeat(255))
    assert.throws(() => route?.(message({ topic: 'ü'.repeat(128) })), /256 bytes, and must have 1 to 255/)
    assert.throws(() => route?.(message({ topic: '' })), /is empty/)
  })

  test('hold dots of the data only where these separate nothing, or the topic has them', async () => {
    const whole = topicOf(await optionsOf({ exchange: 'e', topic: '{topic}' }), 'orders')
    assert.equal(whole?.(message({ topic: 'a.b' })), 'a.b')
    assert.throws(() => whole?.(message({ topic: 'a.*' })), /wildcard/)
    const queue = topicOf(await optionsOf({ topic: '{key}' }), 'orders')
    assert.equal(queue?.(message({ key: 'a.b' })), 'a.b')
  })

  test("name none of the broker's own queues, unless the config does", async () => {
    const open = topicOf(await optionsOf({ topic: '{topic}' }), 'orders')
    assert.throws(() => open?.(message({ topic: 'amq.rabbitmq.reply-to.g1h2' })), /broker's own/)
    const meant = topicOf(await optionsOf({ topic: 'amq.gen-{key}' }), 'orders')
    assert.equal(meant?.(message({ key: 'x' })), 'amq.gen-x')
  })
})
