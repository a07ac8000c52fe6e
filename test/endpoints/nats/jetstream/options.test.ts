import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { capabilities, check, createdSubjects, hears } from '../../../../lib/endpoints/nats/jetstream/checks.ts'
import { deliveryOf } from '../../../../lib/endpoints/nats/jetstream/delivery.ts'
import { endpointJetStream, type JetStreamOptions } from '../../../../lib/endpoints/nats/jetstream/index.ts'
import { JETSTREAM_DEFAULTS } from './support.ts'

const options = (more: Partial<JetStreamOptions>): JetStreamOptions => ({ ...JETSTREAM_DEFAULTS, ...more })
const issues = (more: Partial<JetStreamOptions>): string[] =>
  [...check(options(more))].map(({ path, message }) => `${path}: ${message}`)

describe('the options of endpoint-jetstream', () => {
  for (const [what, more, expected] of [
    ['nothing to do', {}, /needs 'stream' to read, or 'topic'/],
    ['a subject without a stream', { topic: 'a', subject: 'b' }, /subject: .*needs 'stream'/],
    ['a consumer without a stream', { topic: 'a', durable: 'b' }, /durable: .*needs 'stream'/],
    ['a domain without a stream', { topic: 'a', domain: 'b' }, /domain: .*needs 'stream'/],
    [
      'reserved topics where nothing is published',
      { stream: 's', 'allow-reserved': true },
      /allow-reserved: .*needs 'topic'/,
    ],
    ['a stream to create without a name', { topic: 'a', create: true }, /create: needs 'stream'/],
    ['a stream to create without subjects', { stream: 's', create: true }, /create: needs to know/],
    ['a stream to create from a template', { stream: 's', topic: 'a.{key}', create: true }, /create: needs to know/],
    ['a wildcard out of place', { stream: 's', subject: 'a.b*' }, /whole token/],
    ['a wildcard out of place in what is created', { stream: 's', create: { subjects: ['>.a'] } }, /create: /],
    ['subjects that overlap', { stream: 's', subjects: ['a.*', 'a.b'] }, /JetStream does not allow/],
    ['a start that is no time', { stream: 's', start: '2026-13-41T00:00:00Z' }, /start: is no time/],
    ['a topic with a wildcard', { topic: 'a.>' }, /topic: 'a\.>' holds a wildcard/],
    ['a subject beside subjects', { stream: 's', subject: 'a', subjects: ['b'] }, /excludes 'subjects'/],
  ] as const) {
    test(`are refused with ${what}`, () => {
      const found = issues(more)
      assert.ok(
        found.some((each) => expected.test(each)),
        found.join('\n'),
      )
    })
  }

  test('are fine with what the page shows', () => {
    assert.deepEqual(issues({ stream: 'ORDERS', subject: 'orders.new', durable: 'shipping' }), [])
    assert.deepEqual(issues({ stream: 'ORDERS', create: { subjects: ['orders.>'] }, start: '17' }), [])
    assert.deepEqual(issues({ topic: 'parcels.{key}', start: '2026-01-31T12:00:00Z' }), [])
  })

  test('name the libraries that the type needs', () => {
    assert.deepEqual(endpointJetStream.packages, { '@nats-io/transport-node': '3', '@nats-io/jetstream': '3' })
  })

  test('say what a stream takes in that is made', () => {
    assert.deepEqual(createdSubjects(options({ stream: 's', create: { subjects: ['a.>'] }, subject: 'a.b' })), ['a.>'])
    assert.deepEqual(createdSubjects(options({ stream: 's', create: true, subject: 'a.b' })), ['a.b'])
    assert.deepEqual(createdSubjects(options({ stream: 's', create: true, topic: 'a.b' })), ['a.b'])
  })
})

describe('what endpoint-jetstream can do', () => {
  test('follows from its options', () => {
    assert.deepEqual(capabilities(options({ stream: 's', topic: 'a.{key}', subject: 'b' })), {
      source: { ack: true, pause: true, replay: true, headers: true, topics: true },
      target: { confirm: true, pipelined: true, headers: true, topics: true, echo: false, shared: true },
    })
    assert.equal(capabilities(options({ topic: 'a' })).source, null)
    assert.equal(capabilities(options({ stream: 's' })).target, null)
  })

  test('hears what may be stored where it reads', () => {
    const listener = options({ stream: 's', subject: 'a.*' })
    assert.equal(hears(listener, options({ topic: 'a.b' })), true)
    assert.equal(hears(listener, options({ topic: 'b' })), false)
    assert.equal(hears(options({ stream: 's' }), options({ topic: 'b' })), true)
    assert.equal(hears(options({ stream: 's', create: { subjects: ['a'] } }), options({ topic: 'b' })), false)
    assert.equal(hears(listener, options({ topic: 'a.b', url: 'nats://other' })), false)
  })
})

describe('the reply subject of a message from a consumer', () => {
  test('is read in both of its forms, and nothing else is', () => {
    const delivery = { deliveries: 2, seq: 17, time: 1_795_536_529_963 }
    assert.deepEqual(deliveryOf('$JS.ACK.S.C.2.17.3.1795536529963568629.0'), delivery)
    assert.deepEqual(deliveryOf('$JS.ACK._.hash.S.C.2.17.3.1795536529963568629.0'), delivery)
    assert.deepEqual(deliveryOf('$JS.ACK.domain.hash.S.C.2.17.3.1795536529963568629.0.token'), delivery)
    for (const reply of [
      '',
      '_INBOX.x',
      '$JS.ACK',
      '$JS.ACK.S.C.x.y.z.t.0',
      '$JS.ACK.S.C.0.1.1.1.0',
      '$JS.ACK.S.C.1.-1.1.1.0',
    ]) {
      assert.equal(deliveryOf(reply), undefined, reply)
    }
  })
})
