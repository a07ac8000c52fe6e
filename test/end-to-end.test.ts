import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startAraldo } from './support/araldo.ts'
import { launchChromium, needChromium } from './support/chromium.ts'
import { connect } from './support/client.ts'
import { runOrThrow, startProcess } from './support/process.ts'
import { startRedis } from './support/redis.ts'
import { need } from './support/require.ts'
import { until } from './support/wait.ts'

const RELAY = `
global:
  server-port: 0
plugins:
  araldo.endpoints.endpoint:
    - { name: browsers, id: endpoint-websocket, path: /ws }
    - { name: chat, id: endpoint-redis, url: "\${REDIS_URL}", channel: chat }
routes:
  browsers: [chat]
  chat: [browsers]
`

interface Ledger {
  received: number
  delivered: number
  dropped: number
  waiting: number
  filtered: number
}

/** The ledger of one lane, as the metrics show it. */
async function ledgerOf(host: string, source: string, target: string): Promise<Ledger> {
  const text = await (await fetch(`http://${host}/metrics`)).text()
  const sum = (name: string): number =>
    text
      .split('\n')
      .filter((line) => line.startsWith(`araldo_lane_${name}{`))
      .filter((line) => line.includes(`source="${source}"`) && line.includes(`target="${target}"`))
      .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  return {
    received: sum('messages_received_total'),
    delivered: sum('messages_delivered_total'),
    filtered: sum('messages_filtered_total'),
    dropped: sum('messages_dropped_total'),
    waiting: sum('messages_waiting'),
  }
}

function assertAddsUp(ledger: Ledger): void {
  assert.equal(ledger.received, ledger.delivered + ledger.filtered + ledger.dropped + ledger.waiting)
}

describe('the command, from end to end', () => {
  const skip = need('redis-server', 'redis-cli') || needChromium()
  test('two browser pages and redis-cli exchange messages', { skip }, async (t) => {
    const redis = await startRedis({ t })
    const relay = await startAraldo(RELAY, { t, env: { REDIS_URL: redis.url } })
    const listener = await startProcess({
      command: 'redis-cli',
      args: ['-p', String(redis.port), 'subscribe', 'chat'],
      ready: /subscribe/,
      t,
    })
    const browser = await launchChromium({ t })
    const pages = [await browser.newPage(), await browser.newPage()]
    for (const page of pages) {
      // Any page of the relay's own host may open its WebSockets.
      await page.goto(`http://${relay.host}/health/live`)
      await page.evaluate(`new Promise((resolve) => {
        window.got = []
        window.ws = new WebSocket('ws://' + location.host + '/ws')
        ws.onmessage = (event) => got.push(event.data)
        ws.onopen = resolve
      })`)
    }
    await runOrThrow('redis-cli', ['-p', String(redis.port), 'publish', 'chat', '"from redis-cli"'])
    for (const page of pages) await page.waitForFunction(`got.includes('"from redis-cli"')`)
    await pages[0]!.evaluate(`ws.send('"from a page"')`)
    await pages[1]!.waitForFunction(`got.includes('"from a page"')`)
    await listener.line(/"from a page"/)
    assert.equal((await relay.process.stop()).code, 0)
  })

  test(
    'killing and restarting Redis under load heals by itself within 5 s, with nothing of the outage missing and the ledger exact',
    { skip: need('redis-server') },
    async (t) => {
      const redis = await startRedis({ t })
      const relay = await startAraldo(RELAY, { t, env: { REDIS_URL: redis.url } })
      const reader = await connect(`ws://${relay.host}/ws`, { t })
      const writer = await connect(`ws://${relay.host}/ws`, { t })
      const sent: number[] = []
      const load = setInterval(() => {
        for (let count = 0; count < 20; count++) {
          sent.push(sent.length)
          void writer.send(String(sent.length - 1)).catch(() => {})
        }
      }, 10)
      t.after(() => clearInterval(load))
      const got = new Set<number>()
      const collect = (): Set<number> => {
        for (const message of reader.drain()) got.add(Number(message))
        return got
      }
      await until(() => collect().size > 500)

      const lastBefore = sent.length
      await redis.kill()
      await until(async () => (await fetch(`http://${relay.host}/health/ready`)).status === 503)
      const down = sent.length
      await until(() => sent.length > down + 500)
      await redis.start()
      const restarted = sent.length
      await until(() => [...collect()].some((number) => number >= restarted), { timeout: 5_000 })
      await until(async () => (await fetch(`http://${relay.host}/health/ready`)).status === 200)

      const before = sent.length
      await until(() => sent.length > before + 500)
      clearInterval(load)
      await writer.roundTrip()
      const last = sent.length - 1
      await until(() => collect().has(last))
      const missing = sent.filter((number) => !got.has(number))
      // What was handed to the connection at the moment of the kill is nobody's: Redis confirms no delivery.
      const inFlight = 200
      for (const number of missing) {
        assert.ok(
          Math.abs(number - lastBefore) <= inFlight,
          `${number} is missing, ${lastBefore} were sent at the kill`,
        )
      }
      const toRedis = await ledgerOf(relay.host, 'browsers', 'chat')
      assertAddsUp(toRedis)
      assert.equal(toRedis.received, sent.length)
      assert.equal(toRedis.dropped, 0)
      const toBrowsers = await ledgerOf(relay.host, 'chat', 'browsers')
      assertAddsUp(toBrowsers)
      assert.equal(toBrowsers.delivered, got.size)
    },
  )
})
