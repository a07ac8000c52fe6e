import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { capabilities, check, hears } from '../../../../lib/endpoints/nats/core/checks.ts'
import { endpointNats, type NatsOptions } from '../../../../lib/endpoints/nats/core/index.ts'
import { NATS_DEFAULTS } from '../support.ts'

const options = (more: Partial<NatsOptions>): NatsOptions => ({ ...NATS_DEFAULTS, ...more })
const issues = (more: Partial<NatsOptions>): string[] =>
  [...check(options(more))].map(({ path, message }) => `${path}: ${message}`)

describe('the options of endpoint-nats', () => {
  for (const [what, more, expected] of [
    ['nothing to do', {}, /needs 'subject' or 'subjects'/],
    ['a subject beside subjects', { subject: 'a', subjects: ['b'] }, /excludes 'subjects'/],
    ['a wildcard out of place', { subject: 'a.b*' }, /whole token/],
    ['subjects that overlap', { subjects: ['a.*', 'a.b'] }, /come in twice/],
    ['a queue without a subject', { queue: 'q', topic: 'a' }, /queue: /],
    ['a confirmation of nothing', { confirm: 'flush', subject: 'a' }, /confirm: /],
    ['a topic with a wildcard', { topic: 'a.*' }, /topic: 'a\.\*' holds a wildcard/],
    ['a reserved topic', { topic: '$JS.API.STREAM.DELETE.X' }, /allow-reserved/],
    [
      'reserved topics where nothing is published',
      { subject: 'a', 'allow-reserved': true },
      /allow-reserved: .*needs 'topic'/,
    ],
    ['an echo of nothing', { subject: 'a', echo: true }, /echo: needs both ends/],
    ['a template that cannot be read', { topic: 'a.{' }, /topic: /],
    ['a url beside servers', { subject: 'a', url: 'nats://a', servers: ['b'] }, /excludes 'servers'/],
    ['a url of another protocol', { subject: 'a', url: 'http://a' }, /url: is no NATS URL/],
    ['a url with a path', { subject: 'a', url: 'nats://a/b' }, /must end after the port/],
    ['a user without a password', { subject: 'a', username: 'u' }, /needs 'password'/],
    ['a password without a user', { subject: 'a', password: 'p' }, /needs 'username'/],
    ['two ways to log in', { subject: 'a', username: 'u', password: 'p', token: 't' }, /one way to log in/],
    ['a login in the url and beside it', { subject: 'a', url: 'nats://u:p@a', token: 't' }, /leave one of them out/],
    ['a jwt without its seed', { subject: 'a', jwt: 'a.b.c' }, /needs 'nkey'/],
    ['TLS that is wanted and not', { subject: 'a', url: 'tls://a', tls: false }, /the url says TLS/],
    ['a certificate without its key', { subject: 'a', tls: { cert: 'c' } }, /needs 'key'/],
  ] as const) {
    test(`are refused with ${what}`, () => {
      const found = issues(more)
      assert.ok(
        found.some((each) => expected.test(each)),
        found.join('\n'),
      )
    })
  }

  test('never have their secrets in an error', () => {
    for (const url of ['nats://u:geheim@a/x', 'nats://u:geheim@', 'http://u:geheim@a', 'nats://u:%geheim@a']) {
      const found = issues({ subject: 'a', url })
      assert.ok(found.length > 0, url)
      assert.ok(!found.join().includes('geheim'), found.join())
    }
  })

  test('are fine with what the pages show', () => {
    assert.deepEqual(
      issues({ servers: ['a:4222', 'tls://b', 'nats://[::1]:4223'], subjects: ['a.*', 'b.>'], queue: 'q' }),
      [],
    )
    assert.deepEqual(issues({ topic: 'orders.{key}', confirm: 'flush' }), [])
    assert.deepEqual(issues({ topic: '$KV.config.{key}', 'allow-reserved': true }), [])
  })

  test('name the library that the type needs', () => {
    assert.deepEqual(endpointNats.packages, { '@nats-io/transport-node': '3' })
  })
})

describe('what endpoint-nats can do', () => {
  test('follows from its options', () => {
    assert.deepEqual(capabilities(options({ subject: 'a' })), {
      source: { ack: false, pause: false, replay: false, headers: true, topics: true },
      target: null,
    })
    assert.deepEqual(capabilities(options({ topic: 'a', confirm: 'flush', headers: false })), {
      source: null,
      target: { confirm: true, pipelined: true, headers: false, topics: false, echo: false, shared: true },
    })
  })

  test('hears itself only with echo, and where it subscribes to what it publishes', () => {
    const echo = (more: Partial<NatsOptions>): boolean | undefined => capabilities(options(more)).target?.echo
    assert.equal(echo({ subject: 'a.>', topic: 'a.b' }), false)
    assert.equal(echo({ subject: 'a.>', topic: 'a.b', echo: true }), true)
    assert.equal(echo({ subject: 'b.>', topic: 'a.{key}', echo: true }), false)
    assert.equal(echo({ subject: 'b.>', topic: '{topic}', echo: true }), true)
  })

  test('hears another of the same server that publishes to its subjects', () => {
    const listener = options({ url: 'nats://localhost:4222', subject: 'a.*' })
    assert.equal(hears(listener, options({ topic: 'a.b' })), true)
    assert.equal(hears(listener, options({ servers: ['x', '127.0.0.1'], topic: 'a.{key}' })), true)
    assert.equal(hears(listener, options({ topic: 'b' })), false)
    assert.equal(hears(listener, options({ url: 'nats://other', topic: 'a.b' })), false)
    assert.equal(hears(listener, options({ subject: 'a.b' })), false)
  })
})
