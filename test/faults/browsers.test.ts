/** Browsers that read nothing, or too slowly, among others who read: closed, bounded, and nobody else notices. */
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { configOf } from '../support/relay.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/wait.ts'
import { Arrivals, Browser } from './support/browser.ts'
import { encode } from './support/message.ts'
import { connectRedis } from './support/redis.ts'
import { isQuiet, Memory, Others, percent, type RelayProcess, startRelay, Watch } from './support/relay.ts'
import { isLong, mebibytes, needs, PATIENCE, report, scaled, seconds } from './support/scale.ts'

const MIB = 1024 * 1024

interface Room {
  /** Publishes to one room or more, at a rate, until it is stopped. @returns what stops it, and says how many it were. */
  play(rate: number, ...rooms: string[]): () => Promise<number>
  publish(room: string): Promise<unknown>
  readonly relay: RelayProcess
  readonly arrivals: Arrivals
  /** All that runs for the test. */
  readonly processes: readonly { readonly pid: number | undefined }[]
}

/** A relay from Redis to browsers, where the channel is the room whose browsers get a message. */
async function startRooms(t: TestContext, options: Readonly<Record<string, unknown>>): Promise<Room> {
  const redis = await startRedis({ t })
  const relay = await startRelay({
    t,
    config: configOf(
      {
        redis: { id: 'endpoint-redis', url: redis.url, pattern: 'room-*' },
        browsers: { id: 'endpoint-websocket', path: '/ws/:room', topic: '/ws/{topic}', ...options },
      },
      { redis: ['browsers'] },
    ),
  })
  await relay.until((scrape) => scrape.isUp('redis'), 'the relay to be connected')
  const client = await connectRedis(t, redis)
  const arrivals = new Arrivals()
  let next = 0
  const publish = (...rooms: string[]): Promise<unknown> => {
    const number = next++
    arrivals.sentAt[number] = performance.now()
    const payload = encode(number, 'all')
    return Promise.all(rooms.map((room) => client.publish(`room-${room}`, payload)))
  }
  return {
    relay,
    arrivals,
    processes: [relay, redis.process],
    publish,
    play: (rate, ...rooms) => {
      let count = 0
      let last: Promise<unknown> = Promise.resolve()
      const timer = setInterval(() => {
        count++
        last = publish(...rooms)
      }, 1_000 / rate)
      t.after(() => clearInterval(timer))
      return async () => {
        clearInterval(timer)
        await last
        return count
      }
    },
  }
}

async function connectMany(t: TestContext, { relay, arrivals }: Room, room: string, count: number): Promise<Browser[]> {
  const browsers: Browser[] = []
  while (browsers.length < count) {
    const next = Array.from({ length: Math.min(50, count - browsers.length) }, (_, index) =>
      Browser.connect(`ws://${relay.host}/ws/room-${room}`, {
        t,
        arrivals,
        thorough: (browsers.length + index) % 100 === 0,
      }),
    )
    browsers.push(...(await Promise.all(next)))
  }
  return browsers
}

/** The 99th percentile of what comes from now on, and how much of a core other programs used meanwhile. */
async function measureLatency(
  { arrivals, processes }: Room,
  milliseconds: number,
): Promise<{ readonly p99: number; readonly others: number }> {
  arrivals.latency.clear()
  const others = new Others(...processes)
  await sleep(milliseconds)
  return { p99: arrivals.latency.percentile(0.99), others: others.share }
}

