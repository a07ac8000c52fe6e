/** What two configs differ in, and what tells one from another. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Config, loadConfig } from '../../lib/config.ts'
import { describeDiff, diffConfigs, isSameEndpoint } from '../../lib/reload/diff.ts'
import { canonical, configHash } from '../../lib/reload/fingerprint.ts'
import { createRegistries } from '../../lib/plugin.ts'
import { configOf } from '../support/relay.ts'

const registries = createRegistries()

function load(config: object, env: NodeJS.ProcessEnv = {}): Promise<Config> {
  return loadConfig(config, registries, { env })
}

const MOCK = { id: 'endpoint-mock' }

describe('a fingerprint', () => {
  test('does not depend on the order of keys, and tells values of other types apart', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (record) => {
        const turned = Object.fromEntries(Object.entries(record).toReversed())
        assert.equal(canonical(turned), canonical(record))
      }),
    )
    const different = [1, '1', null, 'null', true, 'true', [1], ['1'], [], {}, [[]], { a: 1 }, { a: '1' }, { a: [1] }]
    assert.equal(new Set(different.map(canonical)).size, different.length)
    assert.equal(canonical({ a: undefined, b: 1 }), canonical({ b: 1 }))
  })

  test('is the text of what was compiled from text', async () => {
    const lanes = ['body.a > 1.0', 'body.a > 2.0'].map(async (when) => {
      const { routes } = await load(configOf({ in: MOCK, out: MOCK }, { in: [{ to: 'out', when }] }))
      return canonical(routes)
    })
    const [one, other] = await Promise.all(lanes)
    assert.notEqual(one, other)
  })
})

describe('the hash of a config', () => {
  test('is the same for configs that do the same, wherever their values come from', async () => {
    const written = await load(configOf({ in: { ...MOCK, channel: 'c', keep: 100 }, out: MOCK }, { in: ['out'] }))
    const fromOutside = await load(configOf({ out: MOCK, in: { channel: '${C}', ...MOCK } }, { in: [{ to: 'out' }] }), {
      C: 'c',
    })
    assert.equal(await configHash(written), await configHash(fromOutside))
    assert.match(await configHash(written), /^[0-9a-f]{12}$/)
  })

  test('is another one for another secret, endpoint, lane or setting', async () => {
    const configs = [
      configOf({ in: { ...MOCK, channel: '${C}' }, out: MOCK }, { in: ['out'] }),
      configOf({ in: { ...MOCK, channel: '${D}' }, out: MOCK }, { in: ['out'] }),
      configOf({ in: { ...MOCK, channel: '${C}' }, out: MOCK, more: MOCK }, { in: ['out'] }),
      configOf({ in: { ...MOCK, channel: '${C}' }, out: MOCK }, { in: [{ to: 'out', optional: true }] }),
      configOf({ in: { ...MOCK, channel: '${C}' }, out: MOCK }, { in: ['out'] }, { 'shutdown-timeout': '3s' }),
    ]
    const hashes = configs.map(async (config) => configHash(await load(config, { C: 'c', D: 'd' })))
    assert.equal(new Set(await Promise.all(hashes)).size, configs.length)
  })
})

describe('a difference', () => {
  test('of a marshaller is one of the endpoints that use it', async () => {
    const config = (id: string): object => ({
      plugins: {
        'araldo.marshalling': [{ name: 'm', id }],
        'araldo.endpoints.endpoint': [
          { name: 'in', ...MOCK, marshalling: 'm' },
          { name: 'out', ...MOCK },
        ],
      },
      routes: { in: ['out'] },
    })
    const [before, after] = [await load(config('marshal-json')), await load(config('marshal-text'))]
    assert.deepEqual(describeDiff(diffConfigs(before, after)), ['~ marshaller m: id', '~ endpoint in: marshalling'])
    assert.equal(isSameEndpoint(before, after, 'in'), false)
    assert.equal(isSameEndpoint(before, after, 'out'), true)
  })

  test('of `required` alone leaves the endpoint as it is', async () => {
    const [before, after] = [
      await load(configOf({ in: MOCK, out: MOCK }, { in: ['out'] })),
      await load(configOf({ in: { ...MOCK, required: true }, out: MOCK }, { in: ['out'] })),
    ]
    assert.deepEqual(diffConfigs(before, after).endpoints.changed, [{ name: 'in', keys: ['required'] }])
    assert.equal(isSameEndpoint(before, after, 'in'), true)
  })

  test('names keys as the config writes them, never values', async () => {
    const lane = (more: object): object =>
      configOf({ in: MOCK, out: MOCK, dead: MOCK }, { in: [{ to: 'out', ...more }] })
    const [before, after] = [
      await load(lane({ key: 'body.id', headers: { a: 'x', b: 'y' } })),
      await load(
        lane({
          headers: { a: 'secret', b: 'y' },
          topic: 't',
          retry: { 'min-delay': 5 },
          buffer: { bytes: 5_000 },
          'dead-letter': 'dead',
        }),
      ),
    ]
    assert.deepEqual(diffConfigs(before, after).lanes.changed, [
      { name: 'in → out', keys: ['key', 'headers.a', 'retry.min-delay', 'buffer.bytes', 'dead-letter', 'topic'] },
    ])
    assert.doesNotMatch(JSON.stringify(diffConfigs(before, after)), /secret/)
  })

  test('names a durable buffer by the keys that it has in the config', async () => {
    const endpoints = { in: MOCK, out: { id: 'endpoint-redis-stream', topic: 'out' } }
    const withBuffer = (buffer: object): Promise<Config> => load(configOf(endpoints, { in: [{ to: 'out', buffer }] }))
    const keysOf = (before: Config, after: Config): readonly string[] =>
      diffConfigs(before, after).lanes.changed.flatMap(({ keys }) => keys)
    const disk = await withBuffer({ durable: true, path: 'a' })
    const other = await withBuffer({ durable: true, path: 'b', bytes: '5GiB', messages: 5 })
    assert.deepEqual(keysOf(disk, other), ['buffer.messages', 'buffer.bytes', 'buffer.path'])
    const memory = await withBuffer({})
    const expected = ['buffer.bytes', 'buffer.durable', 'buffer.path', 'delivery', 'overflow']
    assert.deepEqual(keysOf(memory, disk).toSorted(), expected)
  })
})
