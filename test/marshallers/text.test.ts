import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { marshalText, text } from '../../lib/marshallers/text.ts'

describe('marshal-text', () => {
  it('is text in UTF-8', async () => {
    assert.equal(await marshalText.create({}, '/'), text)
    assert.deepEqual([text.format, text.contentType, text.binary], ['text', 'text/plain; charset=utf-8', false])
  })

  it('decodes what it encodes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (body) => assert.equal(text.decode(text.encode(body)), body)),
    )
    assert.equal(text.decode(Buffer.from('\uFEFFa')), '\uFEFFa')
    assert.equal(text.decode(Buffer.alloc(0)), '')
  })

  it('refuses bytes that are no UTF-8, both ways', () => {
    assert.throws(() => text.decode(Buffer.from([0xff])))
    assert.throws(() => text.encode(new Uint8Array([0xff])))
    assert.equal(text.encode(new Uint8Array([0x61])).toString(), 'a')
  })

  it('writes what is no text as JSON', () => {
    for (const [body, expected] of [
      [42, '42'],
      [true, 'true'],
      [null, 'null'],
      [{ id: 7n }, '{"id":7}'],
      [['a'], '["a"]'],
    ] as const) {
      assert.equal(text.encode(body).toString(), expected)
    }
    assert.throws(() => text.encode(undefined))
  })
})
