import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { needChromium, launchChromium } from '../support/chromium.ts'
import { freePort } from '../support/port.ts'
import { type ManagedProcess, type Owner, startProcess } from '../support/process.ts'

function startExample(file: string, t: Owner, env: Record<string, string>): Promise<ManagedProcess> {
  return startProcess({ command: process.execPath, args: ['--import', 'tsx', file], env, t, ready: /Ctrl-C ends it/ })
}

describe('example/chat', () => {
  test('two browser windows chat, and a REST call reaches both', { skip: needChromium() }, async (t) => {
    const port = await freePort()
    const example = await startExample('example/chat/server.ts', t, { PORT: String(port) })
    const url = `http://localhost:${port}/`
    assert.ok(example.stdout.includes(url), 'it prints the address to open')
    const browser = await launchChromium({ t })
    const [one, two] = [await browser.newPage(), await browser.newPage()]
    for (const page of [one, two]) {
      await page.goto(url)
      await page.locator('#state.open').waitFor()
    }

    await one.locator('#name').fill('Ada')
    await one.locator('#text').fill('hello <b>there</b>')
    await one.getByRole('button', { name: 'Send' }).click()
    await two.getByText('hello <b>there</b>').waitFor()
    assert.equal(await one.getByText('hello <b>there</b>').count(), 1, 'the sender sees it once')
    await one.locator('li.mine.safe', { hasText: 'hello <b>there</b>' }).waitFor()

    // As `curl -d` sends it.
    const response = await fetch(`${url}notify`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: '{"text":"hi"}',
    })
    assert.equal(response.status, 202)
    for (const page of [one, two]) await page.locator('li.announcement', { hasText: 'hi' }).waitFor()

    const view = await browser.newPage()
    await view.goto(`${url}console`)
    await view.getByText('announcements').first().waitFor()
    assert.equal((await example.stop('SIGINT')).code, 0)
  })

  test('a notification without text is refused', async (t) => {
    const port = await freePort()
    await startExample('example/chat/server.ts', t, { PORT: String(port) })
    const response = await fetch(`http://localhost:${port}/notify`, { method: 'POST', body: '{}' })
    assert.ok(response.status >= 400 && response.status < 500)
  })
})
