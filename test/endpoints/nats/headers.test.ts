import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Msg, MsgHdrsImpl } from '@nats-io/transport-node'
import fc from 'fast-check'
import { attributesIn, blockOf } from '../../../lib/endpoints/nats/headers.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message } from '../../../lib/message.ts'

function block(headers: Record<string, string>, key?: string, id = 'id'): string {
  return blockOf(
    new Message({ source: 'test', marshaller: raw, payload: Buffer.alloc(0), headers, key, id, time: 5 }),
    raw,
    'out',
  ).toString()
}

function read(text: string): ReturnType<typeof attributesIn> {
  return attributesIn({ headers: MsgHdrsImpl.decode(Buffer.from(text)) } as Partial<Msg> as Msg)
}

describe('the headers of a NATS message', () => {
  test('are a block of lines', () => {
    assert.equal(
      block({ region: 'eu' }, 'k'),
      'NATS/1.0\r\naraldo-id: id\r\naraldo-time: 5\r\naraldo-key: k\r\ncontent-type: application/octet-stream\r\nregion: eu\r\n\r\n',
    )
  })

  test('come out as they went in, or do not go in', () => {
    const name = fc.oneof(fc.stringMatching(/^[!-~]{1,12}$/), fc.string({ unit: 'binary', maxLength: 8 }))
    const value = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 }))
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 5 }), fc.option(value, { nil: undefined }), (headers, key) => {
        let text: string
        try {
          text = block(headers, key)
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'ARALDO_ERR_HEADER_INVALID')
          return
        }
        const content = read(text)
        assert.equal(content.key, key)
        assert.equal(content.id, 'id')
        assert.equal(content.time, 5)
        const { 'content-type': _type, ...others } = { ...content.headers }
        const own = new Set(['araldo-id', 'araldo-key', 'araldo-time', 'content-type'])
        const sent = Object.entries(headers).filter(([each]) => !own.has(each.toLowerCase()))
        for (const [each, there] of sent) assert.equal(others[each], there)
      }),
    )
  })

  for (const [what, headers] of Object.entries<Record<string, string>>({
    'a line end in a value': { region: 'eu\r\nNats-Rollup: all' },
    'a line feed in a value': { region: 'eu\nx: y' },
    'NUL in a value': { region: 'e\u0000u' },
    'white space at an end of a value': { region: ' eu' },
    'a colon in a name': { 'region:x': 'eu' },
    'a line end in a name': { 'region\r\nx': 'eu' },
    'a space in a name': { 'my region': 'eu' },
    'no name': { '': 'eu' },
    'an order to the server': { 'Nats-Rollup': 'all' },
    'an order to the server, in other letters': { 'nats-expected-last-sequence': '1' },
  })) {
    test(`are refused for good with ${what}`, () => {
      assert.throws(() => block(headers), { code: 'ARALDO_ERR_HEADER_INVALID', retryable: false })
    })
  }

  test('are refused for good where the id or the key would be another line', () => {
    assert.throws(() => block({}, 'k\r\nx: y'), { code: 'ARALDO_ERR_HEADER_INVALID' })
    assert.throws(() => block({}, undefined, 'id\nx: y'), { code: 'ARALDO_ERR_HEADER_INVALID' })
  })

  test('of the server itself are no headers of the message', () => {
    const { headers } = read(
      'NATS/1.0\r\nNats-Stream: S\r\nnats-msg-id: 1\r\nregion: eu\r\nregion: us\r\nContent-Type: text/plain\r\n\r\n',
    )
    assert.deepEqual({ ...headers }, { region: 'us', 'content-type': 'text/plain' })
  })

  test('may have any name, those of an object too', () => {
    const { headers } = read('NATS/1.0\r\n__proto__: 1\r\nconstructor: 2\r\n\r\n')
    assert.deepEqual(Object.entries(headers ?? {}), [
      ['__proto__', '1'],
      ['constructor', '2'],
    ])
  })
})
