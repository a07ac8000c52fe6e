import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  compileTopic,
  overlap,
  patternOf,
  problemOfPattern,
  problemOfSubject,
} from '../../../lib/endpoints/nats/subject.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message } from '../../../lib/message.ts'

const message = (topic: string, key?: string): Message =>
  new Message({ source: 'test', marshaller: raw, payload: Buffer.alloc(0), topic, key })

const token = fc.stringMatching(/^[a-z0-9_-]{1,8}$/)
const subject = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join('.'))
const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant('*')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([tokens, open]) => [...tokens, ...(open ? ['>'] : [])].join('.'))

/** What NATS' documentation says of subscriptions, as plainly as can be. */
function matches(pattern: string, subject: string): boolean {
  const source = pattern
    .split('.')
    .map((each) => (each === '>' ? '.+' : each === '*' ? '[^.]+' : each.replaceAll('-', '\\-')))
    .join('\\.')
  return new RegExp(`^${source}$`).test(subject)
}

describe('a subject to publish to', () => {
  for (const [what, text] of Object.entries({
    'a wildcard': 'orders.*',
    'an open end': 'orders.>',
    'a star in a token': 'orders.a*b',
    'a space': 'orders new',
    'a tab': 'orders\tnew',
    'a line end': 'orders\r\nPUB x 0',
    NUL: 'orders\u0000',
    'a space of another script': 'orders\u2003new',
    'half a surrogate pair': 'orders.\ud800',
    'an empty token': 'orders..new',
    'a dot at its beginning': '.orders',
    'a dot at its end': 'orders.',
    nothing: '',
    'too many bytes': 'ü'.repeat(513),
  })) {
    test(`is refused with ${what} in it`, () => {
      assert.notEqual(problemOfSubject(text, true), undefined)
    })
  }

  for (const text of [
    '$SYS.REQ.SERVER.PING',
    '$JS.API.STREAM.DELETE.ORDERS',
    '$KV.config.key',
    '_INBOX.abc',
    '_INBOX',
  ]) {
    test(`is refused where the server means something by it: ${text}`, () => {
      assert.match(problemOfSubject(text, false) ?? '', /allow-reserved/)
      assert.equal(problemOfSubject(text, true), undefined)
    })
  }

  test('may be any other', () => {
    for (const text of ['orders', 'orders.new', 'a$b', 'grüße.日本', '_INBOXES.x', 'x'.repeat(1_024)]) {
      assert.equal(problemOfSubject(text, false), undefined, text)
    }
  })

  test('never breaks the line of the protocol that it stands in, whatever it is made of', () => {
    const hostile = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 40 }), subject)
    fc.assert(
      fc.property(hostile, (text) => {
        if (problemOfSubject(text, false) !== undefined) return
        const line = `PUB ${text} 0\r\n`
        assert.deepEqual(line.trimEnd().split(/\s+/), ['PUB', text, '0'])
        assert.equal(Buffer.from(text).toString(), text)
        assert.ok(text.split('.').every((each) => each !== '' && !/[*>]/.test(each)))
        assert.ok(!text.startsWith('$'))
      }),
    )
  })
})

describe('a subject to subscribe to', () => {
  test('has wildcards for whole tokens only', () => {
    for (const text of ['orders', '*', '>', 'orders.*.new', 'orders.>']) assert.equal(problemOfPattern(text), undefined)
    for (const text of ['orders.a*', '>.orders', 'a>', '', 'a..b', 'a b'])
      assert.notEqual(problemOfPattern(text), undefined)
  })

  test('overlaps another where one subject matches both', () => {
    fc.assert(
      fc.property(pattern, pattern, subject, (one, other, text) => {
        if (matches(one, text) && matches(other, text)) assert.ok(overlap(one, other), `${one} and ${other}: ${text}`)
        assert.equal(overlap(one, text), matches(one, text), `${one} and ${text}`)
        assert.equal(overlap(one, other), overlap(other, one))
      }),
    )
  })
})

describe('a template for a subject', () => {
  test('takes one token from a value, and a whole subject from the topic', () => {
    const topicOf = compileTopic('orders.{key}', 'out', false)
    assert.equal(topicOf(message('', 'eu')), 'orders.eu')
    for (const key of ['eu.admin', '*', '>', 'e u', '']) {
      assert.throws(() => topicOf(message('', key)), { code: 'ARALDO_ERR_TOPIC_INVALID', retryable: false }, key)
    }
    const asItCame = compileTopic('{topic}', 'out', false)
    assert.equal(asItCame(message('orders.eu.new')), 'orders.eu.new')
    for (const topic of ['orders.*', '$SYS.x', 'a..b', '.a', '_INBOX.x']) {
      assert.throws(() => asItCame(message(topic)), { code: 'ARALDO_ERR_TOPIC_INVALID' }, topic)
    }
  })

  test('that is constant is looked at once, at start', () => {
    assert.equal(compileTopic('orders.new', 'out', false)(message('x')), 'orders.new')
    assert.throws(() => compileTopic('orders.*', 'out', false), { code: 'ARALDO_ERR_TOPIC_INVALID' })
  })

  test('has a pattern of all that it can give', () => {
    assert.equal(patternOf('orders.new'), 'orders.new')
    assert.equal(patternOf('orders.{key}'), 'orders.>')
    assert.equal(patternOf('orders.v{key}.x'), 'orders.>')
    assert.equal(patternOf('{topic}'), '>')
  })
})
