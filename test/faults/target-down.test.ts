/** One of three targets is down for a while: required by the promise, or the best effort only. */
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { RedisServer } from '../support/redis.ts'
import { until } from '../support/wait.ts'
import { assertExact, compare } from './support/message.ts'
import {
  connectRedis,
  groupOf,
  readStream,
  receiptsOf,
  startDurableRedis,
  startProducer,
  timeOf,
  untilAcknowledged,
} from './support/redis.ts'
import { type RelayProcess, startRelay, Watch } from './support/relay.ts'
import { isLong, needs, report, scaled } from './support/scale.ts'
import { SOURCE, streams } from './support/streams.ts'

const TARGETS = ['one', 'two', 'three'] as const

interface Setting {
  readonly source: RedisServer
  readonly servers: readonly RedisServer[]
  readonly relay: RelayProcess
  readonly watch: Watch
  /** Of the source. */
  readonly client: Redis
}

/** A relay from one Redis to three others. */
async function startThree(t: TestContext, lanes: Readonly<Record<string, object>> = {}): Promise<Setting> {
  const [source, ...servers] = await Promise.all([SOURCE, ...TARGETS].map(() => startDurableRedis(t)))
  assert.ok(source !== undefined)
  const to = Object.fromEntries(TARGETS.map((name, index) => [name, servers[index]?.url as string]))
  const relay = await startRelay({ t, config: streams({ from: source.url, to, lanes }) })
  const names = [SOURCE, ...TARGETS]
  await relay.until((scrape) => names.every((name) => scrape.isUp(name)), 'the relay to be connected')
  const watch = new Watch(
    t,
    relay,
    TARGETS.map((name) => [SOURCE, name]),
  )
  return { source, servers, relay, watch, client: await connectRedis(t, source) }
}

describe('a target that is down', { skip: needs }, () => {
  const down = scaled(2_000, 60_000)

  test('and required holds the acknowledgement back; the others get everything once, and in the end it does, too', async (t) => {
    const { source, servers, relay, watch, client } = await startThree(t)
    const broken = servers[2] as RedisServer
    const rate = scaled(500, 500)
    const producer = await startProducer({ t, redis: source, stream: SOURCE, rate })
    await relay.until((scrape) => scrape.lane(SOURCE, 'three').delivered > rate, 'a flow')
    await broken.kill()
    await relay.until((scrape) => !scrape.isUp('three') && scrape.lane(SOURCE, 'one').received > rate, 'it to be down')
    // What was confirmed before is acknowledged by now.
    await until(async () => {
      const before = await groupOf(client, SOURCE)
      await sleep(200)
      const after = await groupOf(client, SOURCE)
      return after.read - after.pending === before.read - before.pending
    })
    const atKill = await groupOf(client, SOURCE)
    const acknowledged = atKill.read - atKill.pending
    await sleep(down)
    const atEnd = await groupOf(client, SOURCE)
    const early = atEnd.read - atEnd.pending - acknowledged
    await broken.start()
    const count = await producer.stop()
    const delivered = await receiptsOf(await connectRedis(t, servers[0] as RedisServer), 'one')
    await untilAcknowledged(client, SOURCE)
    const end = await relay.scrape()
    await watch.stop()

    const sent = await receiptsOf(client, SOURCE)
    const differences = []
    for (const [index, name] of TARGETS.entries()) {
      const target = await receiptsOf(await connectRedis(t, servers[index] as RedisServer), name)
      differences.push(compare(sent, target))
      assert.equal(end.lane(SOURCE, name).waiting, 0)
    }
    report(t, {
      messages: count,
      'down for': `${down / 1_000} s`,
      'acknowledged meanwhile': early,
      lost: differences.map(({ lost }) => lost).join(', '),
      duplicates: differences.map(({ duplicates }) => duplicates).join(', '),
      'waiting at most': watch.most(SOURCE, 'three').messages,
    })
    assert.equal(early, 0, 'nothing was acknowledged that the broken target had not confirmed')
    assert.ok(delivered.counts.size > acknowledged, 'the others went on')
    for (const difference of differences) {
      const { messages, lost, corrupted, disordered } = difference
      assert.deepEqual([messages, lost, corrupted, disordered], [count, 0, 0, 0])
    }
    assert.deepEqual([differences[0]?.duplicates, differences[1]?.duplicates], [0, 0], 'at the healthy ones')
  })

  test('and optional costs the others nothing, and what it misses is counted exactly', async (t) => {
    const buffer = { messages: 1_000 }
    const { source, servers, relay, watch, client } = await startThree(t, { three: { optional: true, buffer } })
    const broken = servers[2] as RedisServer
    const rate = scaled(700, 2_000)
    const producer = await startProducer({ t, redis: source, stream: SOURCE, rate })
    await relay.until((scrape) => scrape.lane(SOURCE, 'three').delivered > rate * 2, 'a flow')
    await broken.kill()
    await relay.until((scrape) => scrape.lane(SOURCE, 'three').dropped > 0, 'messages to be dropped')
    const [began] = (await client.time()) as unknown as [string]
    await sleep(down)
    const [ended] = (await client.time()) as unknown as [string]
    await broken.start()
    await relay.until((scrape) => scrape.lane(SOURCE, 'three').waiting < rate / 2, 'it to be back')
    const count = await producer.stop()
    await untilAcknowledged(client, SOURCE)
    const end = await relay.until((scrape) => scrape.lane(SOURCE, 'three').waiting === 0, 'nothing to wait any more')
    await watch.stop()

    const sent = await receiptsOf(client, SOURCE)
    const [one, two, three] = await Promise.all(servers.map((server) => connectRedis(t, server)))
    for (const [target, name] of [
      [one, 'one'],
      [two, 'two'],
    ] as const) {
      const { messages, lost, duplicates, corrupted } = compare(sent, await receiptsOf(target as Redis, name))
      assert.deepEqual([messages, lost, duplicates, corrupted], [count, 0, 0, 0], name)
    }
    const missed = compare(sent, await receiptsOf(three as Redis, 'three'))
    const { received, dropped, inDoubt } = end.lane(SOURCE, 'three')
    const rates = await ratesOf(one as Redis, 'one', Number(began) * 1_000, Number(ended) * 1_000)
    report(t, {
      messages: count,
      'down for': `${down / 1_000} s`,
      'messages/s at the others before': Math.round(rates.before),
      'messages/s at the others meanwhile': Math.round(rates.during),
      missed: missed.lost,
      'counted as dropped': dropped,
      'of these in doubt': inDoubt,
      'duplicates at the broken one': missed.duplicates,
    })
    assert.equal(received, count)
    assertExact(missed.lost, { dropped, inDoubt })
    assert.equal(missed.duplicates, 0)
    assert.ok(watch.most(SOURCE, 'three').messages <= buffer.messages)
    if (isLong) assert.ok(rates.during >= rates.before * 0.9, `${rates.during} messages/s, ${rates.before} before`)
  })
})

/** How many messages came in a second, before and within a time (milliseconds, of the server's clock). */
async function ratesOf(
  client: Redis,
  stream: string,
  from: number,
  to: number,
): Promise<{ before: number; during: number }> {
  const times: number[] = []
  await readStream(client, stream, (entry) => times.push(timeOf(entry)))
  // The first second, in which the relay warms up, is nobody's.
  const first = (times[0] as number) + 1_000
  const countWithin = (begin: number, end: number): number =>
    (times.filter((time) => time >= begin && time < end).length * 1_000) / (end - begin)
  return { before: countWithin(first, from), during: countWithin(from, to) }
}
