/** HMACs of requests: those that others have made, good and bad ones, and old ones. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, test } from 'node:test'
import { check } from '../../../lib/endpoints/http/checks.ts'
import type { SignatureOptions } from '../../../lib/endpoints/http/options.ts'
import { createSigner, type RequestHeaders } from '../../../lib/endpoints/http/signature.ts'
import { DEFAULTS, post, startReceiver, startSource, startTarget } from './support.ts'

const BODY = Buffer.from('{"id":7}')
const NOW = 1_700_000_000_000
const SECONDS = '1700000000'
const base = { tolerance: 300_000 } as const
const GITHUB: SignatureOptions = {
  ...base,
  scheme: 'hmac',
  secret: 'shh',
  header: 'X-Hub-Signature-256',
  prefix: 'sha256=',
}
const STRIPE: SignatureOptions = { ...base, scheme: 'stripe', secret: 'shh' }
const STANDARD: SignatureOptions = {
  ...base,
  scheme: 'standard-webhooks',
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
}
const TIMED: SignatureOptions = {
  ...GITHUB,
  'timestamp-header': 'x-time',
  encoding: 'base64',
  algorithm: 'sha512',
  prefix: '',
}

const hmac = (text: string, encoding: 'hex' | 'base64', key: string | Buffer = 'shh', algorithm = 'sha256'): string =>
  createHmac(algorithm, key).update(text).digest(encoding)
const problem = (options: SignatureOptions, headers: RequestHeaders, body = BODY, now = NOW): string | undefined =>
  createSigner(options).problemOf(headers, body, now)

describe('a signature', () => {
  test('as GitHub writes it: the example of its documentation', () => {
    const options = { ...GITHUB, secret: "It's a Secret to Everybody" }
    const right = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
    const body = Buffer.from('Hello, World!')
    assert.equal(problem(options, { 'x-hub-signature-256': right }, body), undefined)
    for (const wrong of [
      undefined,
      '',
      'sha256=',
      right.slice(7),
      right.slice(0, -1),
      right.slice(0, -2),
      `${right}zz`,
      right.replace('75', '76'),
    ]) {
      assert.notEqual(problem(options, { 'x-hub-signature-256': wrong }, body), undefined, wrong)
    }
    assert.notEqual(problem(options, { 'x-hub-signature-256': right }, Buffer.from('Hello, World?')), undefined)
    assert.notEqual(problem(options, { 'x-hub-signature-256': [right, right] }, body), undefined)
  })

  test('as Standard Webhooks writes it: the example of its specification', () => {
    const body = Buffer.from('{"test": 2432232314}')
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    }
    const now = 1_614_265_330_000
    assert.equal(problem(STANDARD, headers, body, now), undefined)
    const rotated = `v1a,xxxx v1,${'A'.repeat(43)}= ${headers['webhook-signature']}`
    assert.equal(problem(STANDARD, { ...headers, 'webhook-signature': rotated }, body, now), undefined)
    assert.notEqual(problem(STANDARD, { ...headers, 'webhook-id': 'msg_other' }, body, now), undefined)
    assert.notEqual(problem(STANDARD, headers, body, now + 300_001), undefined)
    assert.notEqual(problem(STANDARD, headers, body, now - 300_001), undefined)
    assert.notEqual(problem(STANDARD, { ...headers, 'webhook-timestamp': '1614265331' }, body, now), undefined)
  })

  test('as Stripe writes it, of two secrets, and old', () => {
    const value = `t=${SECONDS},v1=${hmac(`${SECONDS}.${String(BODY)}`, 'hex')}`
    assert.equal(problem(STRIPE, { 'stripe-signature': `${value},v0=abc` }), undefined)
    assert.equal(problem({ ...STRIPE, secret: ['new', 'shh'] }, { 'stripe-signature': value }), undefined)
    assert.notEqual(problem({ ...STRIPE, secret: ['new'] }, { 'stripe-signature': value }), undefined)
    assert.match(problem(STRIPE, { 'stripe-signature': value }, BODY, NOW + 300_001) ?? '', /too far from now/)
    for (const wrong of ['t=,v1=', 'v1=00', `t=${SECONDS}`, `t=x,v1=${hmac(`x.${String(BODY)}`, 'hex')}`]) {
      assert.notEqual(problem(STRIPE, { 'stripe-signature': wrong }), undefined, wrong)
    }
  })

  test('with a time of its own header', () => {
    const mac = hmac(`${SECONDS}.${String(BODY)}`, 'base64', 'shh', 'sha512')
    assert.equal(problem(TIMED, { 'x-hub-signature-256': mac, 'x-time': SECONDS }), undefined)
    assert.notEqual(problem(TIMED, { 'x-hub-signature-256': mac }), undefined)
    assert.notEqual(problem(TIMED, { 'x-hub-signature-256': mac, 'x-time': '1700000001' }), undefined)
  })

  test('that is made here is right here, of every scheme', () => {
    for (const options of [GITHUB, STRIPE, STANDARD, TIMED]) {
      const headers = Object.fromEntries(createSigner(options).sign('an id', BODY, NOW))
      assert.equal(problem(options, headers), undefined, options.scheme)
    }
  })

  test('whose options do not go together is a mistake of the config', () => {
    const issues = (signature: SignatureOptions): string =>
      [...check({ ...DEFAULTS, 'allow-private': false, path: '/in', signature })]
        .map(({ message }) => message)
        .join('; ')
    assert.match(issues({ ...base, scheme: 'hmac', secret: 'x' }), /needs 'header'/)
    assert.match(issues({ ...STRIPE, prefix: 'x' }), /'prefix' is of 'hmac' alone/)
    assert.match(issues({ ...STANDARD, secret: 'not base64!' }), /base64/)
    assert.match(issues({ ...STANDARD, header: 'x' }), /has its own/)
    assert.equal(issues(GITHUB) + issues(STRIPE) + issues(STANDARD) + issues(TIMED), '')
  })
})

describe('requests', () => {
  test('without the right signature are answered with 401, batches too, and nothing of them comes in', async (t) => {
    const { url, incoming, endpoint } = await startSource(t, { signature: GITHUB })
    const sign = (body: string): Record<string, string> => ({ 'x-hub-signature-256': `sha256=${hmac(body, 'hex')}` })
    assert.equal((await post(url, '{"id":7}', { headers: sign('{"id":7}') })).status, 200)
    for (const headers of [{}, sign('{"id":8}')] as Record<string, string>[]) {
      const { status, body } = await post(url, '{"id":7}', { headers })
      assert.deepEqual([status, body['code']], [401, 'ARALDO_ERR_SIGNATURE_INVALID'])
      assert.doesNotMatch(JSON.stringify(body), /shh/)
    }
    const type = 'application/x-ndjson'
    assert.equal((await post(url, '1\n2', { headers: sign('1\n3'), type })).status, 401)
    assert.equal((await post(url, '1\n2', { headers: sign('1\n2'), type })).status, 200)
    assert.equal(incoming.length, 3)
    assert.equal(endpoint.counters['unverified'], 3)
  })

  test('that are sent are signed, and verified by an endpoint with the same secret; the id is that of the signature', async (t) => {
    for (const signature of [GITHUB, STRIPE, STANDARD, TIMED]) {
      const { url, incoming } = await startSource(t, { signature })
      const target = await startTarget(t, url, { signature })
      assert.equal(await target.send({ id: 7 }, { id: 'order-7' }), null, signature.scheme)
      assert.equal(incoming[0]?.message.id, 'order-7')
    }
    const receiver = await startReceiver(t)
    const target = await startTarget(t, receiver.url, { signature: STANDARD })
    await target.send(1, { id: 'x', headers: { 'webhook-signature': 'forged' } })
    assert.match(String(receiver.received[0]?.headers['webhook-signature']), /^v1,[A-Za-z0-9+/]{43}=$/)
  })
})
