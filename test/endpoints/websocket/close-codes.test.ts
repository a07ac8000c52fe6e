import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLOSE_CODES, type CloseCode, closeReason } from '../../../lib/endpoints/websocket/close-codes.ts'

const table: readonly CloseCode[] = Object.values(CLOSE_CODES)

test('every code is one of the registry, with a reason that fits and advice', () => {
  for (const { code, reason, client, when } of table) {
    assert.ok(code >= 1000 && code <= 1014, String(code))
    assert.ok(Buffer.byteLength(reason) <= 100, 'with room for a value')
    assert.ok(['reconnect', 'reconnect-after-hint', 'mend'].includes(client))
    assert.match(when, /\.$/)
  }
})

test('one code has one advice: a client sees the code only', () => {
  const advice = new Map<number, string>()
  for (const { code, client } of table) {
    assert.equal(advice.get(code) ?? client, client)
    advice.set(code, client)
  }
})

test('a reason has its value, whatever it is, and fits into a close frame', () => {
  assert.equal(closeReason(CLOSE_CODES.undecodable, 'json'), 'the message is not valid json')
  assert.equal(closeReason(CLOSE_CODES.undecodable, '$&'), 'the message is not valid $&')
  assert.equal(closeReason(CLOSE_CODES.textExpected), CLOSE_CODES.textExpected.reason)
  for (const value of ['x'.repeat(500), 'ä'.repeat(500), '😀'.repeat(500)]) {
    const length = Buffer.byteLength(closeReason(CLOSE_CODES.undecodable, value))
    assert.ok(length <= 123 && length > 118)
  }
})
