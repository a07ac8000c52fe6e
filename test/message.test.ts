import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Message, type MessageChange } from '../lib/message.ts'
import { type CountingMarshaller, counting } from './support/core.ts'

function received(text: string, marshaller = counting()): Message {
  return new Message({ source: 'in', marshaller, payload: Buffer.from(text) })
}

describe('a message', () => {
  it('goes out as the very buffer that came in when the formats are one', () => {
    const payload = Buffer.from([0x7b, 0xff, 0x00])
    const message = new Message({ source: 'in', marshaller: counting(), payload })
    assert.equal(message.payload, payload)
    assert.equal(message.encode(counting()), payload)
    assert.equal(message.with({ topic: 'elsewhere' }).encode(counting()), payload)
  })

  it('is decoded at most once, however many look at its body', () => {
    const marshaller = counting()
    const message = received('{"a":1}', marshaller)
    const readdressed = message.with({ topic: 'x' })
    assert.deepEqual(readdressed.with({ headers: { h: '1' } }).body, { a: 1 })
    assert.equal(message.body, readdressed.body)
    assert.equal(marshaller.decodes, 1)
  })

  it('that came as bytes can let go of its body, and decodes it again for whoever looks at it', () => {
    const marshaller = counting()
    const message = received('{"a":1}', marshaller)
    const readdressed = message.with({ topic: 'x' })
    assert.deepEqual(readdressed.body, { a: 1 })
    readdressed.forgetBody()
    assert.deepEqual(message.body, { a: 1 })
    assert.equal(marshaller.decodes, 2)
  })

  it('that was published as a body keeps it: its bytes do not say all of it', () => {
    const body = { at: new Date(0) }
    const message = new Message({ source: 'app', marshaller: counting(), body })
    const mapped = received('{}').with({ body })
    for (const each of [message, mapped]) {
      assert.ok(each.payload.length > 0)
      each.forgetBody()
      assert.equal(each.body, body)
    }
  })

  it('is not decoded when nobody looks at its body', () => {
    const marshaller = counting()
    const message = received('not JSON at all', marshaller)
    message.with({ topic: 'x', key: 'k', headers: {} }).encode(counting())
    assert.equal(marshaller.decodes + marshaller.encodes, 0)
  })

  it('is encoded once per format, for all who were made from it', () => {
    const other = counting('other')
    const message = received('{"a":1}')
    const first = message.with({ topic: 'one' }).encode(other)
    assert.equal(message.with({ topic: 'two' }).encode(other), first)
    assert.equal(message.encode(counting('other')), first)
    assert.equal(other.encodes, 1)
  })

  it('that was published as a body is encoded once, on first use', () => {
    const marshaller = counting()
    const message = new Message({ source: 'app', marshaller, body: { a: 1 } })
    assert.equal(message.byteLength, 0)
    assert.equal(message.with({ topic: 'x' }).payload, message.payload)
    assert.equal(message.payload.toString(), '{"a":1}')
    assert.equal(message.byteLength, 7)
    assert.deepEqual([marshaller.decodes, marshaller.encodes], [0, 1])
  })

  it('knows its length in another format when it has none in its own', () => {
    const message = new Message({ source: 'app', marshaller: counting(), body: 'abc' })
    message.encode(counting('other'))
    assert.equal(message.byteLength, 5)
  })

  it('has one id, the same in all that is made from it', () => {
    const message = received('{}')
    const changed = message.with({ body: 1 })
    assert.equal(changed.id, message.id)
    assert.equal(new Message({ source: 'in', marshaller: counting(), id: 'given' }).id, 'given')
    assert.notEqual(received('{}').id, received('{}').id)
  })

  it('says which format could not decode it, and keeps the cause', () => {
    const message = received('{')
    assert.throws(
      () => message.body,
      (error: Error & { code?: string; retryable?: boolean }) => {
        assert.equal(error.code, 'ARALDO_ERR_UNDECODABLE')
        assert.equal(error.retryable, false)
        assert.match(error.message, new RegExp(`^json could not decode .*${message.id}`))
        assert.ok(error.cause instanceof SyntaxError)
        return true
      },
    )
    assert.throws(() => message.with({ topic: 'x' }).encode(counting('other')), { code: 'ARALDO_ERR_UNDECODABLE' })
  })

  it('says which format could not encode it', () => {
    const message = new Message({ source: 'app', marshaller: counting(), body: undefined })
    assert.throws(() => message.payload, { code: 'ARALDO_ERR_UNENCODABLE', statusCode: 422 })
    const changed = received('{}').with({ body: undefined })
    assert.equal(changed.body, undefined)
    assert.throws(() => changed.payload, { code: 'ARALDO_ERR_UNENCODABLE' })
  })

  it('has frozen, prototype-less headers when it came with none', () => {
    const { headers } = received('{}')
    assert.equal(Object.getPrototypeOf(headers), null)
    assert.throws(() => Object.assign(headers, { a: '1' }), TypeError)
  })
})

describe('any number of changes to a message', () => {
  const body = fc.jsonValue()
  const change: fc.Arbitrary<MessageChange> = fc.record(
    { body, topic: fc.string(), key: fc.string(), headers: fc.dictionary(fc.string(), fc.string()) },
    { requiredKeys: [] },
  )
  /** Reads that a lane or a target may make, in any order. */
  const read = fc.constantFrom('body', 'payload', 'json', 'other', 'byteLength')

  function readAs(message: Message, what: string, marshallers: Record<string, CountingMarshaller>): unknown {
    if (what === 'body') return message.body
    if (what === 'payload') return message.payload
    if (what === 'byteLength') return message.byteLength
    return message.encode(marshallers[what] as CountingMarshaller)
  }

  it('leave the first as it was, decode it at most once, and encode each body at most once per format', () => {
    fc.assert(
      fc.property(
        body,
        fc.boolean(),
        fc.array(fc.tuple(change, fc.nat(), fc.array(read))),
        (first, asBytes, changes) => {
          const marshallers = { json: counting('json'), other: counting('other') }
          const payload = Buffer.from(JSON.stringify(first))
          const content = asBytes ? { payload } : { body: first }
          const family = [new Message({ source: 'in', marshaller: marshallers.json, topic: 't', ...content })]
          const expected: unknown[] = [JSON.parse(JSON.stringify(first))]
          const bodies = new Set([0])
          for (const [made, from, reads] of changes) {
            const parent = from % family.length
            const child = (family[parent] as Message).with(made)
            family.push(child)
            if ('body' in made) bodies.add(family.length - 1)
            expected.push('body' in made ? JSON.parse(JSON.stringify(made.body)) : expected[parent])
            assert.equal(child.topic, made.topic ?? (family[parent] as Message).topic)
            for (const what of reads) readAs(child, what, marshallers)
          }
          family.forEach((message, index) => {
            assert.deepEqual(JSON.parse(JSON.stringify(message.body)), expected[index])
            assert.deepEqual(JSON.parse(message.payload.toString()), expected[index])
            assert.deepEqual(JSON.parse(message.encode(marshallers.other).toString()), expected[index])
          })
          assert.equal((family[0] as Message).topic, 't')
          if (asBytes) assert.equal((family[0] as Message).payload, payload)
          assert.ok(marshallers.json.decodes <= 1)
          assert.ok(marshallers.json.encodes <= bodies.size)
          assert.ok(marshallers.other.encodes <= bodies.size)
        },
      ),
    )
  })
})
