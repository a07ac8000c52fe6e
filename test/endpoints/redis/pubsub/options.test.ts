import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../../../../lib/config/diagnostics.ts'
import { loadConfig } from '../../../../lib/config.ts'
import { literalPrefix, matches } from '../../../../lib/endpoints/redis/pubsub/glob.ts'
import { createRegistries } from '../../../../lib/plugin.ts'
import type { Capabilities } from '../../../../lib/types.ts'
import { startRedis } from '../../../support/redis.ts'
import { configOf } from '../../../support/relay.ts'
import { need } from '../../../support/require.ts'
import { connectClient } from '../relay.ts'

/** What is wrong with these options, or what they make the endpoint capable of. */
async function load(options: object): Promise<Capabilities | string[]> {
  const config = configOf({ redis: { id: 'endpoint-redis', ...options } }, {})
  try {
    const { endpoints } = await loadConfig(config, createRegistries())
    const [endpoint] = endpoints
    return endpoint!.type.capabilities(endpoint!.options)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = error.diagnostics.filter(({ severity }) => severity === 'error')
    return problems.map(({ message }) => message.replace("endpoint 'redis': ", ''))
  }
}

const SECRET = 'pa55word'

describe('endpoint-redis, options', () => {
  test('capabilities follow from the channels', async () => {
    const source = { ack: false, pause: false, replay: false, headers: false, topics: true }
    const target = { confirm: false, headers: false, topics: false, echo: false }
    const cases: [object, Capabilities][] = [
      [{ channel: 'a' }, { source, target: { ...target, echo: true } }],
      [{ channels: ['a', 'b'] }, { source, target: null }],
      [{ pattern: 'a*' }, { source, target: null }],
      [{ topic: 'a.{key}' }, { source: null, target: { ...target, topics: true } }],
      [
        { channel: 'a', topic: 'b' },
        { source, target: { ...target, topics: true } },
      ],
      [
        { channels: ['a', 'b'], topic: 'b' },
        { source, target: { ...target, topics: true, echo: true } },
      ],
      [
        { pattern: 'a.*', topic: 'a.b' },
        { source, target: { ...target, topics: true, echo: true } },
      ],
      [
        { pattern: 'a.?', topic: 'a.bc' },
        { source, target: { ...target, topics: true } },
      ],
      [
        { pattern: 'a.*', topic: 'b.{key}' },
        { source, target: { ...target, topics: true } },
      ],
      [
        { pattern: 'a.b.*', topic: 'a.{key}' },
        { source, target: { ...target, topics: true, echo: true } },
      ],
      [
        { channel: 'a.b', topic: 'a.{key}' },
        { source, target: { ...target, topics: true, echo: true } },
      ],
      [
        { channel: 'b', topic: '{topic}' },
        { source, target: { ...target, topics: true, echo: true } },
      ],
      [
        { channel: 'a', sharded: true },
        { source, target: { ...target, echo: true } },
      ],
    ]
    for (const [options, expected] of cases) assert.deepEqual(await load(options), expected, JSON.stringify(options))
  })

  test('options that exclude one another are errors that say what to write', async () => {
    const url = `redis://user:${SECRET}@host:1/2`
    const cases: [object, RegExp[]][] = [
      [{}, [/^needs 'channel', 'channels', 'pattern' or 'patterns' to subscribe to, or 'topic' to publish to$/]],
      [{ channel: 'a', channels: ['b'] }, [/^channel: excludes 'channels': write all of them in 'channels'/]],
      [{ pattern: 'a', patterns: ['b'] }, [/^pattern: excludes 'patterns'/]],
      [{ sharded: true, pattern: 'a' }, [/^pattern: excludes 'sharded': sharded Pub\/Sub has no patterns$/]],
      [{ channel: 'ab', pattern: 'a*' }, [/^channel: 'ab' is matched by 'a\*' too: .* twice$/]],
      [{ channel: 'a', url, host: 'b' }, [/^host: excludes 'url': write them into the url$/]],
      [
        { channel: 'a', url, connection: 'b', cluster: { nodes: ['c'] } },
        [/^url: excludes 'connection'/, /^cluster: excludes 'connection'/],
      ],
      [
        { channel: 'a', connection: 'b', password: SECRET },
        [/^password: excludes 'connection': the application has made/],
      ],
      [{ channel: 'a', cluster: { nodes: ['c'] }, db: 1 }, [/^db: excludes 'cluster': a cluster has one database$/]],
      [
        { channel: 'a', url, username: 'b', password: SECRET, db: 1 },
        [/^username: stands/, /^password: stands/, /^db: stands/],
      ],
      [{ channel: 'a', username: 'b' }, [/^username: needs a 'password'$/]],
      [{ channel: 'a', url: 'redis://user@host' }, [/^url: needs a 'password'$/]],
      [{ channel: 'a', url: 'rediss://host', tls: false }, [/^tls: the url says TLS: write redis:/]],
      [{ channel: 'a', url: 'redis://host', tls: true }, [/^tls: the url says no TLS: write rediss:/]],
      [{ channel: 'a', tls: { cert: 'a.pem' } }, [/^tls: 'cert' needs 'key' beside it$/]],
      [{ channel: 'a', topic: 'b.{' }, [/^topic: '\{' without '\}'/]],
      [{ channel: 'a\nb' }, [/^channel: /]],
      [{ channel: 'a', chanel: 'b' }, [/^unknown key 'chanel'; did you mean 'channel'/]],
      [{ channel: 'a', cluster: { node: ['b'] } }, [/^cluster: unknown key 'node'; did you mean 'nodes'/]],
      [
        { channel: 'a', sentinel: { name: 'b', nodes: [`user:${SECRET}@host`] } },
        [/^sentinel: names no server: write host:port$/],
      ],
      [{ channel: 'a', cluster: { nodes: ['b'], 'nat-map': { 'c:1': 'd:x' } } }, [/^cluster: names no server/]],
    ]
    for (const [options, expected] of cases) {
      const messages = await load(options)
      const label = `${JSON.stringify(options)} gives ${JSON.stringify(messages)}`
      assert.ok(Array.isArray(messages), label)
      assert.equal(messages.length, expected.length, label)
      for (const [index, pattern] of expected.entries()) assert.match(messages[index] ?? '', pattern, label)
      assert.doesNotMatch(label.split(' gives ')[1] ?? '', new RegExp(SECRET))
    }
  })

  test('patterns match what Redis says they match', { skip: need('redis-server') }, async (t) => {
    const redis = await startRedis({ t })
    const client = await connectClient(t, redis)
    const character = fc.constantFrom('a', 'b', 'c', '-', '*', '?', '[', ']', '^', '\\', '.')
    const text = fc.array(character, { minLength: 1, maxLength: 7 }).map((each) => each.join(''))
    await fc.assert(
      fc.asyncProperty(text, fc.array(text, { minLength: 1, maxLength: 5 }), async (pattern, channels) => {
        await client.flushdb()
        await client.mset(Object.fromEntries(channels.map((channel) => [channel, '1'])))
        const matched = new Set(await client.keys(pattern))
        for (const channel of channels) {
          assert.equal(matches(pattern, channel), matched.has(channel), `'${pattern}' and '${channel}'`)
          if (matched.has(channel)) assert.ok(channel.startsWith(literalPrefix(pattern)))
        }
      }),
      { numRuns: 400 },
    )
  })
})
