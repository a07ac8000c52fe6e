import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fixedEnds, mayGive } from '../../../lib/endpoints/common/template.ts'
import {
  checkSaidOnce,
  checkUrlTls,
  comparableHost,
  decodedPart,
  serverName,
  unbracketed,
} from '../../../lib/endpoints/common/url.ts'

describe('what URLs of many protocols have in common', () => {
  test('parts are decoded, and one that cannot be is not repeated', () => {
    assert.equal(decodedPart('p%40ss'), 'p@ss')
    assert.throws(
      () => decodedPart('geheim%'),
      (error: Error) => /write %25/.test(error.message) && !error.message.includes('geheim'),
    )
  })

  test('servers are the same under every name of this machine', () => {
    assert.equal(unbracketed('[::1]'), '::1')
    const names = ['localhost', 'LOCALHOST', '127.0.0.1', '::1'].map((host) => serverName({ host, port: 1 }))
    assert.equal(new Set(names).size, 1)
    assert.equal(comparableHost('Db.Example'), 'db.example')
    assert.notEqual(serverName({ host: 'a', port: 1 }), serverName({ host: 'a', port: 2 }))
  })

  test('what is said twice, or against itself, is an issue', () => {
    const keys = ['username', 'password'] as const
    const twice = [...checkSaidOnce({ username: 'a', password: 'b' }, { username: 'c' }, keys)]
    assert.deepEqual(
      twice.map(({ path }) => path),
      ['username'],
    )
    const messages = (tls: unknown, isSecure: boolean): string[] =>
      Array.from(checkUrlTls(tls, isSecure, ['x://', 'xs://']), ({ message }) => message)
    assert.deepEqual(messages(false, true), ['the url says TLS: write x:// to go without'])
    assert.deepEqual(messages({}, false), ['the url says no TLS: write xs://'])
    for (const [tls, isSecure] of [
      [undefined, true],
      [undefined, false],
      [false, false],
      [true, true],
    ] as const) {
      assert.deepEqual(messages(tls, isSecure), [])
    }
  })
})

test('a template may give what begins and ends as it does, and has room for its data', () => {
  assert.deepEqual(fixedEnds('a.{key}.{topic}.z'), { begin: 'a.', end: '.z' })
  assert.equal(fixedEnds('a.z'), undefined)
  assert.equal(mayGive('a.z', 'a.z'), true)
  assert.equal(mayGive('a.z', 'a.y'), false)
  assert.equal(mayGive('a.{key}.z', 'a.b.z'), true)
  assert.equal(mayGive('a.{key}.z', 'a..z'), false)
  assert.equal(mayGive('a.{key}.z', 'b.b.z'), false)
})
