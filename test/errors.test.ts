import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { dropReasonOf, errors, isRetryable, reasonOf } from '../lib/errors.ts'
import { DROP_REASONS } from '../lib/types.ts'

describe('the catalogue of errors', () => {
  for (const [name, Type] of Object.entries(errors)) {
    it(`has ${name} with a code, a status, and whether trying again can help`, () => {
      const cause = new Error('why')
      const error = new Type('a', 'b', 'c', { cause })
      assert.ok(error instanceof Error)
      assert.equal(error.code, `ARALDO_ERR_${name}`)
      assert.equal(error.cause, cause)
      assert.equal(typeof error.retryable, 'boolean')
      assert.ok(error.statusCode >= 400 && error.statusCode < 600)
      assert.ok(DROP_REASONS.includes(error.dropReason))
      assert.doesNotMatch(error.message, /%s/)
    })
  }
})

describe('an error from elsewhere', () => {
  it('counts as one that may pass unless it says otherwise', () => {
    assert.equal(isRetryable(new Error('any')), true)
    assert.equal(isRetryable('text'), true)
    assert.equal(isRetryable(undefined), true)
    assert.equal(isRetryable(Object.assign(new Error('no'), { retryable: false })), false)
    assert.equal(isRetryable(null), true)
  })

  it('is dropped under its own reason if that is one, else by whether it may pass', () => {
    assert.equal(dropReasonOf(new errors.ENDPOINT_DOWN('a', 'b')), 'down')
    assert.equal(dropReasonOf(new Error('any')), 'failed')
    assert.equal(dropReasonOf({ retryable: false }), 'invalid')
    assert.equal(dropReasonOf({ dropReason: 'made up', retryable: false }), 'invalid')
    assert.equal(dropReasonOf({ dropReason: '__proto__' }), 'failed')
    assert.equal(dropReasonOf(undefined), 'failed')
  })

  it('gives its text for people, without its stack', () => {
    assert.equal(reasonOf(new Error('it broke')), 'it broke')
    assert.equal(reasonOf(new TypeError()), 'TypeError')
    assert.equal(reasonOf('text'), 'text')
    const openssl = (what: string): string =>
      `write EPROTO 804C:error:0A00010B:SSL routines:ssl3_get_record:${what}:../deps/ssl3_record.c:350:\n`
    assert.equal(
      reasonOf(new Error(openssl('wrong version number'))),
      'write EPROTO TLS: what answers there speaks no TLS',
    )
    assert.equal(reasonOf(new Error(openssl('unknown ca'))), 'write EPROTO TLS: unknown ca')
    assert.equal(reasonOf(undefined), 'undefined')
    const both = new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')])
    assert.equal(reasonOf(both), '::1 refused; 127.0.0.1 refused')
    assert.equal(reasonOf(Object.assign(new Error('x'), { message: 7 })), '7')
    assert.equal(reasonOf(Object.create(null)), 'something without a text')
  })
})
