import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { launchChromium, needChromium } from '../support/chromium.ts'
import { freePort } from '../support/port.ts'
import { startPostgres } from '../support/postgres.ts'
import { startProcess } from '../support/process.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

describe('example/outbox', { skip: need('postgres', 'psql') || needChromium() }, () => {
  test('an order is saved and on every page, or neither', async (t) => {
    const postgres = await startPostgres({ t })
    const port = await freePort()
    const example = await startProcess({
      command: process.execPath,
      args: ['--import', 'tsx', 'example/outbox/server.ts'],
      env: { PORT: String(port), DATABASE_URL: postgres.url },
      ready: /Ctrl-C ends it/,
      t,
    })
    const url = `http://localhost:${port}/`
    const browser = await launchChromium({ t })
    const [one, two] = [await browser.newPage(), await browser.newPage()]
    for (const page of [one, two]) {
      await page.goto(url)
      await page.getByText('connected').waitFor()
    }
    await one.getByLabel('Item').fill('tea <b>')
    await one.getByLabel('Count').fill('2')
    await one.getByRole('button', { name: 'Order' }).click()
    for (const page of [one, two]) await page.locator('li', { hasText: 'tea <b>' }).getByText('× 2').waitFor()
    await one.getByText('Saved.').waitFor()

    // As any other client of the database writes it, and as one that thinks better of it.
    await postgres.sql(`INSERT INTO example_outbox (payload) VALUES ('{"id":71,"item":"from psql","count":1}')`)
    await two.getByText('from psql').waitFor()
    const refused = await fetch(`${url}orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"item":"tea","count":0}',
    })
    assert.equal(refused.status, 400)
    assert.equal(await postgres.sql('SELECT item, count FROM example_orders'), 'tea <b>|2')
    await until(async () => (await postgres.sql('SELECT count(*) FROM example_outbox')) === '0')
    assert.equal(await two.locator('li').count(), 2)
    assert.equal((await example.stop('SIGINT')).code, 0)
  })
})
