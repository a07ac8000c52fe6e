import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Content } from '../../../lib/endpoints/common/araldo-v1/content.ts'
import { FrameError, nackOf, parseFrame, pushOf } from '../../../lib/endpoints/websocket/protocol.ts'
import { errors } from '../../../lib/errors.ts'
import { json } from '../../../lib/marshallers/json.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { text } from '../../../lib/marshallers/text.ts'
import { type Marshaller, Message } from '../../../lib/message.ts'

const SESSION = '0123456789abcdef'

function parse(frame: object | string, content: Content = 'body') {
  return parseFrame(Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame)), content)
}

function message(members: object, content?: Content) {
  return parse({ type: 'message', id: '1', ...members }, content)
}

/** The id of the message that a refused frame would have been. */
function refusal(frame: () => unknown, why: RegExp): string | undefined {
  let refused: unknown
  assert.throws(frame, (error) => {
    refused = error
    return error instanceof FrameError && why.test(error.message)
  })
  return (refused as FrameError).id
}

describe('a frame of a client', () => {
  test('is a message with its payload as it was written', () => {
    const frame = '{ "type": "message", "body" : {"n": 1.50, "big":12345678901234567890} , "id":"a-1" }'
    const parsed = parse(frame)
    assert.equal(parsed.type, 'message')
    assert.deepEqual(parsed, {
      type: 'message',
      id: 'a-1',
      key: undefined,
      headers: undefined,
      payload: Buffer.from('{"n": 1.50, "big":12345678901234567890}'),
    })
  })

  test('has text for a textual endpoint and base64 for a binary one', () => {
    const payloadOf = (members: object, content: Content): string => {
      const parsed = message(members, content)
      return parsed.type === 'message' ? parsed.payload.toString('latin1') : ''
    }
    assert.equal(payloadOf({ text: 'Gr\u00fc\u00df\n' }, 'text'), Buffer.from('Grüß\n').toString('latin1'))
    assert.equal(payloadOf({ text: '' }, 'text'), '')
    assert.equal(payloadOf({ base64: 'AP8BgA==' }, 'base64'), '\u0000\u00ff\u0001\u0080')
    assert.equal(payloadOf({ base64: '' }, 'base64'), '')
  })

  test('that is mostly spaces is not kept in memory for its payload', () => {
    const padded = parse(`{"type":"message","id":"1",${' '.repeat(1024 * 1024)}"body":[1]}`)
    assert.ok(padded.type === 'message')
    assert.equal(padded.payload.toString(), '[1]')
    assert.ok(padded.payload.buffer.byteLength < 64 * 1024)
  })

  test('may have a key and headers', () => {
    const parsed = message({ body: null, key: 'order 7', headers: { traceparent: '00-ab', 'x-y.z': '' } })
    assert.ok(parsed.type === 'message')
    assert.equal(parsed.key, 'order 7')
    assert.deepEqual(parsed.headers, { traceparent: '00-ab', 'x-y.z': '' })
  })

  test('may open a session', () => {
    assert.deepEqual(parse({ type: 'session', session: SESSION }), { type: 'session', session: SESSION })
    for (const session of ['short', 'x'.repeat(129), 'with blanks in its text', 7, null, undefined]) {
      assert.equal(
        refusal(() => parse({ type: 'session', session }), /its 'session' is no text of 16 to 128/),
        undefined,
      )
    }
  })

  test('that is no JSON object, or of no known type, is refused', () => {
    for (const frame of ['', ' ', 'null', '[]', '"{}"', '{}', '{"type":', '{"type":"message"', 'garbage', '\u0000']) {
      assert.equal(
        refusal(() => parse(frame), /./),
        undefined,
      )
    }
    for (const type of ['ack', 'nack', 'Message', '', 1, null, { a: 1 }]) {
      refusal(() => parse({ type, id: '1', body: 1 }), /'type' is neither/)
    }
  })

  test('with an id that is none is refused; with one that is, the refusal names it', () => {
    for (const id of ['', 'x'.repeat(129), 'a b', 'ä', '\u007f', 7, null, undefined, { a: 1 }]) {
      assert.equal(
        refusal(() => parse({ type: 'message', id, body: 1 }), /its 'id' is no text/),
        undefined,
      )
    }
    assert.equal(message({ id: '!'.repeat(128), body: 1 }).type, 'message')
    assert.equal(
      refusal(() => message({}), /its payload is not in 'body'/),
      '1',
    )
  })

  const refused: [what: string, members: object, why: RegExp, content?: Content][] = [
    ['a key that is empty', { body: 1, key: '' }, /'key'/],
    ['a key that is too long', { body: 1, key: 'x'.repeat(257) }, /'key'/],
    ['a key with a line end', { body: 1, key: 'a\nb' }, /'key'/],
    ['a key that is no text', { body: 1, key: 7 }, /'key'/],
    ['half a character', { body: 1, key: '\ud800' }, /'key'/],
    ['headers that are a list', { body: 1, headers: ['a'] }, /'headers' are no object/],
    ['a header that is a number', { body: 1, headers: { a: 1 } }, /the header 'a' is no text/],
    ['a header with a line end', { body: 1, headers: { a: 'b\r\nc: d' } }, /the header 'a' is no text/],
    ['a header with a strange name', { body: 1, headers: { 'a b': '' } }, /a name that is none/],
    ['33 headers', { body: 1, headers: Object.fromEntries([...Array(33).keys()].map((n) => [`h${n}`, ''])) }, /32/],
    ["the connection's id", { body: 1, headers: { connection_id: 'x' } }, /the relay's own/],
    ['a parameter of the path', { body: 1, headers: { param_room: 'x' } }, /the relay's own/],
    ["a header of the relay's", { body: 1, headers: { 'Araldo-Hops': 'x' } }, /the relay's own/],
    ['two payloads', { body: 1, text: 'a' }, /not in 'body', or not there alone/],
    ['text for a JSON endpoint', { text: 'a' }, /not in 'body'/],
    ['a body for a textual endpoint', { body: 'a' }, /not in 'text'/, 'text'],
    ['text that is none', { text: 7 }, /'text' is no text/, 'text'],
    ['text with half a character', { text: '\udc00' }, /'text' is no text/, 'text'],
    ['base64 that is not padded', { base64: 'AP8BgA' }, /no base64/, 'base64'],
    ['base64 with a blank in it', { base64: 'AP8B gA=' }, /no base64/, 'base64'],
    ['base64 of the other alphabet', { base64: 'AP-_' }, /no base64/, 'base64'],
    ["a member of another type's", { body: 1, session: SESSION }, /a message has no 'session'/],
  ]
  for (const [what, members, why, content] of refused) {
    test(`${what} is refused`, () => void refusal(() => message(members, content), why))
  }

  test('a member that is not known is refused', () => {
    refusal(() => message({ body: 1, topic: '/other' }), /a member that is not known/)
    refusal(() => parse('{"type":"message","id":"1","body":1,"__proto__":{"a":1}}'), /a member that is not known/)
  })

  test('headers that would reach a prototype are refused', () => {
    refusal(() => parse('{"type":"message","id":"1","body":1,"headers":{"__proto__":"x"}}'), /a name that is none/)
    assert.equal(({} as { x?: string }).x, undefined)
  })

  test('whatever it is, is a frame of the protocol or a FrameError', () => {
    const value = fc.oneof(
      fc.constantFrom<unknown>('message', 'session', '1', SESSION, {}, [], null, 7, 'AAAA', { a: 'b' }),
      fc.jsonValue(),
    )
    const members = fc.constantFrom('type', 'id', 'key', 'headers', 'body', 'text', 'base64', 'session', 'topic')
    const frame = fc.oneof(
      fc.dictionary(members, value).map((object) => JSON.stringify(object)),
      fc.dictionary(members, value).map((object) => JSON.stringify({ type: 'message', id: '1', ...object })),
      fc.string(),
    )
    fc.assert(
      fc.property(frame, fc.constantFrom<Content>('body', 'text', 'base64'), (sent, content) => {
        try {
          const parsed = parse(sent, content)
          const { type } = JSON.parse(sent) as { type: string }
          assert.equal(parsed.type, type)
        } catch (error) {
          assert.ok(error instanceof FrameError, String(error))
        }
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('a nack', () => {
  const nack = (error: Error): Record<string, unknown> => JSON.parse(nackOf('7', error).toString())

  test('has the code of the cause, whether to send again, and no word of the error', () => {
    const cause = new errors.ENDPOINT_DOWN('secret-endpoint', 'connect ECONNREFUSED 10.0.0.7:6379')
    const error = new errors.UNDELIVERED('id', 'browsers', cause.message, { cause })
    assert.deepEqual(nack(error), {
      type: 'nack',
      id: '7',
      code: 'ARALDO_ERR_ENDPOINT_DOWN',
      reason: 'the server is not ready',
      retry: true,
    })
    const final = nack(new errors.UNDELIVERABLE('id', 'browsers', 'secret', { cause: new AggregateError([cause]) }))
    assert.deepEqual([final['code'], final['retry']], ['ARALDO_ERR_UNDELIVERABLE', false])
  })

  test('never shows what an error of elsewhere says', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 12 }), fc.boolean(), (secret, retryable) => {
        const cause = Object.assign(new Error(secret), { code: secret, retryable })
        const told = nackOf('1', Object.assign(new Error(secret, { cause }), { retryable })).toString()
        assert.ok(!told.includes(JSON.stringify(secret).slice(1, -1)), told)
        assert.equal(JSON.parse(told).code, 'ARALDO_ERR_SEND_FAILED')
      }),
    )
  })
})

describe('a message to clients', () => {
  function pushed(payload: string | Buffer, marshaller: Marshaller, content: Content): Record<string, unknown> {
    const sent = new Message({
      source: 's',
      marshaller,
      payload: Buffer.from(payload),
      id: 'm"1',
      time: 5,
      topic: 'secret',
    })
    return JSON.parse(pushOf(sent, sent.payload, content).toString()) as Record<string, unknown>
  }

  test('has an id, a time, and its payload by what the endpoint speaks', () => {
    const head = { type: 'message', id: 'm"1', time: 5 }
    assert.deepEqual(pushed(' {"a": 1}\n', json, 'body'), { ...head, body: { a: 1 } })
    assert.deepEqual(pushed('{"a": "é\\n', text, 'text'), { ...head, text: '{"a": "é\\n' })
    assert.deepEqual(pushed(Buffer.from([0, 255]), raw, 'base64'), { ...head, base64: 'AP8=' })
  })

  test('what is not JSON though it should be comes as text, and writes no members of its own', () => {
    for (const payload of ['1,"id":"forged"', '{"cut off', '', '1}{', '{"__proto__":{}}', 'NaN']) {
      assert.equal(pushed(payload, json, 'body')['text'], payload)
      assert.equal(pushed(payload, json, 'body')['id'], 'm"1')
    }
    assert.equal(pushed('\ufeff{"a":1}', json, 'body')['id'], 'm"1')
    assert.deepEqual(pushed('\ufeff{"a":1}', json, 'body')['body'], { a: 1 })
  })

  test('is JSON with the members of the protocol, whatever its payload is', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.json(),
          fc.json().map((valid) => `${valid},"id":"forged"`),
        ),
        (payload) => {
          for (const content of ['body', 'text'] as const) {
            const { id, ...rest } = pushed(payload, json, content)
            assert.equal(id, 'm"1')
            assert.equal(Object.keys(rest).length, 3)
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })
})
