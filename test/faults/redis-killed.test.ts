/** The broker of a source and a target dies under load and comes back. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DEFAULT_CONCURRENCY } from '../../lib/delivery/guarantee.ts'
import { until } from '../support/wait.ts'
import { compare } from './support/message.ts'
import { connectRedis, receiptsOf, startDurableRedis, startProducer, untilAcknowledged } from './support/redis.ts'
import { Memory, startRelay, Watch } from './support/relay.ts'
import { isLong, mebibytes, needs, PATIENCE, report, scaled, seconds } from './support/scale.ts'
import { SOURCE, streams } from './support/streams.ts'

describe('a Redis that is killed', { skip: needs }, () => {
  test('under a load from stream to stream loses nothing', async (t) => {
    const count = scaled(2_500, 20_000)
    const redis = await startDurableRedis(t)
    const relay = await startRelay({ t, config: streams({ from: redis.url, to: { out: redis.url } }) })
    await relay.until((scrape) => scrape.isUp(SOURCE) && scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [[SOURCE, 'out']])
    const client = await connectRedis(t, redis)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate: scaled(1_000, 2_000), count })
    const arrived = (messages: number): Promise<unknown> =>
      until(async () => (await client.xlen('out')) > messages, {
        timeout: PATIENCE,
        message: `${messages} messages to arrive`,
      })

    await arrived(count * 0.3)
    const memory = new Memory(relay)
    await arrived(count * 0.4)
    await redis.kill()
    await sleep(scaled(200, 2_000))
    await redis.start()
    const started = performance.now()
    await until(() => client.status === 'ready', { timeout: PATIENCE, message: 'the test itself to be connected' })
    await arrived(await client.xlen('out'))
    const flowing = performance.now() - started
    await producer.finished
    await untilAcknowledged(client, SOURCE)
    const { growth } = memory
    const { waiting, received, delivered } = (await relay.scrape()).lane(SOURCE, 'out')
    await watch.stop()

    const source = await receiptsOf(client, SOURCE)
    const difference = compare(source, await receiptsOf(client, 'out'))
    report(t, {
      messages: count,
      lost: difference.lost,
      duplicates: difference.duplicates,
      'flowing again after': seconds(flowing),
      'memory growth': mebibytes(growth),
    })
    assert.deepEqual(
      [...producer.confirmed].filter((number) => !source.counts.has(number)),
      [],
      'Redis kept its word',
    )
    assert.deepEqual([difference.messages, difference.lost, difference.corrupted], [count, 0, 0])
    assert.equal(difference.disordered, 0)
    assert.ok(difference.duplicates <= DEFAULT_CONCURRENCY, `${difference.duplicates} duplicates`)
    assert.equal(waiting, 0)
    assert.equal(received, delivered)
    assert.ok(growth < 64 * 1024 * 1024, `${growth} bytes more memory`)
    if (isLong) assert.ok(flowing < 5_000, `flowing again after ${flowing} ms`)
  })
})
