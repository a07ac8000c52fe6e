/** Which addresses a webhook may go to, in every form that they can be written in. */
import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { describe, test } from 'node:test'
import { check } from '../../../lib/endpoints/http/checks.ts'
import { guardedLookup } from '../../../lib/endpoints/http/connector.ts'
import { addressFilter } from '../../../lib/endpoints/http/networks.ts'
import { DEFAULTS } from './support.ts'

const REFUSED = [
  ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.127.255.255', '127.0.0.1', '127.255.0.1'],
  ...['169.254.169.254', '169.254.0.1', '172.16.0.1', '172.31.255.255', '192.0.0.1', '192.0.2.1', '192.168.1.1'],
  ...['192.88.99.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255'],
  ...['240.0.0.1', '255.255.255.255', '::', '::1', 'fc00::1', 'fd12:3456::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1'],
  ...[
    'ff02::1',
    '2001:db8::1',
    '2001::1',
    '2002:7f00:1::',
    '3fff::1',
    '100::1',
    '64:ff9b:1::1',
    '5f00::1',
    'fd00:ec2::254',
  ],
  ...[
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:a9fe:a9fe',
    '::ffff:10.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::10.0.0.1',
  ],
  ...['::127.0.0.1', '::7f00:1', 'not an address', ''],
]
const PUBLIC = [
  '8.8.8.8',
  '1.1.1.1',
  '100.63.255.255',
  '100.128.0.1',
  '172.15.0.1',
  '172.32.0.1',
  '192.167.1.1',
  '223.255.255.255',
]
const PUBLIC_6 = ['2606:4700::1111', '2a00:1450:4001::1', '::ffff:8.8.8.8', '64:ff9b::808:808']

describe('an address', () => {
  test('that is not public is refused', () => {
    const isAllowed = addressFilter(false)
    for (const address of REFUSED) assert.equal(isAllowed(address), false, address)
    for (const address of [...PUBLIC, ...PUBLIC_6]) assert.equal(isAllowed(address), true, address)
  })

  test('of a network that is named is allowed, and no other', () => {
    const isAllowed = addressFilter(['10.1.0.0/16', '127.0.0.1', 'fd00::/8', '::1'])
    for (const address of ['10.1.2.3', '127.0.0.1', '::ffff:10.1.2.3', 'fd00::5', '::1', '8.8.8.8']) {
      assert.equal(isAllowed(address), true, address)
    }
    for (const address of ['10.2.0.1', '127.0.0.2', '169.254.169.254', 'fc00::1', '::']) {
      assert.equal(isAllowed(address), false, address)
    }
    assert.equal(addressFilter(true)('127.0.0.1'), true)
  })

  test('that is none is a mistake of the config', () => {
    for (const network of ['10.0.0.0/33', 'example.com', '::/129', '10.0.0.0/', '', '/8', '10.0.0/8']) {
      assert.throws(() => addressFilter([network]), /is no network/, network)
    }
  })
})

describe('a url', () => {
  const problems = (url: string, allowed: boolean | string[] = false): string[] =>
    [...check({ ...DEFAULTS, url, 'allow-private': allowed })].map(({ message }) => message)

  test('with a literal address that is not public is refused when the config is loaded, however it is written', () => {
    const hosts = [
      '127.0.0.1',
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      '0177.0.0.1',
      '127.1',
      '0',
      '10.0.0.1',
      '169.254.169.254',
    ]
    const hosts6 = [
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[0:0:0:0:0:ffff:7f00:1]',
      '[fe80::1]',
      '[fd00::1]',
      '[64:ff9b::7f00:1]',
      '[::]',
    ]
    for (const host of [...hosts, ...hosts6, '①②⑦.0.0.1', '127。0。0。1', '127.0.0.1.']) {
      assert.equal(problems(`http://${host}/`).length, 1, host)
      assert.match(problems(`http://${host}/`)[0] ?? '', /not public/, host)
    }
    assert.deepEqual(problems('http://10.0.0.1/', ['10.0.0.0/8']), [])
    assert.deepEqual(problems('http://2130706433/', true), [])
    assert.deepEqual(problems('https://example.com/x'), [])
  })

  test('is one of http or https, without a password', () => {
    for (const url of ['ftp://example.com', 'example.com', 'http://', 'file:///etc/passwd', 'http://[1']) {
      assert.match(problems(url)[0] ?? '', /no URL/, url)
    }
    assert.match(problems('https://user:secret@example.com/')[0] ?? '', /'headers'/)
    assert.match(problems('http://x.example', ['nonsense'])[0] ?? '', /no network/)
  })
})

describe('a name', () => {
  const resolveWith = (addresses: LookupAddress[]): never =>
    ((_host: string, _options: object, callback: (error: null, all: LookupAddress[]) => void) => {
      callback(null, addresses)
    }) as never

  function lookup(addresses: string[], all: boolean): { error: Error | null; given: unknown } {
    let result: { error: Error | null; given: unknown } = { error: null, given: undefined }
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    guardedLookup(addressFilter(false), resolveWith(found))('x.example', { all }, (error, given) => {
      result = { error, given }
    })
    return result
  }

  test('that resolves to addresses that are not public leads nowhere; of several, those that are public are used', () => {
    for (const all of [true, false]) {
      const { error } = lookup(['127.0.0.1', '::1'], all)
      assert.match(error?.message ?? '', /127\.0\.0\.1, ::1, which is not public/)
    }
    assert.deepEqual(lookup(['10.0.0.1', '8.8.8.8', '::1'], true), {
      error: null,
      given: [{ address: '8.8.8.8', family: 4 }],
    })
    assert.deepEqual(lookup(['10.0.0.1', '8.8.8.8'], false), { error: null, given: '8.8.8.8' })
  })
})
