/** Messages that go round: refused when the config is loaded, or delivered once to each endpoint where headers can tell. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { araldo, configFolder } from '../support/araldo.ts'
import { configOf } from '../support/relay.ts'
import type { RedisServer } from '../support/redis.ts'
import {
  connectRedis,
  GROUP,
  receiptsOf,
  startDurableRedis,
  startProducer,
  untilAcknowledged,
} from './support/redis.ts'
import { startRelay, Watch } from './support/relay.ts'
import { needs, report, scaled } from './support/scale.ts'
import { STREAM_TYPE } from './support/streams.ts'

/** Endpoints in a ring: each is the target of the one before. */
const RINGS: Readonly<Record<string, readonly string[]>> = {
  'a self-cycle': ['a'],
  'a two-cycle': ['a', 'b'],
  'a three-cycle': ['a', 'b', 'c'],
}

function nextOf(ring: readonly string[], index: number): string {
  return ring[(index + 1) % ring.length] as string
}

function lanesOf(ring: readonly string[]): Record<string, string[]> {
  return Object.fromEntries(ring.map((name, index) => [name, [nextOf(ring, index)]]))
}

function streamsOf(ring: readonly string[], { url }: RedisServer): Parameters<typeof configOf>[0] {
  return Object.fromEntries(
    ring.map((name) => [name, { id: STREAM_TYPE, url, stream: name, group: GROUP, consumer: 'relay' }]),
  )
}

describe('a loop', { skip: needs }, () => {
  for (const [what, ring] of Object.entries(RINGS)) {
    test(`${what} is refused where nothing ends it`, async () => {
      const channels = Object.fromEntries(ring.map((name) => [name, { id: 'endpoint-redis', channel: name }]))
      const folder = await configFolder(JSON.stringify(configOf(channels, lanesOf(ring))))
      const { code, stderr } = await araldo(['check'], { cwd: folder })
      assert.equal(code, 1)
      assert.match(stderr, new RegExp(`loop: ${[...ring, 'a'].join(' → ')}`))
    })

    test(`${what} of streams brings each message to each endpoint once`, async (t) => {
      const count = scaled(200, 5_000)
      const redis = await startDurableRedis(t)
      const relay = await startRelay({ t, config: configOf(streamsOf(ring, redis), lanesOf(ring)) })
      await relay.until((scrape) => ring.every((name) => scrape.isUp(name)), 'the relay to be connected')
      const watch = new Watch(t, relay, [])
      const client = await connectRedis(t, redis)
      const producer = await startProducer({ t, redis, stream: 'a', rate: scaled(1_000, 2_000), count })
      await producer.finished
      // Where each message has been everywhere, the lane back to the first one finds it there, and lets it go no further.
      const end = await relay.until((scrape) => {
        const { filtered } = scrape.lane('a', nextOf(ring, 0))
        return filtered >= count
      }, 'every message to be back')
      for (const name of ring) await untilAcknowledged(client, name)
      await watch.stop()

      const deliveries: string[] = []
      for (const [index, name] of ring.entries()) {
        const { counts, duplicates, corrupted } = await receiptsOf(client, name)
        // The first one has what was written to it, too.
        assert.deepEqual([counts.size, duplicates, corrupted], [count, index === 0 ? count : 0, 0], name)
        const { delivered } = end.lane(name, nextOf(ring, index))
        assert.equal(delivered, count)
        deliveries.push(`${nextOf(ring, index)}: ${delivered}`)
      }
      report(t, { messages: count, deliveries: deliveries.join(', ') })
    })
  }

  test('through two relays brings each message to each endpoint once', async (t) => {
    const count = scaled(200, 5_000)
    const redis = await startDurableRedis(t)
    const ring = ['a', 'b']
    const endpoints = streamsOf(ring, redis)
    const relays = await Promise.all(
      ring.map((name, index) => startRelay({ t, config: configOf(endpoints, { [name]: [nextOf(ring, index)] }) })),
    )
    for (const relay of relays) {
      await relay.until((scrape) => ring.every((name) => scrape.isUp(name)), 'both to be connected')
    }
    const client = await connectRedis(t, redis)
    const producer = await startProducer({ t, redis, stream: 'a', rate: scaled(1_000, 2_000), count })
    await producer.finished
    const [first, second] = relays
    await first?.until((scrape) => scrape.lane('a', 'b').filtered >= count, 'every message to be back')
    for (const name of ring) await untilAcknowledged(client, name)
    const [one, two] = [(await first?.scrape())?.lane('a', 'b'), (await second?.scrape())?.lane('b', 'a')]
    assert.deepEqual([one?.received, one?.delivered, one?.filtered], [2 * count, count, count])
    assert.deepEqual([two?.received, two?.delivered, two?.filtered], [count, count, 0])
    const [a, b] = [await receiptsOf(client, 'a'), await receiptsOf(client, 'b')]
    assert.deepEqual([a.counts.size, a.duplicates, b.counts.size, b.duplicates], [count, count, count, 0])
    report(t, { messages: count, deliveries: `b: ${one?.delivered}, a: ${two?.delivered}` })
  })
})
