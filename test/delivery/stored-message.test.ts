import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Message } from '../../lib/message.ts'
import { decodeStored, encodeStored } from '../../lib/delivery/stored-message.ts'
import { counting } from '../support/core.ts'

const json = counting()

describe('a stored message', () => {
  it('is the same when it is read: payload, id, topic, key, headers, time, and where it came from', () => {
    const headers = fc.dictionary(fc.string(), fc.string())
    const fields = {
      payload: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      id: fc.string({ minLength: 1 }),
      topic: fc.string(),
      from: fc.string(),
      key: fc.option(fc.string(), { nil: undefined }),
      headers,
      time: fc.nat(),
    }
    fc.assert(
      fc.property(fc.record(fields), ({ from, ...init }) => {
        const stored = { message: new Message({ source: 'in', marshaller: json, ...init }), from }
        const read = decodeStored(encodeStored(stored), json)
        const { source, payload, id, topic, key, time } = read.message
        assert.deepEqual(
          { source, payload: [...payload], id, topic, key, time, from: read.from },
          {
            source: 'in',
            payload: [...init.payload],
            id: init.id,
            topic: init.topic,
            key: init.key,
            time: init.time,
            from,
          },
        )
        assert.deepEqual(Object.entries(read.message.headers), Object.entries(init.headers))
      }),
    )
  })

  it('is not read as another format than it was written in, nor is anything else taken for one', () => {
    const record = encodeStored({ message: new Message({ source: 'in', marshaller: json, body: 1 }), from: '' })
    assert.throws(() => decodeStored(record, counting('other')), { code: 'ARALDO_ERR_UNDECODABLE' })
    for (const other of ['', 'x', 'written by somebody else', '\0\0\0\x02{}']) {
      assert.throws(() => decodeStored(Buffer.from(other, 'latin1'), json), { code: 'ARALDO_ERR_UNDECODABLE' })
    }
  })
})
