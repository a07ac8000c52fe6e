import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { LedgerSnapshot } from '../../../../lib/ledger.ts'
import { startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient, startRelay } from '../relay.ts'

/** Everything that a lane received has come to its end, and is counted once. */
function assertBalanced(ledger: LedgerSnapshot, label: string): void {
  const dropped = Object.values(ledger.dropped).reduce((sum, count) => sum + count, 0)
  assert.equal(ledger.received, ledger.delivered + ledger.filtered + dropped + ledger.deadLettered, label)
  assert.equal(ledger.waiting, 0, label)
}

/** Calls `send` with 0, 1, 2 … a thousand times a second, until the returned function is called: it says how often. */
function load(send: (number: number) => void): () => number {
  const began = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const due = performance.now() - began
    while (sent < due) send(sent++)
  }, 1)
  return () => {
    clearInterval(timer)
    return sent
  }
}

interface Sent {
  readonly at: number
  /** When it was published; undefined while, or if, it is not. */
  published?: number
}

describe('endpoint-redis, faults', { skip: need('redis-server', 'redis-cli'), concurrency: 4 }, () => {
  test('a Redis that is killed and started again under load is in use again within 5 s, and only the outage is missing', async (t) => {
    const redis = await startRedis({ t })
    const { app, endpoint, received, ledger, up, down } = await startRelay({
      t,
      redis: { incoming: { url: redis.url, channel: 'to-relay' }, outgoing: { url: redis.url, topic: 'from-relay' } },
      routes: { incoming: ['out'], in: ['outgoing'] },
    })
    const client = await connectClient(t, redis, { enableOfflineQueue: false })
    const listener = await connectClient(t, redis)
    const heard = new Set<number>()
    listener.on('message', (_channel, text) => heard.add(Number(text)))
    await listener.subscribe('from-relay')

    const toRelay: Sent[] = []
    const fromRelay: Sent[] = []
    let rejected = 0
    const stop = load((number) => {
      const [to, from]: [Sent, Sent] = [{ at: performance.now() }, { at: performance.now() }]
      toRelay.push(to)
      client.publish('to-relay', String(number)).then(
        () => (to.published = performance.now()),
        () => {},
      )
      fromRelay.push(from)
      app.araldo.publish('in', number).then(
        () => (from.published = performance.now()),
        () => rejected++,
      )
    })
    t.after(stop)
    await until(() => received.length > 500 && heard.size > 500)
    const killed = performance.now()
    await redis.kill()
    await down('outgoing')
    // What Redis answered for in its last moment, it may not have written to the relay any more.
    const lastBefore = Number(received.at(-1)?.payload.toString())
    await until(() => ledger('in', 'outgoing').waiting > 200)
    await redis.start()
    const started = performance.now()
    await Promise.all([up('incoming'), up('outgoing')])
    const healed = performance.now()
    await until(async () => (await redis.cli('PUBSUB', 'NUMSUB', 'from-relay')).endsWith('1'))
    const listening = performance.now()
    await until(() => fromRelay.filter(({ at }) => at > listening).length > 500)
    const count = stop()
    const last = String(count - 1)
    await until(() => heard.has(count - 1), { message: `message ${last} from the relay` })
    await until(() => received.at(-1)?.payload.toString() === last, { message: `message ${last} to the relay` })

    assert.ok(healed - started < 5_000, `it took ${healed - started} ms`)
    const came = received.map((message) => Number(message.payload.toString()))
    assert.deepEqual(
      came,
      [...new Set(came)].toSorted((a, b) => a - b),
      'in order, none twice',
    )
    const got = new Set(came)
    for (const [number, { at, published }] of toRelay.entries()) {
      const mustCome = published !== undefined && (number <= lastBefore || at > healed)
      if (mustCome) assert.ok(got.has(number), `message ${number} to the relay`)
    }
    const unheard = [...fromRelay.entries()].filter(
      ([number, { published }]) => published !== undefined && !heard.has(number),
    )
    assert.deepEqual(
      unheard.filter(([, { at }]) => at > listening),
      [],
    )
    const lostInFlight = unheard.filter(([, { at }]) => at < killed).length
    const { unanswered = 0 } = endpoint('outgoing').counters
    assert.ok(lostInFlight <= unanswered, `${lostInFlight} were lost, ${unanswered} were in flight`)

    const incoming = ledger('incoming', 'out')
    const outgoing = ledger('in', 'outgoing')
    assertBalanced(incoming, 'to the relay')
    assertBalanced(outgoing, 'from the relay')
    assert.equal(incoming.received, came.length)
    assert.equal(endpoint('incoming').counters['received'], came.length)
    assert.equal(outgoing.received, count)
    assert.equal(outgoing.delivered, fromRelay.filter(({ published }) => published !== undefined).length)
    assert.equal(outgoing.received - outgoing.delivered, rejected)
    assert.deepEqual([outgoing.delivered, rejected], [count, 0])
    assert.equal(endpoint('outgoing').gauges['inFlight'], 0)
  })

  test('a server that accepts and never answers is noticed; what waits for it is bounded', async (t) => {
    const redis = await startRedis({ t })
    const { app, endpoint, ledger, down, up, texts } = await startRelay({
      t,
      redis: { orders: { url: redis.url, channel: 'stalled', 'ping-interval': '200ms' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    redis.pause()
    const published = Array.from({ length: 10_500 }, (_, n) => app.araldo.publish('in', n))
    assert.equal(endpoint('orders').gauges['inFlight'], 10_000)
    assert.equal(ledger('in', 'orders').waiting, 500)

    assert.equal(await down('orders', /PING/, 10_000), 'no answer to PING within 4000 ms')
    await until(() => endpoint('orders').counters['unanswered'] === 10_000)
    redis.resume()
    await up('orders')
    await app.araldo.publish('in', 'after')
    await Promise.all(published)
    await until(async () => (await texts(1)).includes('"after"'))
    assertBalanced(ledger('in', 'orders'), 'after the stall')
  })

  test('what waits for an answer is bounded in bytes, too', async (t) => {
    const redis = await startRedis({ t })
    const { app, ledger, up } = await startRelay({
      t,
      redis: { orders: { url: redis.url, topic: 'large' } },
      routes: { in: ['orders'] },
    })
    const payload = Buffer.alloc(1024 * 1024)
    redis.pause()
    const published = Array.from({ length: 70 }, () => app.araldo.publish('in', payload))
    assert.equal(ledger('in', 'orders').waiting, 6)
    assert.equal(ledger('in', 'orders').delivered, 64)
    redis.resume()
    await up('orders')
    await until(async () => {
      await app.araldo.publish('in', 'small')
      return true
    })
    await Promise.all(published)
  })

  test('a connection that the server cuts is opened anew, and subscribed anew', async (t) => {
    const redis = await startRedis({ t })
    const { down, up, texts } = await startRelay({
      t,
      redis: { orders: { url: redis.url, channel: 'cut', pattern: 'c-*' } },
      routes: { orders: ['out'] },
    })
    for (const type of ['pubsub', 'normal']) {
      const gone = down('orders')
      await redis.cli('CLIENT', 'KILL', 'TYPE', type)
      assert.match(await gone, /ECONNRESET|EPIPE|closed/)
      await up('orders')
    }
    await redis.cli('PUBLISH', 'cut', '1')
    await redis.cli('PUBLISH', 'c-a', '2')
    assert.deepEqual(await texts(2), ['1', '2'])
  })

  test('a server that does not answer from the start is a reason', async (t) => {
    const redis = await startRedis({ t })
    redis.pause()
    const { down, up } = await startRelay({
      t,
      mayBeDown: true,
      redis: { orders: { url: redis.url, channel: 'mute' } },
      routes: { orders: ['out'] },
    })
    assert.equal(await down('orders', /no answer/, 11_000), 'no answer within 9000 ms')
    redis.resume()
    await up('orders')
  })
})
