/** The relay itself dies under load, again and again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/wait.ts'
import { compare } from './support/message.ts'
import { connectRedis, receiptsOf, startDurableRedis, startProducer, untilAcknowledged } from './support/redis.ts'
import { startRelay, Watch } from './support/relay.ts'
import { needs, PATIENCE, report, scaled } from './support/scale.ts'
import { SOURCE, streams } from './support/streams.ts'

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
})
