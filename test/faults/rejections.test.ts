/** A target that refuses: some of what it is sent for now, single messages for ever, or all that it cannot take to where dead letters go. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DEFAULT_CONCURRENCY } from '../../lib/delivery/guarantee.ts'
import { until } from '../support/wait.ts'
import { compare, decode, Receipts } from './support/message.ts'
import { Proxy } from './support/proxy.ts'
import {
  connectRedis,
  fieldOf,
  groupOf,
  PAYLOAD,
  readStream,
  receiptsOf,
  startDurableRedis,
  startProducer,
  timeOf,
  untilAcknowledged,
} from './support/redis.ts'
import { isQuiet, Others, percent, startRelay, Watch } from './support/relay.ts'
import { isLong, needs, PATIENCE, report, scaled, seconds } from './support/scale.ts'
import { SOURCE, streams } from './support/streams.ts'

/** What a server says that has no memory left: it may have some later. */
const FOR_NOW = "OOM command not allowed when used memory > 'maxmemory'."
/** What it says where the key is no stream, nor will be. */
const FOR_EVER = 'WRONGTYPE Operation against a key holding the wrong kind of value'

/** The number of the message that a command adds to a stream; undefined for any other command. */
function numberIn(command: readonly Buffer[]): number | undefined {
  if (command[0]?.toString().toUpperCase() !== 'XADD') return undefined
  const payload = command.find((part) => part[0] === 0x7b)
  return payload === undefined ? undefined : decode(payload)?.number
}

