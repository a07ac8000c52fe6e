import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress, parseUrl } from '../../../lib/endpoints/redis/address.ts'

const SECRET = 'pa55word'

describe('addresses of Redis', () => {
  test('a URL is read as people write it', () => {
    assert.deepEqual(parseUrl('redis://'), { tls: false })
    assert.deepEqual(parseUrl('redis://host'), { tls: false, host: 'host' })
    assert.deepEqual(parseUrl('rediss://u:p%40ss@[::1]:7000/3'), {
      tls: true,
      host: '::1',
      port: 7000,
      username: 'u',
      password: 'p@ss',
      db: 3,
    })
    for (const wrong of ['host:6379', 'http://host', 'redis://host/name', 'redis://host?db=1', 'redis://:%zz@host']) {
      assert.throws(() => parseUrl(wrong), Error, wrong)
    }
    for (const wrong of [`redis://:${SECRET}@host:99999`, `redis://u:${SECRET}/x@host`, `redis://:${SECRET}@`]) {
      assert.throws(
        () => parseUrl(wrong),
        (error: Error) => !error.message.includes(SECRET),
        wrong,
      )
    }
  })

  test('an address is host:port', () => {
    assert.deepEqual(parseAddress('host', 6379), { host: 'host', port: 6379 })
    assert.deepEqual(parseAddress('10.0.0.1:7000', 6379), { host: '10.0.0.1', port: 7000 })
    assert.deepEqual(parseAddress('[::1]:7000', 6379), { host: '::1', port: 7000 })
    for (const wrong of ['', ':7000', 'a b', 'host:x', 'redis://host', 'user@host', 'host/1']) {
      assert.throws(() => parseAddress(wrong, 6379), /names no server/, wrong)
    }
  })
})
