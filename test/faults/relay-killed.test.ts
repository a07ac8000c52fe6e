/** The relay itself dies under load, again and again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { configOf } from '../support/relay.ts'
import { until, within } from '../support/wait.ts'
import { compare } from './support/message.ts'
import { connectRedis, receiptsOf, startDurableRedis, startProducer, untilAcknowledged } from './support/redis.ts'
import { startRelay, Watch } from './support/relay.ts'
import { needs, PATIENCE, report, scaled, seconds } from './support/scale.ts'
import { Sender } from './support/sender.ts'
import { SOURCE, STREAM_TYPE, streams } from './support/streams.ts'

describe('a relay that is killed', { skip: needs }, () => {
  test('again and again under a load from stream to stream loses nothing', async (t) => {
    const count = scaled(4_000, 100_000)
    const kills = scaled(3, 10)
    const redis = await startDurableRedis(t)
    const relay = await startRelay({ t, config: streams({ from: redis.url, to: { out: redis.url } }) })
    await relay.until((scrape) => scrape.isUp(SOURCE) && scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [[SOURCE, 'out']])
    const client = await connectRedis(t, redis)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate: scaled(1_500, 4_000), count })
    for (let kill = 1; kill <= kills; kill++) {
      const messages = (count * kill) / (kills + 1)
      await until(async () => (await client.xlen('out')) >= messages, {
        timeout: PATIENCE,
        message: `${messages} messages to arrive`,
      })
      assert.equal((await relay.kill()).signal, 'SIGKILL')
      await relay.start()
    }
    await producer.finished
    await untilAcknowledged(client, SOURCE)
    const { waiting } = (await relay.scrape()).lane(SOURCE, 'out')
    await watch.stop()

    const difference = compare(await receiptsOf(client, SOURCE), await receiptsOf(client, 'out'))
    const { lost, duplicates } = difference
    report(t, { messages: count, kills, lost, duplicates })
    assert.deepEqual([difference.messages, lost, difference.corrupted, difference.disordered], [count, 0, 0, 0])
    assert.equal(waiting, 0)
  })

  test('again and again keeps on its disk what it has acknowledged, though the target is down', async (t) => {
    const count = scaled(3_000, 100_000)
    const kills = scaled(3, 10)
    const target = await startDurableRedis(t)
    const relay = await startRelay({
      t,
      config: configOf(
        {
          browsers: { id: 'endpoint-websocket', path: '/ws', 'max-in-flight': 1_000 },
          out: { id: STREAM_TYPE, url: target.url, stream: 'out' },
        },
        { browsers: [{ to: 'out', buffer: { durable: true, path: 'outbox' } }] },
      ),
    })
    await relay.until((scrape) => scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [['browsers', 'out']])
    const sender = new Sender({ t, url: `ws://${relay.host}/ws`, rate: scaled(1_500, 5_000), count, keys: 500 })
    let slowest = 0
    for (let kill = 1; kill <= kills; kill++) {
      const messages = (count * kill) / (kills + 1)
      await until(() => sender.acknowledged.size >= messages, {
        timeout: PATIENCE,
        message: `${messages} messages to be acknowledged`,
      })
      assert.equal((await relay.kill()).signal, 'SIGKILL')
      // Every second time what is on the disk cannot leave it before the next crash.
      if (kill % 2 === 1) await target.kill()
      else await target.start()
      const began = performance.now()
      await relay.start()
      slowest = Math.max(slowest, performance.now() - began)
    }
    if (kills % 2 === 1) await target.start()
    await within(sender.finished, { timeout: PATIENCE, message: 'all messages to be acknowledged' })
    await relay.until((scrape) => scrape.lane('browsers', 'out').waiting === 0, 'all messages to be delivered')
    await watch.stop()

    const { counts, duplicates, corrupted } = await receiptsOf(await connectRedis(t, target), 'out')
    const lost = [...sender.acknowledged].filter((number) => !counts.has(number)).length
    report(t, { messages: count, kills, 'slowest start': seconds(slowest), lost, duplicates })
    assert.deepEqual([counts.size, lost, corrupted], [count, 0, 0])
  })
})
