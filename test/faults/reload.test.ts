/** The config is replaced under load, again and again. */
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import type { ConfigObject } from '../../lib/plugin.ts'
import { configOf } from '../support/relay.ts'
import type { RedisServer } from '../support/redis.ts'
import { until } from '../support/wait.ts'
import { Arrivals, Browser } from './support/browser.ts'
import { compare, encode } from './support/message.ts'
import {
  connectRedis,
  GROUP,
  receiptsOf,
  startDurableRedis,
  startProducer,
  untilAcknowledged,
} from './support/redis.ts'
import { type RelayProcess, startRelay, Watch } from './support/relay.ts'
import { needs, PATIENCE, report, scaled } from './support/scale.ts'
import { SOURCE, STREAM_TYPE } from './support/streams.ts'

/** What the config is at the n-th reload: each time something else is touched, and never the browsers' endpoint. */
function configAt(reload: number, { url }: RedisServer): ConfigObject {
  const lanes = [
    // Its outbox is replaced, with what is in it.
    { to: 'out', concurrency: 64 + (reload % 2) },
    // A lane, and now and then its endpoint, that comes and goes.
    ...(reload % 3 === 0 ? [] : [{ to: 'extra', optional: true, when: `topic != "${reload}"` }]),
  ]
  return configOf(
    {
      // Every fourth time the source itself is another one, which must not take what the old one has in hand.
      [SOURCE]: {
        id: STREAM_TYPE,
        ...{ url, stream: SOURCE, group: GROUP, consumer: 'relay', batch: 100 + (Math.floor(reload / 4) % 2) },
      },
      out: { id: STREAM_TYPE, url, stream: 'out' },
      extra: { id: 'endpoint-mock', keep: 10 + (Math.floor(reload / 5) % 2) },
      news: { id: 'endpoint-redis', url, channel: 'news' },
      browsers: { id: 'endpoint-websocket', path: '/ws' },
    },
    { [SOURCE]: lanes, news: ['browsers'] },
  )
}

/** Publishes numbered messages to a channel, until it is stopped: that says how many they were. */
async function publishNews(t: TestContext, redis: RedisServer): Promise<() => Promise<number>> {
  const client = await connectRedis(t, redis)
  let count = 0
  let last: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    last = client.publish('news', encode(count++, 'news'))
  }, 10)
  t.after(() => clearInterval(timer))
  return async () => {
    clearInterval(timer)
    await last
    return count
  }
}

async function reloadsOf(relay: RelayProcess, result: string): Promise<number> {
  return (await relay.scrape()).value('config_reloads_total', { result })
}

describe('a reload', { skip: needs }, () => {
  test('again and again under load loses nothing, and leaves alone what it does not touch', async (t) => {
    const reloads = scaled(8, 50)
    const rate = scaled(500, 1_000)
    const redis = await startDurableRedis(t)
    const relay = await startRelay({ t, config: configAt(0, redis) })
    await relay.until((scrape) => [SOURCE, 'out', 'news'].every((name) => scrape.isUp(name)), 'it to be connected')
    const watch = new Watch(t, relay, [])
    const client = await connectRedis(t, redis)
    const browser = await Browser.connect(`ws://${relay.host}/ws`, { t, arrivals: new Arrivals(), thorough: true })
    const stop = await publishNews(t, redis)
    const producer = await startProducer({ t, redis, stream: SOURCE, rate })
    const reload = async (): Promise<void> => relay.process.signal('SIGHUP')

    for (let number = 1; number <= reloads; number++) {
      const before = await client.xlen('out')
      await until(async () => (await client.xlen('out')) > before + rate / 10, { timeout: PATIENCE, message: 'a flow' })
      await relay.configure(configAt(number, redis))
      await reload()
      await until(async () => (await reloadsOf(relay, 'applied')) === number, {
        timeout: PATIENCE,
        message: `reload ${number}`,
      })
    }
    const hash = await hashOf(relay)
    await relay.configure({ ...configAt(0, redis), routes: { [SOURCE]: ['nowhere'] } })
    await reload()
    await until(async () => (await reloadsOf(relay, 'refused')) === 1, { timeout: PATIENCE, message: 'a refusal' })
    assert.equal(await hashOf(relay), hash, 'a bad config changes nothing')
    const before = await client.xlen('out')
    await until(async () => (await client.xlen('out')) > before + rate / 10, { timeout: PATIENCE, message: 'a flow' })

    const count = await producer.stop()
    await untilAcknowledged(client, SOURCE)
    const published = await stop()
    await until(() => browser.last === published - 1, { timeout: PATIENCE, message: 'the last message' })
    await watch.stop()
    const difference = compare(await receiptsOf(client, SOURCE), await receiptsOf(client, 'out'))
    const { lost, duplicates } = difference
    const connects = (await relay.scrape()).endpoint('browsers', 'opened_total')
    report(t, { reloads, messages: count, lost, duplicates, 'missed by the browser': browser.missed })
    assert.deepEqual([difference.messages, lost, difference.corrupted], [count, 0, 0])
    assert.equal(difference.disordered, 0)
    assert.deepEqual([browser.isOpen, browser.missed, browser.corrupted, connects], [true, 0, 0, 1])
  })
})

async function hashOf(relay: RelayProcess): Promise<string> {
  const response = await fetch(`http://${relay.host}/health/ready`)
  const { config } = (await response.json()) as { config?: string }
  assert.ok(config !== undefined, 'health names the config')
  return config
}
