/** Formats in a whole relay: what does not decode is counted, kept as it came, and harms nothing else. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encode as encodeCbor } from 'cbor-x'
import { Redis } from 'ioredis'
import { pack } from 'msgpackr'
import { MockEndpoint } from '../../lib/index.ts'
import type { ConfigObject } from '../../lib/plugin.ts'
import { configOf, relayServer } from '../support/relay.ts'
import { startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

function withMarshallers(config: ConfigObject, ...marshallers: object[]): ConfigObject {
  return { ...config, plugins: { ...config.plugins, 'araldo.marshalling': marshallers } }
}

describe('formats in a relay', { skip: need('redis-server') }, () => {
  for (const [format, encode] of [
    ['msgpack', pack],
    ['cbor', encodeCbor],
  ] as const) {
    test(`${format} to JSON: garbage goes to the dead letters as it came, and what follows arrives`, async (t) => {
      const redis = await startRedis({ t })
      const client = new Redis(redis.url)
      t.after(() => client.disconnect())
      const { url } = redis
      const config = configOf(
        {
          in: { id: 'endpoint-redis-stream', url, stream: 'in', marshalling: 'binary' },
          out: { id: 'endpoint-redis-stream', url, topic: 'out' },
          dead: { id: 'endpoint-redis-stream', url, topic: 'dead', marshalling: 'bytes' },
        },
        { in: [{ to: 'out', map: '{"total": body.total * 2.0, "blob": body.blob}', 'dead-letter': 'dead' }] },
      )
      const marshallers = [
        { name: 'binary', id: `marshal-${format}` },
        { name: 'bytes', id: 'marshal-raw' },
      ]
      const server = await relayServer(t, { config: withMarshallers(config, ...marshallers) })
      await server.ready()

      const garbage = [
        Buffer.from('dfffffffff', 'hex'),
        Buffer.from([0xc1]),
        Buffer.alloc(100_000, 0x9f),
        Buffer.alloc(0),
      ]
      const good = (total: number): Buffer => Buffer.from(encode({ total, blob: Buffer.from('hi') }))
      for (const [index, bytes] of garbage.entries()) {
        await client.xadd('in', '*', 'payload', good(index), 'id', `good-${index}`)
        await client.xadd('in', '*', 'payload', bytes, 'id', `bad-${index}`)
      }

      await until(async () => (await client.xlen('out')) === 4 && (await client.xlen('dead')) === 4)
      const fields = (entry: [string, string[]]): string => entry[1][entry[1].indexOf('payload') + 1] as string
      const out = (await client.xrange('out', '-', '+')).map(fields)
      assert.deepEqual(
        out,
        [0, 2, 4, 6].map((total) => `{"total":${total},"blob":"aGk="}`),
      )
      const letters = await client.xrangeBuffer('dead', '-', '+')
      const member = (entry: Buffer[], name: string): Buffer | undefined =>
        entry[entry.findIndex((each) => String(each) === name) + 1]
      assert.deepEqual(
        letters.map(([, entry]) => member(entry, 'payload')?.toString('hex')),
        garbage.map((bytes) => bytes.toString('hex')),
      )
      assert.equal(String(member((letters[0] as [Buffer, Buffer[]])[1], 'araldo-error-code')), 'ARALDO_ERR_UNDECODABLE')
      await until(async () => Number((await client.xpending('in', 'araldo'))[0]) === 0)
      const [lane] = server.araldo.routes[0]?.lanes ?? []
      const { received, delivered, deadLettered } = (lane as NonNullable<typeof lane>).ledger
      assert.deepEqual([received, delivered, deadLettered], [8, 4, 4])
    })
  }

  test('without dead letters, garbage is counted as invalid', async (t) => {
    const config = configOf(
      { in: { id: 'endpoint-app', marshalling: 'binary' }, out: { id: 'endpoint-mock' } },
      { in: [{ to: 'out', when: 'body.a == 1.0' }] },
    )
    const server = await relayServer(t, { config: withMarshallers(config, { name: 'binary', id: 'marshal-cbor' }) })
    await server.ready()
    await assert.rejects(
      server.araldo.publish('in', Buffer.from([0xff])),
      /ARALDO_ERR_UNDELIVERABLE|cannot be decoded|not/,
    )
    await server.araldo.publish('in', Buffer.from('a1616101', 'hex'))
    const mock = server.araldo.endpoints.get('out')
    assert.ok(mock instanceof MockEndpoint)
    assert.deepEqual(
      mock.kept.map(({ payload }) => payload.toString()),
      ['{"a":1}'],
    )
  })

  test('CloudEvents from a stream: attributes for steps, an event in binary mode to another', async (t) => {
    const redis = await startRedis({ t })
    const client = new Redis(redis.url)
    t.after(() => client.disconnect())
    const { url } = redis
    const config = configOf(
      {
        in: { id: 'endpoint-redis-stream', url, stream: 'in', marshalling: 'events' },
        out: { id: 'endpoint-redis-stream', url, topic: 'out', marshalling: 'binary' },
        plain: { id: 'endpoint-redis-stream', url, topic: 'plain' },
        dead: { id: 'endpoint-redis-stream', url, topic: 'dead', marshalling: 'events' },
      },
      {
        in: [
          { to: 'out', when: 'headers[?"ce-type"].orValue("") == "shop.order"', 'dead-letter': 'dead' },
          { to: 'plain', map: 'body', 'dead-letter': 'dead' },
        ],
      },
    )
    const marshallers = [
      { name: 'events', id: 'marshal-cloudevents' },
      { name: 'binary', id: 'marshal-cloudevents', mode: 'binary' },
    ]
    const server = await relayServer(t, { config: withMarshallers(config, ...marshallers) })
    await server.ready()
    const event = { specversion: '1.0', id: '7', source: '/shop', type: 'shop.order', data: { total: 5 } }
    await client.xadd('in', '*', 'payload', JSON.stringify(event))
    await client.xadd('in', '*', 'payload', JSON.stringify({ ...event, id: '8', type: 'shop.refund' }))
    await client.xadd('in', '*', 'payload', 'no event')

    await until(async () => (await client.xlen('plain')) === 2 && (await client.xlen('dead')) === 1)
    const [[, fields]] = (await client.xrange('out', '-', '+')) as [[string, string[]]]
    const entry = Object.fromEntries(
      Array.from({ length: fields.length / 2 }, (_, index) => fields.slice(2 * index, 2 * index + 2)),
    )
    assert.deepEqual(
      [entry['payload'], entry['id'], entry['ce-id'], entry['ce-type']],
      ['{"total":5}', '/shop#7', '7', 'shop.order'],
    )
    assert.equal(entry['content-type'], 'application/json')
    assert.equal(await client.xlen('out'), 1)
    const [[, letter]] = (await client.xrange('dead', '-', '+')) as [[string, string[]]]
    assert.equal(letter[letter.indexOf('payload') + 1], 'no event')
  })

  test('an application publishes events in binary mode, too', async (t) => {
    const config = configOf(
      { in: { id: 'endpoint-app', marshalling: 'events' }, out: { id: 'endpoint-mock', marshalling: 'events' } },
      { in: ['out'] },
    )
    const server = await relayServer(t, {
      config: withMarshallers(config, { name: 'events', id: 'marshal-cloudevents' }),
    })
    await server.ready()
    const headers = { 'ce-specversion': '1.0', 'ce-id': '5', 'ce-source': '/a', 'ce-type': 't' }
    await server.araldo.publish('in', Buffer.from('{"a":1}'), { headers })
    const mock = server.araldo.endpoints.get('out') as MockEndpoint
    const { payload, id } = mock.kept[0] as { payload: Buffer; id: string }
    assert.deepEqual([JSON.parse(payload.toString()).data, id], [{ a: 1 }, '/a#5'])
  })
})
