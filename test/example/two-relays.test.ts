import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect as connectNats } from '@nats-io/transport-node'
import { launchChromium, needChromium } from '../support/chromium.ts'
import { connect, type TestClient } from '../support/client.ts'
import { startNats } from '../support/nats.ts'
import { freePort } from '../support/port.ts'
import { startProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

/** What a client gets, up to the message that contains the text. */
async function upTo(text: string, client: TestClient): Promise<string[]> {
  const heard: string[] = []
  while (heard.at(-1)?.includes(text) !== true) heard.push(String((await client.take(1))[0]))
  return heard
}

const missing = need('redis-server', 'redis-cli', 'nats-server', 'nginx') || needChromium()

describe('example/two-relays', { skip: missing }, () => {
  test('browsers hear one another through either relay, news reaches all, an order is handled once', async (t) => {
    const [redis, nats] = [await startRedis({ t }), await startNats({ t })]
    const port = await freePort()
    const example = await startProcess({
      command: process.execPath,
      args: ['--import', 'tsx', 'example/two-relays/server.ts'],
      env: { PORT: String(port), REDIS_URL: redis.url, NATS_URL: nats.url, PATH: `${process.env.PATH}:/usr/sbin` },
      ready: /Ctrl-C ends it/,
      t,
    })
    // Of each relay one, and a browser by nginx: whichever relay that gets, one of the others is at the other.
    const first = await connect(`ws://localhost:${port + 1}/ws`, { t })
    const second = await connect(`ws://localhost:${port + 2}/ws`, { t })
    const page = await (await launchChromium({ t })).newPage()
    await until(async () => (await fetch(`http://localhost:${port}/`).catch(() => undefined))?.status === 200)
    await page.goto(`http://localhost:${port}/`)
    await page.locator('#state.open').waitFor()

    await first.send('{"from":"first","text":"to the other relay"}')
    assert.equal((await upTo('to the other relay', second)).length, 1)
    await page.getByText('to the other relay').waitFor()
    await page.locator('#text').fill('from the page')
    await page.getByRole('button', { name: 'Send' }).click()
    for (const client of [first, second]) await upTo('from the page', client)

    const publisher = await connectNats({ servers: nats.url })
    t.after(() => publisher.close())
    publisher.publish('news.today', '{"from":"news","text":"hello everybody"}')
    await page.getByText('hello everybody').waitFor()
    for (let order = 1; order <= 20; order++) publisher.publish(`orders.${order}`, `{"order":${order}}`)
    publisher.publish('news.today', '{"from":"news","text":"the end"}')
    for (const client of [first, second]) {
      const heard = await upTo('the end', client)
      assert.equal(heard.filter((text) => text.includes('hello everybody')).length, 1)
    }
    await until(async () => Number(await redis.cli('XLEN', 'ledger')) >= 20)
    const entries = await redis.cli('XRANGE', 'ledger', '-', '+')
    const orders = [...entries.matchAll(/^\{"order":(\d+)\}$/gm)].map(([, order]) => Number(order))
    assert.deepEqual(
      orders.toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, index) => index + 1),
    )
    assert.equal((await example.stop('SIGINT')).code, 0)
  })
})
