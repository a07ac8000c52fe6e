/** A long outage of a target, while messages come from a source that cannot be paused. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { configOf } from '../support/relay.ts'
import { startRedis } from '../support/redis.ts'
import { assertExact } from './support/message.ts'
import { connectRedis, receiptsOf, startDurableRedis, startProducer } from './support/redis.ts'
import { Memory, startRelay, Watch } from './support/relay.ts'
import { mebibytes, needs, report, scaled } from './support/scale.ts'
import { STREAM_TYPE } from './support/streams.ts'

const MIB = 1024 * 1024

describe('an outage', { skip: needs }, () => {
  test('under messages from Pub/Sub costs the bound of the outbox, and every drop is counted', async (t) => {
    const down = scaled(3_000, 120_000)
    const rate = 1_000
    const buffer = { messages: scaled(1_000, 10_000), bytes: scaled(MIB, 8 * MIB) }
    const [source, target] = await Promise.all([startRedis({ t }), startDurableRedis(t)])
    const relay = await startRelay({
      t,
      config: configOf(
        {
          in: { id: 'endpoint-redis', url: source.url, pattern: 'in-*' },
          out: { id: STREAM_TYPE, url: target.url, stream: 'out' },
        },
        { in: [{ to: 'out', buffer }] },
      ),
    })
    await relay.until((scrape) => scrape.isUp('in') && scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [['in', 'out']])
    const producer = await startProducer({ t, redis: source, channel: 'in', rate })
    await relay.until((scrape) => scrape.lane('in', 'out').delivered > scaled(rate, 20 * rate), 'a warm relay')
    const memory = new Memory(relay)
    await target.kill()
    await sleep(down)
    await relay.until((scrape) => scrape.lane('in', 'out').dropped > 0, 'messages to be dropped')
    const { growth } = memory
    await target.start()
    await relay.until((scrape) => scrape.lane('in', 'out').waiting < rate / 2, 'it to be back')
    const count = await producer.stop()
    const end = await relay.until(
      (scrape) => scrape.lane('in', 'out').waiting === 0 && scrape.lane('in', 'out').received === count,
      'nothing to wait any more',
    )
    const most = watch.most('in', 'out')
    await watch.stop()

    const { counts, duplicates, corrupted } = await receiptsOf(await connectRedis(t, target), 'out')
    const { dropped, delivered, inDoubt } = end.lane('in', 'out')
    report(t, {
      messages: count,
      'down for': `${down / 1_000} s`,
      'waiting at most': `${most.messages} messages, ${mebibytes(most.bytes)}`,
      'memory growth': mebibytes(growth),
      limit: mebibytes(buffer.bytes),
      missed: count - counts.size,
      'counted as dropped': dropped,
      'of these in doubt': inDoubt,
    })
    assert.equal(corrupted, 0)
    assert.equal(duplicates, 0)
    assert.equal(dropped, count - delivered)
    assertExact(count - counts.size, { dropped, inDoubt })
    assert.ok(most.messages <= buffer.messages && most.bytes <= buffer.bytes)
    assert.ok(growth <= buffer.bytes + 32 * MIB, `${growth} bytes more memory`)
  })
})
