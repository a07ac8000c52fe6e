import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConfigError } from '../../../../lib/config/diagnostics.ts'
import { loadConfig } from '../../../../lib/config.ts'
import { hears } from '../../../../lib/endpoints/redis/stream/checks.ts'
import type { StreamOptions } from '../../../../lib/endpoints/redis/stream/options.ts'
import { createRegistries } from '../../../../lib/plugin.ts'
import type { Capabilities } from '../../../../lib/types.ts'
import { configOf } from '../../../support/relay.ts'

/** What is wrong with these options, or what they make the endpoint capable of. */
async function load(options: object): Promise<Capabilities | string[]> {
  const config = configOf({ orders: { id: 'endpoint-redis-stream', ...options } }, {})
  try {
    const { endpoints } = await loadConfig(config, createRegistries())
    const [endpoint] = endpoints
    return endpoint!.type.capabilities(endpoint!.options)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = error.diagnostics.filter(({ severity }) => severity === 'error')
    return problems.map(({ message }) => message.replace("endpoint 'orders': ", ''))
  }
}

describe('endpoint-redis-stream, options', () => {
  test('capabilities follow from the streams', async () => {
    const source = { ack: true, pause: true, replay: true, headers: true, topics: true }
    const target = { confirm: true, pipelined: true, headers: true, topics: false, echo: false, shared: true }
    const cases: [object, Capabilities][] = [
      [{ stream: 'a' }, { source, target: { ...target, echo: true } }],
      [{ streams: ['a', 'b'] }, { source, target: null }],
      [{ topic: 'a' }, { source: null, target: { ...target, topics: true } }],
      [
        { stream: 'a', topic: 'b' },
        { source, target: { ...target, topics: true } },
      ],
      [
        { streams: ['a', 'b'], topic: 'b' },
        { source, target: { ...target, topics: true, echo: true } },
      ],
      [
        { stream: 'a.b', topic: 'a.{key}' },
        { source, target: { ...target, topics: true, echo: true } },
      ],
      [
        { stream: 'a.b', topic: 'b.{key}' },
        { source, target: { ...target, topics: true } },
      ],
      [
        { cluster: { nodes: ['c'] }, streams: ['{a}.new', '{a}.paid'] },
        { source, target: null },
      ],
    ]
    for (const [options, expected] of cases) assert.deepEqual(await load(options), expected, JSON.stringify(options))
  })

  test('who writes to a stream that another reads is heard by it', () => {
    const url = 'redis://127.0.0.1:6379'
    const options = (each: object): StreamOptions => ({ url, ...each }) as StreamOptions
    const cases: [object, object, boolean][] = [
      [{ stream: 'a' }, { topic: 'a' }, true],
      [{ stream: 'a' }, { stream: 'a' }, true],
      [{ streams: ['a', 'b'] }, { topic: 'b' }, true],
      [{ stream: 'a' }, { topic: 'b' }, false],
      [{ topic: 'a' }, { topic: 'a' }, false],
      [{ stream: 'a' }, { streams: ['a'] }, false],
      [{ stream: 'in.a' }, { topic: 'in.{key}' }, true],
      [{ stream: 'in.a' }, { topic: 'out.{key}' }, false],
      [{ stream: 'in.a' }, { topic: '{key}.b' }, false],
      [{ stream: 'a', db: 1 }, { topic: 'a' }, false],
      [{ stream: 'a' }, { url: 'redis://127.0.0.1:6380', topic: 'a' }, false],
    ]
    for (const [here, there, expected] of cases) {
      assert.equal(hears(options(here), options(there)), expected, JSON.stringify([here, there]))
    }
  })

  test('mistakes are errors that say what to write', async () => {
    const cases: [object, RegExp[]][] = [
      [{}, [/^needs 'stream' or 'streams' to read, or 'topic' to write to$/]],
      [{ stream: 'a', streams: ['b'] }, [/^stream: excludes 'streams': write all of them in 'streams'/]],
      [{ stream: 'a', 'max-length': 1, 'max-age': '1h' }, [/^max-age: excludes 'max-length': Redis trims by one/]],
      [{ streams: ['a'], 'max-length': 1 }, [/^max-length: trims what is written to, and nothing is/]],
      [{ cluster: { nodes: ['c'] }, streams: ['a', 'b'] }, [/^streams: a cluster has them on several nodes/]],
      [{ cluster: { nodes: ['c'] }, streams: ['{}a', '{}b'] }, [/^streams: a cluster has them on several nodes/]],
      [{ stream: 'a', start: 'begin' }, [/^start: /]],
      [{ stream: 'a', 'payload-field': 'key' }, [/^payload-field: 'key' holds something else of a message$/]],
      [{ stream: 'a\nb' }, [/^stream: /]],
      [{ stream: 'a', topic: 'b.{' }, [/^topic: '\{' without '\}'/]],
      [{ stream: 'a', 'claim-after': '10ms' }, [/^claim-after: /]],
      [
        { stream: 'a', 'max-pending': { message: 1 } },
        [/^max-pending: unknown key 'message'; did you mean 'messages'/],
      ],
      [{ stream: 'a', channel: 'b' }, [/^unknown key 'channel'/]],
      [{ stream: 'a', url: 'redis://h', host: 'h' }, [/^host: excludes 'url'/]],
    ]
    for (const [options, expected] of cases) {
      const messages = await load(options)
      const label = `${JSON.stringify(options)} gives ${JSON.stringify(messages)}`
      assert.ok(Array.isArray(messages), label)
      assert.equal(messages.length, expected.length, label)
      for (const [index, pattern] of expected.entries()) assert.match(messages[index] ?? '', pattern, label)
    }
  })
})
