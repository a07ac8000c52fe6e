import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CloudEvents } from '../../lib/marshallers/cloudevents/marshaller.ts'
import { type CloudEventsOptions, marshalCloudEvents } from '../../lib/marshallers/cloudevents/index.ts'
import { json } from '../../lib/marshallers/json.ts'
import { raw } from '../../lib/marshallers/raw.ts'
import { text } from '../../lib/marshallers/text.ts'
import { type Marshaller, Message, type MessageInit } from '../../lib/message.ts'
import type { Headers } from '../../lib/types.ts'
import { hostile, standsAll } from './support.ts'

const make = (options: Partial<CloudEventsOptions> = {}): CloudEvents => {
  return new CloudEvents({ mode: 'structured', type: 'araldo.message', ...options })
}
const structured = make()
const binary = make({ mode: 'binary' })

/** The example of the specification's JSON format, but for its data. */
const EVENT = {
  specversion: '1.0',
  type: 'com.example.someevent',
  source: '/mycontext',
  subject: 'cart 5',
  id: 'C234-1234-1234',
  time: '2018-04-05T17:31:00Z',
  comexampleextension: true,
  number: 5,
  nothing: null,
  datacontenttype: 'application/json',
  data: { total: 12.5 },
}
const HEADERS = {
  'ce-id': 'C234-1234-1234',
  'ce-source': '/mycontext',
  'ce-type': 'com.example.someevent',
  'ce-subject': 'cart%205',
  'ce-time': '2018-04-05T17:31:00Z',
  'ce-comexampleextension': 'true',
  'ce-number': '5',
}

function came(payload: string | Buffer, headers?: Headers, marshaller: Marshaller = structured): Message {
  const message = new Message({
    source: 'in',
    marshaller,
    payload: Buffer.from(payload as string),
    headers,
    topic: 'carts',
  })
  return marshaller.incoming?.(message) ?? message
}

function eventOf(message: Message): Record<string, unknown> {
  return JSON.parse(message.payload.toString()) as Record<string, unknown>
}

const plainHeaders = ({ headers }: Message): object => ({ ...headers })