describe('browsers that do not keep up', { skip: needs }, () => {
  const writeTimeout = scaled(1_000, 10_000)

  test('one that reads nothing is closed, the others notice nothing', async (t) => {
    const count = scaled(100, 999)
    const rate = 20
    const room = await startRooms(t, { 'write-timeout': writeTimeout, 'ping-interval': '5m' })
    const { relay } = room
    const crowd = await connectMany(t, room, 'crowd', count)
    const [stalled] = await connectMany(t, room, 'stalled', 1)
    const stop = room.play(rate, 'crowd', 'stalled')
    await until(() => crowd.every(({ received }) => received > rate), { timeout: PATIENCE, message: 'a warm relay' })
    if (isLong) await sleep(10_000)
    const before = await measureLatency(room, scaled(500, 10_000))

    const memory = new Memory(relay)
    stalled?.stall()
    // The kernel takes megabytes for a connection whose peer reads nothing, before anything waits in the relay.
    const waits = until(async () => (await relay.scrape()).endpoint('browsers', 'buffered_bytes') > 0, {
      timeout: PATIENCE,
      message: 'bytes to wait for the stalled browser',
      interval: 20,
    })
    const full = new AbortController()
    const fill = async (): Promise<void> => {
      while (!full.signal.aborted) await room.publish('stalled')
    }
    const filling = fill()
    await waits
    full.abort()
    await filling
    const began = performance.now()
    const beside = measureLatency(room, scaled(500, 9_000))
    await relay.until((scrape) => scrape.endpoint('browsers', 'slow_closed_total') === 1, 'it to be closed', {
      interval: scaled(50, 200),
    })
    const closedAfter = performance.now() - began
    const during = await beside
    const { growth } = memory
    const scrape = await relay.until((now) => now.endpoint('browsers', 'connections') === count, 'it to be gone')
    assert.equal(scrape.endpoint('browsers', 'slow_closed_total'), 1)
    await stop()
    const published = room.arrivals.sentAt.length
    await until(() => crowd.every(({ last }) => last >= published - 1 - rate), { timeout: PATIENCE })

    const missed = crowd.filter((browser) => !browser.isOpen || browser.corrupted > 0)
    assert.deepEqual(missed, [], 'nobody else was closed, or got something else than was sent')
    assert.ok(crowd.every(({ received }) => received === crowd[0]?.received))
    const { waiting } = scrape.lane('redis', 'browsers')
    assert.equal(waiting, 0)
    const others = Math.max(before.others, during.others)
    report(t, {
      browsers: count + 1,
      'closed after': seconds(closedAfter),
      'p99 of the others before': `${before.p99.toFixed(1)} ms`,
      'p99 of the others': `${during.p99.toFixed(1)} ms`,
      'other programs': percent(others),
      'memory growth': mebibytes(growth),
    })
    if (!isLong) return
    assert.ok(closedAfter < 11_000, `closed after ${closedAfter} ms`)
    // Where other programs run, the figure is theirs.
    if (isQuiet(others))
      assert.ok(during.p99 <= before.p99 * 1.5, `p99 ${before.p99} ms before, ${during.p99} ms with the stall`)
    assert.ok(growth < 16 * MIB, `${growth} bytes more memory`)
  })

  test('a hundred that read 10 KB/s of more cost their limit, and no more', async (t) => {
    const count = scaled(10, 100)
    const limit = scaled(64 * 1024, MIB)
    const rate = scaled(1_600, 200)
    const room = await startRooms(t, { limit, 'write-timeout': '1m' })
    const { relay } = room
    const [reader] = await connectMany(t, room, 'all', 1)
    const slow = await connectMany(t, room, 'all', count)
    const stop = room.play(rate, 'all')
    await until(() => (reader?.received ?? 0) > scaled(500, 3 * rate), { timeout: PATIENCE, message: 'a warm relay' })
    const memory = new Memory(relay)
    const watch = new Watch(t, relay, [['redis', 'browsers']])
    for (const browser of slow) browser.readSlowly(t, 10_000)
    let most = 0
    const end = await relay.until((scrape) => {
      most = Math.max(most, scrape.endpoint('browsers', 'buffered_bytes'))
      return scrape.endpoint('browsers', 'slow_closed_total') === count
    }, 'all of the slow ones to be closed')
    const { growth } = memory
    await stop()
    await watch.stop()
    const published = room.arrivals.sentAt.length
    await until(() => reader?.last === published - 1, { timeout: PATIENCE, message: 'the last message' })
    assert.deepEqual([reader?.missed, reader?.corrupted, reader?.isOpen], [0, 0, true])
    assert.equal(end.lane('redis', 'browsers').dropped, 0)
    // A turn's frames are added at once, and then it is seen that they are too much.
    assert.ok(most <= count * (limit + 64 * 1024), `${most} bytes wait`)
    assert.ok(growth <= count * limit + 32 * MIB, `${growth} bytes more memory`)
    report(t, { browsers: count, 'waiting at most': mebibytes(most), 'memory growth': mebibytes(growth) })
  })
})
