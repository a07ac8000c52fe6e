import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SUBPROTOCOL } from '../../../lib/endpoints/common/araldo-v1/content.ts'
import { closingOf, refusalOf } from '../../../lib/endpoints/websocket-client/reasons.ts'
import {
  frameId,
  messageFrame,
  parseServerFrame,
  sessionFrame,
} from '../../../lib/endpoints/websocket-client/frames.ts'
import { parseFrame } from '../../../lib/endpoints/websocket/protocol.ts'
import { json } from '../../../lib/marshallers/json.ts'
import { Message } from '../../../lib/message.ts'

const parse = (frame: object | string): unknown => {
  return parseServerFrame(Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame)))
}
const payloadOf = (frame: unknown): string => (frame as { payload: Buffer }).payload.toString()

describe('what a server sends', () => {
  it('is an ack, a nack, or a message', () => {
    assert.equal(SUBPROTOCOL, 'araldo.v1')
    assert.deepEqual(parse({ type: 'ack', id: '1' }), { type: 'ack', id: '1' })
    assert.deepEqual(parse({ type: 'nack', id: '1', code: 'ARALDO_ERR_CLOSING', reason: 'away', retry: true }), {
      ...{ type: 'nack', id: '1', retry: true, reason: 'ARALDO_ERR_CLOSING: away' },
    })
    assert.equal(payloadOf(parse('{"type":"message","id":"1","time":5,"body":{"a": 1.0}}')), '{"a": 1.0}')
    assert.equal(payloadOf(parse({ type: 'message', text: 'hi' })), 'hi')
    assert.equal(payloadOf(parse({ type: 'message', base64: 'aGk=' })), 'hi')
  })

  for (const frame of [
    '',
    '[]',
    'null',
    { type: 'ack' },
    { type: 'ack', id: 5 },
    { type: 'ack', id: '' },
    { type: 'ack', id: 'x'.repeat(600) },
    { type: 'nack', id: '1' },
    { type: 'nack', id: '1', retry: 'yes' },
    { type: 'session', session: 'x'.repeat(20) },
    { type: 'message', id: '1' },
    { type: 'message', id: '1', body: 1, text: '1' },
    { type: 'message', id: '1', text: 5 },
    { type: 'message', id: '1', base64: '§' },
    { type: 'message', id: '1', time: 'now', body: 1 },
    { type: 'message', id: '1', time: 9e15, body: 1 },
    { type: 'message', id: '1', body: 1, surprise: true },
    '{"type":"ack","id":"1","id":"2"}',
    '{"type":"message","id":"1","body":{]}',
  ]) {
    it(`is refused where it is none: ${JSON.stringify(frame).slice(0, 60)}`, () =>
      assert.throws(() => parse(frame), Error))
  }

  it('may be anything: it is a frame or an error', () => {
    const members = fc.dictionary(
      fc.constantFrom('type', 'id', 'body', 'text', 'retry', 'code', 'time', 'x'),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          members.map((each) => JSON.stringify(each)),
        ),
        (text) => {
          try {
            parse(text)
          } catch (error) {
            assert.ok(error instanceof Error)
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('says nothing to a terminal', () => {
    const { reason } = parse({
      type: 'nack',
      id: '1',
      code: '\u001b[2J',
      reason: 'a\u001b[2J\u202eb',
      retry: false,
    }) as { reason: string }
    assert.equal(reason, 'a [2J b')
    assert.equal(
      closingOf(1013, Buffer.from('slow\r\n\u001b')).message,
      "the server closed the connection with 1013, it is overloaded, or takes the client for too slow: 'slow'",
    )
    assert.match(closingOf(4001, Buffer.alloc(0)).message, /with 4001, for a reason of its own$/)
  })

  it('in place of a handshake says what to check', () => {
    for (const [status, expected] of [
      [301, /redirects are not followed/],
      [401, /check the credentials/],
      [403, /check the credentials/],
      [404, /nothing at the path/],
      [426, /no WebSocket/],
      [503, /no more connections/],
      [500, /its log/],
      [418, /check 'url'/],
    ] as const) {
      assert.match(refusalOf({ statusCode: status } as never).message, expected)
    }
  })
})

describe('what a server is sent', () => {
  const message = (init: object): Message => new Message({ source: 's', marshaller: json, body: 1, ...init })

  it('is what endpoint-websocket reads', () => {
    const { type, ...rest } = parseFrame(
      messageFrame('1', message({ key: 'k', headers: { a: 'ä' } }), Buffer.from('{"b": 1}'), 'body'),
      'body',
    ) as unknown as Record<string, unknown>
    assert.equal(type, 'message')
    assert.deepEqual(
      { ...rest, payload: String(rest['payload']) },
      { id: '1', key: 'k', headers: { a: 'ä' }, payload: '{"b": 1}' },
    )
    assert.equal(parseFrame(sessionFrame('x'.repeat(16)), 'body').type, 'session')
    for (const content of ['text', 'base64'] as const) {
      assert.equal(payloadOf(parseFrame(messageFrame('1', message({}), Buffer.from('grün'), content), content)), 'grün')
    }
  })

  it("leaves out what is a relay's own, and refuses what no frame can hold", () => {
    const own = messageFrame(
      '1',
      message({ headers: { 'araldo-hops': 'x', connection_id: 'y' } }),
      Buffer.from('1'),
      'body',
    )
    assert.equal(own.toString(), '{"type":"message","id":"1","body":1}')
    for (const headers of [
      { 'a b': 'x' },
      { a: 'x\r\ny' },
      Object.fromEntries(Array.from({ length: 33 }, (_unused, index) => [`h${index}`, 'x'])),
    ]) {
      assert.throws(() => messageFrame('1', message({ headers }), Buffer.from('1'), 'body'), Error)
    }
    assert.throws(() => messageFrame('1', message({ key: 'x\n' }), Buffer.from('1'), 'body'), Error)
    assert.throws(() => messageFrame('1', message({ key: 'x'.repeat(257) }), Buffer.from('1'), 'body'), Error)
  })

  it('has an id that a frame can hold', () => {
    assert.equal(frameId('abc'), 'abc')
    assert.match(frameId('grün'), /^[\w-]{43}$/)
    assert.match(frameId('x'.repeat(200)), /^[\w-]{43}$/)
  })
})
