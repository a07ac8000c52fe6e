import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, loadConfig } from '../../../../lib/config.ts'
import { hears, mayHear } from '../../../../lib/endpoints/redis/pubsub/channels.ts'
import { matches } from '../../../../lib/endpoints/redis/pubsub/glob.ts'
import type { RedisOptions } from '../../../../lib/endpoints/redis/pubsub/options.ts'
import { createRegistries } from '../../../../lib/plugin.ts'

const options = (own: Partial<RedisOptions>): RedisOptions => ({ sharded: false, 'ping-interval': 1_000, ...own })

describe('endpoints of one server', () => {
  for (const [listener, sender, expected] of [
    [{ channel: 'a' }, { channel: 'a' }, true],
    [{ channel: 'a' }, { channel: 'b' }, false],
    [{ channels: ['a', 'b'] }, { topic: 'b' }, true],
    [{ channels: ['a', 'b'] }, { channel: 'a', topic: 'c' }, false],
    [{ pattern: 'a.*' }, { topic: 'a.b' }, true],
    [{ patterns: ['b', 'a.?'] }, { topic: 'a.bc' }, false],
    [{ channel: 'orders.new' }, { topic: 'orders.{key}' }, true],
    [{ channel: 'orders.' }, { topic: 'orders.{key}' }, false],
    [{ channel: 'orders.new' }, { topic: 'orders.{key}.done' }, false],
    [{ channel: 'orders.1.done' }, { topic: 'orders.{key}.done' }, true],
    [{ pattern: 'orders.*' }, { topic: '{topic}' }, true],
    [{ pattern: 'orders.*' }, { topic: 'copy.{topic}' }, false],
    [{ topic: 'a' }, { topic: 'a' }, false],
    [{ channel: 'a' }, { channels: ['a'] }, false],
    [{ channel: 'a', sharded: true }, { channel: 'a', sharded: true }, true],
    [{ channel: 'a', sharded: true }, { channel: 'a' }, false],
    [{ channel: 'a' }, { channel: 'a', sharded: true }, false],
  ] as [Partial<RedisOptions>, Partial<RedisOptions>, boolean][]) {
    test(`${JSON.stringify(listener)} ${expected ? 'hears' : 'does not hear'} ${JSON.stringify(sender)}`, () => {
      assert.equal(hears(options(listener), options(sender)), expected)
    })
  }

  test('hear whatever a template can give', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 4 })
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?', '[ab]'), minLength: 1, maxLength: 5 })
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '.'), minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(piece, value, piece, pattern, (begin, middle, end, glob) => {
        const sender = options({ topic: `${begin}{key}${end}` })
        const published = `${begin}${middle}${end}`
        assert.ok(mayHear(options({ channel: published }), sender))
        if (matches(glob, published)) assert.ok(mayHear(options({ pattern: glob }), sender))
      }),
      { numRuns: 2_000 },
    )
  })
})

test('a server is known by however it is written, and by nothing else', () => {
  const at = (own: Partial<RedisOptions>): RedisOptions => options({ channel: 'a', ...own })
  const nodes = (...list: string[]) => ({ 'ping-interval': 1, nodes: list })
  for (const [one, other, expected] of [
    [{}, { url: 'redis://localhost' }, true],
    [{ host: 'R1' }, { url: 'rediss://user:secret@r1:6379/3' }, true],
    [{ host: '::1', port: 7 }, { url: 'redis://[::1]:7' }, true],
    [{ host: 'r1' }, { host: 'r2' }, false],
    [{ host: 'r1' }, { host: 'r1', port: 6_380 }, false],
    [{ cluster: nodes('r1:1', 'r2:2') }, { cluster: nodes('r3:3', 'r2:2') }, true],
    [{ cluster: nodes('r1:1') }, { cluster: nodes('r3:3') }, false],
    [{ cluster: nodes('r1:1') }, { url: 'redis://r1:1' }, true],
    [{ sentinel: { name: 'm', ...nodes('s1') } }, { sentinel: { name: 'm', ...nodes('s2', 's1:26379') } }, true],
    [{ sentinel: { name: 'm', ...nodes('s1') } }, { sentinel: { name: 'n', ...nodes('s1') } }, false],
    [{ connection: 'x' }, { connection: 'x' }, true],
    [{ connection: 'x' }, { connection: 'y' }, false],
    [{ connection: 'default' }, {}, false],
  ] as [Partial<RedisOptions>, Partial<RedisOptions>, boolean][]) {
    for (const [listener, sender] of [
      [one, other],
      [other, one],
    ] as const) {
      assert.equal(hears(at(listener), at(sender)), expected, JSON.stringify([listener, sender]))
    }
  }
})

test('a loop of channels is an error of the config, drawn', async () => {
  const text = `plugins:
  araldo.endpoints.endpoint:
    - { name: orders, id: endpoint-redis, channel: orders, url: "\${REDIS}" }
    - { name: audit, id: endpoint-redis, topic: "audit.{key}", url: "\${REDIS}" }
    - { name: audited, id: endpoint-redis, pattern: audit.*, host: r1 }
routes:
  orders: [audit]
  audited: [orders]
`
  const error = await loadConfig(text, createRegistries(), { env: { REDIS: 'redis://u:pa55word@r1' } }).then(
    () => assert.fail('it loaded'),
    (thrown: unknown) => (thrown instanceof ConfigError ? thrown : assert.fail(String(thrown))),
  )
  assert.match(
    error.message,
    /^<config>:8:13: error: route 'audited' → 'orders': loop: orders → audit \(heard by audited\) → orders: messages would/,
  )
  await loadConfig(text, createRegistries(), { env: { REDIS: 'redis://u:pa55word@r2' } })
})
