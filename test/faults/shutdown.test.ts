/** An orderly end under load. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/wait.ts'
import { compare } from './support/message.ts'
import {
  connectRedis,
  groupOf,
  receiptsOf,
  startDurableRedis,
  startProducer,
  untilAcknowledged,
} from './support/redis.ts'
import { isQuiet, Others, percent, startRelay, Watch } from './support/relay.ts'
import { isLong, needs, PATIENCE, report, scaled, seconds } from './support/scale.ts'
import { SOURCE, streams } from './support/streams.ts'

/** Milliseconds; the tests' own patience with a process that is asked to end is longer. */
const SHUTDOWN_TIMEOUT = 6_000
/** Half of what a source has in hand at most. */
const HELD = 256

describe('SIGTERM', { skip: needs }, () => {
  const global = { 'shutdown-timeout': SHUTDOWN_TIMEOUT }

  test('under load ends it in order: nothing is lost, nothing comes twice', async (t) => {
    const rate = scaled(1_500, 5_000)
    const redis = await startDurableRedis(t)
    const relay = await startRelay({ t, config: streams({ from: redis.url, to: { out: redis.url }, global }) })
    await relay.until((scrape) => scrape.isUp(SOURCE) && scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [[SOURCE, 'out']])
    const client = await connectRedis(t, redis)
    const others = new Others(relay, redis.process)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate })
    await until(async () => (await client.xlen('out')) > scaled(rate, 2 * rate), {
      timeout: PATIENCE,
      message: 'a full flow',
    })

    const { share } = others
    const began = performance.now()
    const exit = await relay.stop()
    const took = performance.now() - began
    const { pending, read } = await groupOf(client, SOURCE)
    const delivered = await client.xlen('out')
    await watch.stop()
    const count = await producer.stop()
    await relay.start()
    await untilAcknowledged(client, SOURCE)
    const difference = compare(await receiptsOf(client, SOURCE), await receiptsOf(client, 'out'))
    const { lost, duplicates } = difference
    report(t, {
      'messages/s': rate,
      messages: count,
      'ended after': seconds(took),
      'other programs': percent(share),
      lost,
      duplicates,
    })
    assert.deepEqual(exit, { code: 0, signal: null })
    if (isLong && isQuiet(share)) assert.ok(took < SHUTDOWN_TIMEOUT, `ended after ${took} ms`)
    assert.equal(read - pending, delivered, 'what it had delivered it had acknowledged')
    assert.deepEqual([difference.messages, lost, duplicates, difference.corrupted], [count, 0, 0, 0])
    assert.equal(difference.disordered, 0)
  })

  test('with a target that is down ends it in time, and the next relay gets the rest', async (t) => {
    const rate = scaled(500, 1_000)
    const [redis, other] = await Promise.all([startDurableRedis(t), startDurableRedis(t)])
    const to = { out: redis.url, down: other.url }
    const relay = await startRelay({ t, config: streams({ from: redis.url, to, global }) })
    await relay.until((scrape) => ['in', 'out', 'down'].every((name) => scrape.isUp(name)), 'the relay to be connected')
    const client = await connectRedis(t, redis)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate })
    await until(async () => (await client.xlen('out')) > rate, { timeout: PATIENCE, message: 'a flow' })
    await other.kill()
    await relay.until((scrape) => scrape.lane(SOURCE, 'down').waiting > HELD, 'messages to wait for the target')

    const began = performance.now()
    const exit = await relay.stop()
    const took = performance.now() - began
    const { pending } = await groupOf(client, SOURCE)
    const count = await producer.stop()
    await other.start()
    await relay.start()
    await untilAcknowledged(client, SOURCE)
    const source = await receiptsOf(client, SOURCE)
    const differences = [
      compare(source, await receiptsOf(client, 'out')),
      compare(source, await receiptsOf(await connectRedis(t, other), 'down')),
    ]
    const [lost, duplicates] = [
      differences.map((difference) => difference.lost),
      differences.map((difference) => difference.duplicates),
    ]
    report(t, {
      messages: count,
      'ended after': seconds(took),
      redelivered: pending,
      lost: lost.join(' and '),
      'duplicates (healthy, down)': duplicates.join(' and '),
    })
    assert.equal(exit.signal, null)
    if (isLong) assert.ok(took < SHUTDOWN_TIMEOUT, `ended after ${took} ms`)
    assert.ok(pending > HELD, 'what waited was not acknowledged')
    for (const difference of differences) {
      assert.deepEqual([difference.messages, difference.lost, difference.corrupted], [count, 0, 0])
    }
  })
})
