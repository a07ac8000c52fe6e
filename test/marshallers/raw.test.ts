import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { marshalRaw, raw } from '../../lib/marshallers/raw.ts'

describe('marshal-raw', () => {
  it('is bytes', async () => {
    assert.equal(await marshalRaw.create({}, '/'), raw)
    assert.deepEqual([raw.format, raw.contentType, raw.binary], ['raw', 'application/octet-stream', true])
  })

  it('passes bytes on as they are, without a copy', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.deepEqual(new Uint8Array(raw.encode(bytes)), bytes)
        const buffer = Buffer.from(bytes)
        assert.equal(raw.decode(buffer), buffer)
        assert.equal(raw.encode(buffer), buffer)
      }),
    )
    assert.deepEqual(raw.encode(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)), Buffer.from([2, 3]))
    assert.deepEqual(raw.encode(new Uint8Array([1, 2]).buffer), Buffer.from([1, 2]))
  })

  it('writes text as UTF-8, and refuses what is neither', () => {
    assert.deepEqual(raw.encode('ü'), Buffer.from('ü'))
    for (const body of [undefined, null, 5, {}, [1]]) assert.throws(() => raw.encode(body), /only bytes and text/)
  })
})