describe('a target that refuses', { skip: needs }, () => {
  test('a tenth at random, and loses its connection meanwhile, has everything in the end', async (t) => {
    const count = scaled(1_500, 20_000)
    const [redis, target] = await Promise.all([startDurableRedis(t), startDurableRedis(t)])
    const proxy = await Proxy.start(t, target)
    let refused = 0
    proxy.refuse = (command) => {
      if (numberIn(command) === undefined || Math.random() >= 0.1) return undefined
      refused++
      return FOR_NOW
    }
    const config = streams({ from: redis.url, to: { out: proxy.url } })
    const relay = await startRelay({ t, config })
    await relay.until((scrape) => scrape.isUp(SOURCE) && scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [[SOURCE, 'out']])
    const client = await connectRedis(t, redis)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate: scaled(700, 1_000), count })
    const cuts = scaled(2, 5)
    for (let cut = 1; cut <= cuts; cut++) {
      await relay.until((scrape) => scrape.lane(SOURCE, 'out').delivered > (count * cut) / (cuts + 1), 'a flow')
      proxy.cut()
    }
    await producer.finished
    await untilAcknowledged(client, SOURCE)
    const { delivered, received, waiting, retries } = (await relay.scrape()).lane(SOURCE, 'out')
    await watch.stop()

    const arrived = await receiptsOf(await connectRedis(t, target), 'out')
    const { messages, lost, duplicates, corrupted, disordered } = compare(await receiptsOf(client, SOURCE), arrived)
    report(t, { messages: count, refused, retries, reconnects: cuts, lost, duplicates })
    assert.deepEqual([messages, lost, corrupted, disordered], [count, 0, 0, 0])
    assert.ok(duplicates <= cuts * DEFAULT_CONCURRENCY, `${duplicates} duplicates`)
    assert.deepEqual([received, delivered, waiting], [count, count, 0])
    assert.ok(refused > count * 0.05 && retries > 0)
  })

  test('a poison message gets one try where no other can help, and as many as it may have where one could', async (t) => {
    const count = scaled(1_000, 10_000)
    const rate = scaled(500, 1_000)
    const attempts = 5
    const [forEver, forNow] = [rate * 0.3, rate * 0.5]
    const [redis, target] = await Promise.all([startDurableRedis(t), startDurableRedis(t)])
    const proxy = await Proxy.start(t, target)
    const tries = new Map([
      [forEver, 0],
      [forNow, 0],
    ])
    proxy.refuse = (command) => {
      const number = numberIn(command) ?? -1
      if (!tries.has(number)) return undefined
      tries.set(number, (tries.get(number) ?? 0) + 1)
      return number === forEver ? FOR_EVER : FOR_NOW
    }
    const config = streams({
      from: redis.url,
      to: { out: proxy.url },
      lanes: { out: { retry: { attempts, 'min-delay': '100ms' } } },
    })
    const relay = await startRelay({ t, config })
    await relay.until((scrape) => scrape.isUp(SOURCE) && scrape.isUp('out'), 'the relay to be connected')
    const watch = new Watch(t, relay, [[SOURCE, 'out']])
    const client = await connectRedis(t, redis)
    const keys = 100
    const others = new Others(relay, redis.process, target.process)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate, count, keys })
    await producer.finished
    await untilAcknowledged(client, SOURCE)
    const { share } = others
    const { received, delivered, dropped, retries } = (await relay.scrape()).lane(SOURCE, 'out')
    await watch.stop()

    const sentAt = new Map<number, number>()
    await readStream(client, SOURCE, (entry) => {
      const content = decode(fieldOf(entry, PAYLOAD) as Buffer)
      sentAt.set(content?.number as number, timeOf(entry))
    })
    const arrived = new Receipts()
    let slowest = 0
    await readStream(await connectRedis(t, target), 'out', (entry) => {
      const payload = fieldOf(entry, PAYLOAD) as Buffer
      arrived.add(payload)
      const { number } = decode(payload) as { number: number }
      const isPoisoned = [forEver, forNow].some((poison) => number % keys === poison % keys)
      if (!isPoisoned) slowest = Math.max(slowest, timeOf(entry) - (sentAt.get(number) as number))
    })
    report(t, {
      messages: count,
      'tries (for ever, for now)': [...tries.values()].join(' and '),
      'other keys delayed at most': seconds(slowest),
      'other programs': percent(share),
      dropped,
    })
    assert.deepEqual([...tries.values()], [1, attempts])
    assert.equal(retries, attempts - 1)
    assert.deepEqual([received, delivered, dropped], [count, count - 2, 2])
    assert.deepEqual([arrived.counts.size, arrived.duplicates, arrived.corrupted], [count - 2, 0, 0])
    if (isLong && isQuiet(share)) assert.ok(slowest < 1_000, `a message of another key took ${slowest} ms`)
  })

  test('what goes to dead letters that are down is not acknowledged, and not lost', async (t) => {
    const down = scaled(1_500, 60_000)
    const rate = scaled(400, 500)
    const isPoison = (number: number): boolean => number % 20 === 7
    const [redis, target, letters] = await Promise.all([1, 2, 3].map(() => startDurableRedis(t)))
    assert.ok(redis !== undefined && target !== undefined && letters !== undefined)
    const proxy = await Proxy.start(t, target)
    proxy.refuse = (command) => (isPoison(numberIn(command) ?? 0) ? FOR_EVER : undefined)
    const config = streams({
      from: redis.url,
      to: { out: proxy.url },
      beside: { parked: letters.url },
      lanes: { out: { 'dead-letter': 'parked' } },
    })
    const relay = await startRelay({ t, config })
    const names = [SOURCE, 'out', 'parked']
    await relay.until((scrape) => names.every((name) => scrape.isUp(name)), 'the relay to be connected')
    const watch = new Watch(t, relay, [[SOURCE, 'out']])
    const client = await connectRedis(t, redis)
    // More keys than dead letters can wait: one that waits holds its key back, which is what order means.
    const producer = await startProducer({ t, redis, stream: SOURCE, rate, keys: 1_000_000 })
    await relay.until((scrape) => scrape.lane(SOURCE, 'out').deadLettered > 5, 'dead letters')
    await letters.kill()
    const { deadLettered } = await relay
      .until((scrape) => !scrape.isUp('parked'), 'them to be down')
      .then((scrape) => scrape.lane(SOURCE, 'out'))
    await sleep(down)
    const count = await producer.stop()
    const poison = [...producer.confirmed].filter(isPoison).length
    const hasSettled = async (): Promise<boolean> => {
      const { pending, lag } = await groupOf(client, SOURCE)
      return lag === 0 && pending === poison - deadLettered
    }
    await until(hasSettled, { timeout: PATIENCE, message: 'all but the dead letters to be acknowledged' })
    const { waiting } = (await relay.scrape()).lane(SOURCE, 'out')
    await letters.start()
    await untilAcknowledged(client, SOURCE)
    const end = (await relay.scrape()).lane(SOURCE, 'out')
    await watch.stop()

    const sent = await receiptsOf(client, SOURCE)
    const delivered = compare(sent, await receiptsOf(await connectRedis(t, target), 'out'))
    const parked = await receiptsOf(await connectRedis(t, letters), 'parked')
    report(t, {
      messages: count,
      'down for': `${down / 1_000} s`,
      'dead letters': poison,
      'not acknowledged meanwhile': waiting,
      lost: delivered.lost - parked.counts.size,
      duplicates: `${delivered.duplicates} and ${parked.duplicates}`,
    })
    assert.equal(waiting, poison - deadLettered)
    assert.deepEqual([delivered.messages, delivered.lost, delivered.duplicates], [count, poison, 0])
    assert.deepEqual(
      [...parked.counts.keys()].toSorted((a, b) => a - b),
      [...producer.confirmed].filter(isPoison).toSorted((a, b) => a - b),
    )
    assert.deepEqual([end.deadLettered, end.delivered, end.waiting], [poison, count - poison, 0])
    assert.equal(parked.corrupted, 0)
  })
})
