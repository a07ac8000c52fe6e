import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { endpointMqtt, type MqttOptions } from '../../../lib/endpoints/mqtt/index.ts'
import { DEFAULTS } from './support.ts'

const url = 'mqtt://127.0.0.1'

function issues(options: Partial<MqttOptions>): string[] {
  const all = endpointMqtt.check?.({ ...DEFAULTS, url, ...options }) ?? []
  return Array.from(all, ({ path, message }) => `${path}: ${message}`)
}

function capabilities(options: Partial<MqttOptions>): ReturnType<typeof endpointMqtt.capabilities> {
  return endpointMqtt.capabilities({ ...DEFAULTS, url, ...options })
}

describe('the options of endpoint-mqtt', () => {
  test('that are right have no issue', () => {
    for (const options of [
      { subscribe: 'a/#' },
      { subscribe: ['a', 'b/+'], share: 'g', 'receive-maximum': 5, 'retain-handling': 'never' },
      { topic: 'a/{key}', retain: true, 'message-expiry': 1_000 },
      { topic: '$SYS/x', 'allow-reserved': true },
      { topic: 'a', url: 'wss://user:pass@[::1]:8084/mqtt?token=1', tls: true },
      { topic: 'a', version: '3.1.1', username: 'u', password: 'p' },
    ] as const satisfies Partial<MqttOptions>[]) {
      assert.deepEqual(issues(options), [])
    }
  })

  test('that are wrong are named', () => {
    const wrong: readonly (readonly [Partial<MqttOptions>, RegExp])[] = [
      [{}, /^: needs 'subscribe' to receive, or 'topic'/],
      [{ topic: 'a', url: 'http://x' }, /^url: is no URL/],
      [{ topic: 'a', url: 'mqtt://' }, /^url: /],
      [{ topic: 'a', url: 'mqtt://x/path' }, /^url: must end after the port/],
      [{ topic: 'a', url: 'mqtt://u:%@x' }, /^url: has a %/],
      [{ topic: 'a', url: 'mqtt://u:p@x', username: 'v' }, /^username: stands in the url already/],
      [{ topic: 'a', tls: true }, /^tls: the url says no TLS/],
      [{ topic: 'a', url: 'mqtts://x', tls: false }, /^tls: the url says TLS/],
      [{ topic: 'a', url: 'mqtts://x', tls: { cert: 'c' } }, /^tls: 'cert' needs 'key'/],
      [{ topic: 'a', version: '3.1.1', password: 'p' }, /^password: needs a 'username'/],
      [{ topic: 'a', version: '3.1.1', 'message-expiry': 1_000 }, /^message-expiry: is of MQTT 5/],
      [{ subscribe: 'a', version: '3.1.1', 'receive-maximum': 1 }, /^receive-maximum: is of MQTT 5/],
      [{ subscribe: 'a#' }, /^subscribe: '#' is a level alone/],
      [{ subscribe: '$share/g/a' }, /^subscribe: .*'share'/],
      [{ subscribe: 'a', share: 'g/h' }, /^share: /],
      [{ topic: 'a', share: 'g' }, /^share: .*needs 'subscribe'/],
      [{ subscribe: 'a', retain: true }, /^retain: .*needs 'topic'/],
      [{ topic: 'a/#' }, /^topic: .*wildcard/],
      [{ topic: '$SYS/{key}' }, /^topic: .*allow-reserved/],
      [{ topic: '{' }, /^topic: /],
      [{ topic: 'a', 'client-id': 'a\nb' }, /^client-id: /],
    ]
    for (const [options, issue] of wrong) {
      const found = issues(options)
      assert.ok(
        found.some((each) => issue.test(each)),
        `${JSON.stringify(options)}: ${found.join('; ')}`,
      )
      for (const each of found) assert.ok(!each.includes('u:p@'), each)
    }
  })

  test('decide what it can do', () => {
    const source = { ack: true, pause: true, replay: true, headers: true, topics: true }
    const target = { confirm: true, pipelined: true, headers: true, topics: false, echo: false, shared: true }
    assert.deepEqual(capabilities({ subscribe: 'a' }), { source, target: null })
    assert.deepEqual(capabilities({ subscribe: 'a', 'session-expiry': 0 }).source, {
      ...source,
      ack: false,
      replay: false,
    })
    assert.deepEqual(capabilities({ subscribe: 'a', qos: 0 }).source, {
      ...source,
      ack: false,
      pause: false,
      replay: false,
    })
    assert.deepEqual(capabilities({ subscribe: 'a', version: '3.1.1' }).source, { ...source, headers: false })
    assert.deepEqual(capabilities({ topic: 'a' }), { source: null, target })
    assert.deepEqual(capabilities({ topic: '{topic}' }).target, { ...target, topics: true })
    assert.deepEqual(capabilities({ topic: 'a', qos: 0 }).target, { ...target, confirm: false, pipelined: false })
    const both = { subscribe: 'a/#', topic: 'a/b' }
    assert.equal(capabilities(both).target?.echo, false)
    for (const more of [{ echo: true }, { share: 'g' }, { version: '3.1.1' }] as const) {
      assert.equal(capabilities({ ...both, ...more }).target?.echo, true)
      assert.equal(capabilities({ ...both, ...more, topic: 'b' }).target?.echo, false)
    }
  })

  test('say whether one hears another: the same broker, a filter that matches', () => {
    const hears = (here: Partial<MqttOptions>, there: Partial<MqttOptions>): boolean | undefined =>
      endpointMqtt.hears?.({ ...DEFAULTS, url, ...here }, { ...DEFAULTS, url, ...there })
    assert.equal(hears({ subscribe: 'a/#' }, { topic: 'a/{key}' }), true)
    assert.equal(hears({ subscribe: 'a/#' }, { topic: 'a/{key}', url: 'ws://localhost:9001/mqtt' }), true)
    assert.equal(hears({ subscribe: 'a/#' }, { topic: 'a/{key}', url: 'mqtt://elsewhere' }), false)
    assert.equal(hears({ subscribe: 'a/#' }, { topic: 'b/{key}' }), false)
    assert.equal(hears({ topic: 'a' }, { topic: 'a' }), false)
    assert.equal(hears({ subscribe: 'a' }, { subscribe: 'a' }), false)
  })
})