describe('an event that comes in', () => {
  it('structured: its data is the body, its attributes are headers', () => {
    const message = came(JSON.stringify(EVENT), { 'content-type': 'application/cloudevents+json', other: 'x' })
    assert.deepEqual(message.body, { total: 12.5 })
    assert.deepEqual(plainHeaders(message), { other: 'x', ...HEADERS, 'ce-datacontenttype': 'application/json' })
    assert.equal(message.id, '/mycontext#C234-1234-1234')
    assert.equal(message.time, Date.UTC(2018, 3, 5, 17, 31))
    assert.equal(message.topic, 'carts')
    assert.equal(message.payload.toString(), JSON.stringify(EVENT))
  })

  it('binary: the same', () => {
    const headers = { ...HEADERS, 'ce-specversion': '1.0', 'content-type': 'application/json', other: 'x' }
    const message = came('{"total":12.5}', headers)
    assert.deepEqual(message.body, { total: 12.5 })
    assert.deepEqual(plainHeaders(message), { other: 'x', ...HEADERS, 'ce-datacontenttype': 'application/json' })
    assert.equal(message.id, '/mycontext#C234-1234-1234')
    // What a durable buffer keeps is whole, and can be read by itself.
    assert.deepEqual(structured.decode(message.payload), { total: 12.5 })
  })

  it('with bytes, with text, and with nothing', () => {
    const { data: _data, ...rest } = EVENT
    assert.deepEqual(came(JSON.stringify({ ...rest, data_base64: 'AQI=' })).body, Buffer.from([1, 2]))
    assert.equal(came(JSON.stringify({ ...rest, datacontenttype: 'text/plain', data: 'hi' })).body, 'hi')
    assert.equal(came(JSON.stringify(rest)).body, null)
    const headers = { ...HEADERS, 'ce-specversion': '1.0' }
    assert.deepEqual(came('\u0001', { ...headers, 'content-type': 'image/png' }).body, Buffer.from([1]))
    assert.equal(came('grün', { ...headers, 'content-type': 'text/plain' }).body, 'grün')
    assert.equal(came('{"a":1}', headers).body instanceof Object, true)
    assert.equal(came('', headers).body, null)
  })

  it('with a partition key and a trace, which every message can have', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const message = came(JSON.stringify({ ...EVENT, partitionkey: 'ada', traceparent }))
    assert.equal(message.key, 'ada')
    assert.equal(message.headers['traceparent'], traceparent)
  })

  it('with a very long name gets an id that is not', () => {
    const { id } = came(JSON.stringify({ ...EVENT, source: `/${'x'.repeat(300)}` }))
    assert.match(id, /^[\w-]{43}$/)
  })

  for (const [what, change] of [
    ['another version', { specversion: '0.3' }],
    ['no version', { specversion: undefined }],
    ['no id', { id: undefined }],
    ['an empty source', { source: '' }],
    ['a type that is no text', { type: {} }],
    ['an attribute that is a list', { list: [] }],
    ['an attribute with a name that is none', { 'my-attribute': 'x' }],
    ['a time that is none', { time: 'yesterday' }],
    ['data twice', { data_base64: 'AQI=' }],
    ['data_base64 that is none', { data: undefined, data_base64: '§' }],
  ] as [string, object][]) {
    it(`with ${what} is not decoded`, () => {
      const message = came(JSON.stringify({ ...EVENT, ...change }))
      assert.throws(() => message.body, { code: 'ARALDO_ERR_UNDECODABLE' })
      assert.deepEqual(plainHeaders(message), {})
    })
  }

  for (const [what, headers, payload] of [
    ['whose JSON is none', {}, '{"a":'],
    ['without an id', { 'ce-id': '' }, '{}'],
    ['whose attributes are not UTF-8', { 'ce-subject': '%ff' }, '{}'],
    ['of another version', { 'ce-specversion': '0.3' }, '{}'],
  ] as [string, Headers, string][]) {
    it(`binary ${what} is not decoded`, () => {
      const message = came(payload, { ...HEADERS, 'ce-specversion': '1.0', ...headers })
      assert.throws(() => message.body, { code: 'ARALDO_ERR_UNDECODABLE' })
    })
  }

  it('a batch is not decoded', () => {
    assert.throws(() => came('[]', { 'content-type': 'application/cloudevents-batch+json' }).body)
  })

  it('never more than that: 5,000 hostile inputs', () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.jsonValue())
    const events = fc.tuple(fc.dictionary(fc.string({ maxLength: 6 }), value, { maxKeys: 3 }), value)
    const valid = events.map(([rest, data]) => Buffer.from(JSON.stringify({ ...EVENT, ...rest, data })))
    standsAll(structured, hostile(valid))
    const names = fc.constantFrom(
      'ce-id',
      'ce-source',
      'ce-specversion',
      'ce-x',
      'ce-__proto__',
      'content-type',
      'ce-time',
    )
    fc.assert(
      fc.property(hostile(valid), fc.dictionary(names, fc.string()), (payload, headers) => {
        const { body } = outcome(came(payload, { ...HEADERS, 'ce-specversion': '1.0', ...headers }))
        void body
      }),
      { numRuns: 2_000 },
    )
  })
})

function outcome(message: Message): { body?: unknown } {
  try {
    return { body: message.body }
  } catch (error) {
    assert.equal((error as { code: string }).code, 'ARALDO_ERR_UNDECODABLE')
    return {}
  }
}

