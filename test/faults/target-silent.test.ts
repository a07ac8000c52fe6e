/** A target that accepts what it is sent and never answers: a process that is stopped, with its connections open. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { compare } from './support/message.ts'
import {
  connectRedis,
  groupOf,
  receiptsOf,
  startDurableRedis,
  startProducer,
  untilAcknowledged,
} from './support/redis.ts'
import { Memory, startRelay, Watch } from './support/relay.ts'
import { isLong, mebibytes, needs, report, scaled, seconds } from './support/scale.ts'
import { SOURCE, streams } from './support/streams.ts'

describe('a target that never answers', { skip: needs }, () => {
  test('is noticed, costs its bound and no more, and gets everything when it is well again', async (t) => {
    const buffer = { messages: scaled(500, 4_000) }
    const options = isLong ? {} : { 'ping-interval': '500ms' }
    const [redis, silent] = await Promise.all([startDurableRedis(t), startDurableRedis(t)])
    const config = streams({ from: redis.url, to: { out: silent.url }, lanes: { out: { buffer } }, options })
    const relay = await startRelay({ t, config })
    await relay.until((scrape) => scrape.isUp(SOURCE) && scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [[SOURCE, 'out']])
    const client = await connectRedis(t, redis)
    const rate = scaled(500, 1_000)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate })
    await relay.until((scrape) => scrape.lane(SOURCE, 'out').delivered > rate, 'a flow')
    const memory = new Memory(relay)
    silent.pause()
    const began = performance.now()
    await relay.until((scrape) => !scrape.isUp('out'), 'it to be noticed')
    const noticed = performance.now() - began
    const full = await relay.until(
      (scrape) => scrape.lane(SOURCE, 'out').waiting >= buffer.messages * 0.75,
      'the outbox to be as full as it gets',
    )
    await sleep(isLong ? 60_000 - (performance.now() - began) : 500)
    const held = await groupOf(client, SOURCE)
    const { growth } = memory
    silent.resume()
    const healed = performance.now()
    await relay.until((scrape) => scrape.isUp('out'), 'it to be in use again')
    const behind = (await relay.scrape()).lane(SOURCE, 'out').delivered
    await relay.until(
      (scrape) => scrape.lane(SOURCE, 'out').delivered >= behind + full.lane(SOURCE, 'out').waiting,
      'what waited to be delivered',
    )
    const drained = performance.now() - healed
    const count = await producer.stop()
    await untilAcknowledged(client, SOURCE)
    const end = (await relay.scrape()).lane(SOURCE, 'out')
    const most = watch.most(SOURCE, 'out').messages
    await watch.stop()

    const target = await receiptsOf(await connectRedis(t, silent), 'out')
    const { messages, lost, duplicates, corrupted, disordered } = compare(await receiptsOf(client, SOURCE), target)
    report(t, {
      messages: count,
      'noticed after': seconds(noticed),
      'waiting at most': `${most} of ${buffer.messages}`,
      'drained after': seconds(drained),
      lost,
      duplicates,
      'memory growth': mebibytes(growth),
    })
    assert.deepEqual([messages, lost, corrupted, disordered], [count, 0, 0, 0])
    assert.deepEqual([end.waiting, end.dropped], [0, 0])
    assert.ok(most <= buffer.messages, `${most} messages waited`)
    assert.ok(held.pending >= full.lane(SOURCE, 'out').waiting, 'what waits is not acknowledged')
    if (!isLong) return
    assert.ok(noticed < 15_000, `noticed after ${noticed} ms`)
    assert.ok(drained < 30_000, `drained after ${drained} ms`)
  })
})