describe('a message that goes out', () => {
  const message = (init: Partial<MessageInit>): Message => {
    return new Message({
      source: 'orders',
      marshaller: json,
      id: 'm1',
      time: 1000,
      topic: 'shop.1',
      key: 'ada',
      ...init,
    })
  }

  it('structured: is an event, with what the message says of itself', () => {
    const sent = structured.outgoing(message({ body: { total: 1 }, headers: { other: 'x' } }), true)
    assert.equal(sent.encode(structured), sent.payload)
    assert.deepEqual(eventOf(sent), {
      ...{ specversion: '1.0', id: 'm1', source: '/orders', type: 'araldo.message', time: '1970-01-01T00:00:01.000Z' },
      ...{ subject: 'shop.1', partitionkey: 'ada', datacontenttype: 'application/json', data: { total: 1 } },
    })
    assert.deepEqual(plainHeaders(sent), { other: 'x', 'content-type': 'application/cloudevents+json' })
  })

  it('binary: is the data, with the attributes in headers', () => {
    const sent = binary.outgoing(message({ body: { total: 1 }, topic: 'grün 1%' }), true)
    assert.equal(sent.payload.toString(), '{"total":1}')
    assert.deepEqual(plainHeaders(sent), {
      ...{ 'ce-specversion': '1.0', 'ce-id': 'm1', 'ce-source': '/orders', 'ce-type': 'araldo.message' },
      ...{ 'ce-time': '1970-01-01T00:00:01.000Z', 'ce-subject': 'gr%C3%BCn%201%25', 'ce-partitionkey': 'ada' },
      'content-type': 'application/json',
    })
  })

  it('binary, to a target without headers: is structured', () => {
    assert.equal(eventOf(binary.outgoing(message({ body: 1 }), false))['data'], 1)
  })

  it('has the source and type that the config gives, or that steps have set', () => {
    const named = make({ source: 'https://example.com/relay', type: 'com.example.order' })
    const event = eventOf(named.outgoing(message({ body: 1 }), true))
    assert.deepEqual([event['source'], event['type']], ['https://example.com/relay', 'com.example.order'])
    const set = eventOf(named.outgoing(message({ body: 1, headers: { 'ce-type': 'com.example.refund' } }), true))
    assert.equal(set['type'], 'com.example.refund')
  })

  it('carries text and bytes as what they are', () => {
    const note = eventOf(structured.outgoing(message({ marshaller: text, body: 'hi' }), true))
    assert.deepEqual([note['datacontenttype'], note['data']], ['text/plain; charset=utf-8', 'hi'])
    const bytes = eventOf(structured.outgoing(message({ marshaller: raw, payload: Buffer.from([1, 2]) }), true))
    assert.deepEqual([bytes['datacontenttype'], bytes['data_base64']], ['application/octet-stream', 'AQI='])
    const sent = binary.outgoing(message({ marshaller: raw, payload: Buffer.from([1, 2]) }), true)
    assert.deepEqual([...sent.payload], [1, 2])
  })

  it('of which nothing was changed leaves as it came, byte for byte, in either mode', () => {
    const whole = ` ${JSON.stringify(EVENT)}`
    assert.equal(structured.outgoing(came(whole), true).payload.toString(), whole)
    const data = '{"exact": 12345678901234567890}'
    const headers = { ...HEADERS, 'ce-specversion': '1.0', 'content-type': 'application/json' }
    const sent = binary.outgoing(came(data, headers, binary), true)
    assert.equal(sent.payload.toString(), data)
    assert.deepEqual(plainHeaders(sent), headers)
  })

  it('goes from one mode to the other and back', () => {
    const there = binary.outgoing(came(JSON.stringify(EVENT)), true)
    assert.equal(there.payload.toString(), '{"total":12.5}')
    const back = structured.outgoing(came(there.payload, there.headers), true)
    const { nothing: _nothing, ...rest } = EVENT
    assert.deepEqual(eventOf(back), { ...rest, comexampleextension: 'true', number: '5' })
  })

  it('of which a step has changed something says so', () => {
    const original = came(JSON.stringify(EVENT))
    const mapped = structured.outgoing(original.with({ body: { id: 7 } }), true)
    assert.deepEqual(eventOf(mapped)['data'], { id: 7 })
    assert.equal(eventOf(mapped)['id'], EVENT.id)
    const retyped = structured.outgoing(original.with({ headers: { ...original.headers, 'ce-type': 'other' } }), true)
    assert.equal(eventOf(retyped)['type'], 'other')
    const dropped = structured.outgoing(original.with({ headers: {} }), true)
    assert.deepEqual([eventOf(dropped)['type'], eventOf(dropped)['data']], ['araldo.message', { total: 12.5 }])
  })

  it('has an id of its own for each part of an event', () => {
    const parts = [0, 1].map((index) => came(JSON.stringify(EVENT)).part(index, { body: index }))
    const ids = parts.map((part) => eventOf(structured.outgoing(part, true))['id'])
    assert.deepEqual(ids, [`${EVENT.id}/0`, `${EVENT.id}/1`])
  })

  it('which is no event, but of the format, passes as it came', () => {
    assert.equal(structured.outgoing(came('garbage'), true).payload.toString(), 'garbage')
  })

  it('which cannot be one is refused', () => {
    const time = message({ body: 1, headers: { 'ce-time': 'yesterday' } })
    assert.throws(() => structured.outgoing(time, true), { code: 'ARALDO_ERR_UNENCODABLE' })
    const name = message({ body: 1, headers: { 'ce-My-Name': 'x' } })
    assert.throws(() => structured.outgoing(name, true), { code: 'ARALDO_ERR_UNENCODABLE' })
    const bytes = message({ payload: Buffer.from('{') })
    assert.throws(() => structured.outgoing(bytes, true), { code: 'ARALDO_ERR_UNDECODABLE' })
  })

  it('and was published by the application is an event, too', async () => {
    const published = new Message({ source: 'app', marshaller: structured, body: { a: 1 }, id: 'x' })
    const message = structured.incoming(published)
    assert.equal(message, published)
    assert.deepEqual(structured.decode(message.payload), { a: 1 })
    assert.equal(eventOf(structured.outgoing(message, true))['id'], 'x')
    const made = await marshalCloudEvents.create({ mode: 'binary', type: 'x' }, '/')
    assert.equal(made.format, 'cloudevents')
  })
})
