/** The console's page in a real browser. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import type { FastifyInstance } from 'fastify'
import { errors as errorsOf } from '../../lib/errors.ts'
import { launchChromium, needChromium } from '../support/chromium.ts'
import type { TestEndpoint } from '../support/core.ts'
import { freePort } from '../support/port.ts'
import type { Owner } from '../support/process.ts'
import { configOf, relayServer, testType } from '../support/relay.ts'

const LONG = 'as-long-as-a-name-may-be.'.padEnd(64, 'x')
const CONFIG = configOf(
  {
    browsers: { id: 'endpoint-app' },
    orders: { id: 'endpoint-test' },
    audit: { id: 'endpoint-app' },
    [LONG]: { id: 'endpoint-app' },
  },
  { browsers: ['orders', { to: 'audit', when: 'body.total > 10.0', optional: true }], orders: ['browsers', LONG] },
)

interface Console {
  readonly server: FastifyInstance
  readonly orders: TestEndpoint
  readonly url: string
  readonly port: number
}

async function startConsole(t: Owner, port = 0): Promise<Console> {
  const { type, made } = testType()
  const server = await relayServer(t, { config: CONFIG, types: [type], console: true, prefix: '/relay' })
  const base = await server.listen({ host: '127.0.0.1', port })
  return { server, orders: made.get('orders')!, url: `${base}/relay/console`, port: Number(new URL(base).port) }
}

/** A page that tells of every error, policy violations included, and of every request it makes. */
async function open(
  browser: BrowserContext,
  url: string,
): Promise<{ page: Page; errors: string[]; hosts: Set<string> }> {
  const page = await browser.newPage()
  const errors: string[] = []
  const hosts = new Set<string>()
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') errors.push(message.text())
  })
  page.on('request', (request) => hosts.add(new URL(request.url()).host))
  await page.goto(url)
  await page.getByText('Live', { exact: true }).waitFor()
  return { page, errors, hosts }
}

describe('the console in a browser', { skip: needChromium() }, () => {
  test('shows endpoints, lanes with their ledgers, and messages as they go, as text and nothing else', async (t) => {
    const { server, orders, url } = await startConsole(t)
    const browser = await launchChromium({ t })
    const { page, errors, hosts } = await open(browser, url)
    const topic = '<img src=x onerror="document.title=1">'
    await server.araldo.publish('browsers', { total: 1 }, { topic })
    await server.araldo.publish('browsers', { total: 20 })
    orders.onSend = () => {
      throw new errorsOf.TOO_LARGE('orders', 1, 2)
    }
    await assert.rejects(server.araldo.publish('browsers', { total: 30 }))
    orders.break('the broker <b>went</b> away')

    await page.locator('#messages tr').nth(5).waitFor()
    const rows = await page.locator('#messages tr').allInnerTexts()
    assert.equal(rows.length, 6)
    assert.match(rows[5]!, /browsers\s*→\s*orders\s.*delivered/s)
    assert.ok(rows[5]!.includes(topic))
    assert.match(rows[4]!, /browsers\s*→\s*audit\s.*filtered/s)
    assert.match(rows[1]!, /browsers\s*→\s*orders\s.*invalid/s)
    assert.equal(await page.locator('#messages img').count(), 0)

    const lanes = page.locator('#lanes li')
    await lanes.nth(0).getByText('3 received').waitFor()
    const ledger = (await lanes.nth(0).innerText()).replaceAll(/\s+/g, ' ')
    assert.match(ledger, /3 received = 2 delivered \+ 0 filtered \+ 1 dropped \+ 0 dead-lettered \+ 0 waiting/)
    assert.match(ledger, /dropped, invalid: 1/)
    assert.match(await lanes.nth(1).innerText(), /browsers\s*→\s*audit\s*when\s*optional/)
    assert.equal(await lanes.count(), 4)

    const endpoints = page.locator('#endpoints tr')
    assert.equal(await endpoints.count(), 4)
    await endpoints.nth(1).getByText('failures 1').waitFor()
    assert.equal(await page.locator('b:text-is("went")').count(), 0)
    assert.deepEqual(errors, [])
    assert.equal(hosts.size, 1)
  })

  test('can be paused, filtered and cleared', async (t) => {
    const { server, url } = await startConsole(t)
    const browser = await launchChromium({ t })
    const { page, errors } = await open(browser, url)
    const publish = (topic: string): Promise<string> => server.araldo.publish('browsers', { total: 1 }, { topic })
    const rows = page.locator('#messages tr')
    await publish('first')
    await rows.nth(1).waitFor()

    await page.getByRole('button', { name: 'Pause' }).click()
    await publish('second')
    await page.getByText('paused, 2 new').waitFor()
    assert.equal(await rows.count(), 2)
    await page.getByRole('button', { name: 'Pause' }).click()
    await rows.nth(3).waitFor()

    await page.getByRole('searchbox').fill('FIRST')
    await page.waitForFunction(`document.querySelectorAll('#messages tr').length === 2`)
    await publish('first again')
    await rows.nth(3).waitFor()
    await page.getByRole('button', { name: 'Clear' }).click()
    assert.equal(await rows.count(), 0)
    assert.deepEqual(errors, [])
  })

  test('comes back by itself when the server does', async (t) => {
    const port = await freePort()
    const first = await startConsole(t, port)
    const browser = await launchChromium({ t })
    const { page } = await open(browser, first.url)
    await first.server.close()
    await page.getByText('Reconnecting').waitFor()
    const second = await startConsole(t, port)
    await page.getByText('Live', { exact: true }).waitFor()
    await second.server.araldo.publish('browsers', { total: 1 })
    await page.locator('#messages tr').first().waitFor()
  })

  test('can be used with the keyboard, has names for everything, and never scrolls sideways', async (t) => {
    const { url } = await startConsole(t)
    const browser = await launchChromium({ t })
    for (const width of [360, 800, 1600]) {
      const { page } = await open(browser, url)
      await page.setViewportSize({ width, height: 800 })
      for (const part of ['html', '#flow', '#sources', '#targets', '#lanes li:last-child']) {
        const isWithin = `{ const part = document.querySelector('${part}'); part.scrollWidth <= part.clientWidth }`
        assert.ok(await page.evaluate(isWithin), `${part} at ${width} pixels`)
      }
      await page.close()
    }
    const { page } = await open(browser, url)
    const focused: string[] = []
    for (let count = 0; count < 5; count++) {
      await page.keyboard.press('Tab')
      focused.push(
        await page.evaluate(`{
          const { ariaLabel, textContent, role, tagName } = document.activeElement
          role ?? ariaLabel ?? textContent ?? tagName
        }`),
      )
    }
    assert.deepEqual(focused, [
      'region',
      'Filter messages by source, target, topic or outcome',
      'Pause',
      'Clear',
      'region',
    ])
    const headings = await page.locator('h1, h2').allTextContents()
    assert.deepEqual(
      headings.map((text) => text.trim().replaceAll(/\s+/g, ' ')),
      ['araldo console', 'What goes where', 'Lanes', 'Endpoints', 'Messages'],
    )
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`has enough contrast for all of its text in the ${colorScheme} scheme`, async (t) => {
      const { server, orders, url } = await startConsole(t)
      const browser = await launchChromium({ t })
      const { page } = await open(browser, url)
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      orders.onConnect = () => new Promise(() => {})
      await server.araldo.publish('browsers', { total: 1 })
      orders.onSend = () => {
        throw new errorsOf.TOO_LARGE('orders', 1, 2)
      }
      await assert.rejects(server.araldo.publish('browsers', { total: 30 }))
      orders.break('gone')
      server.araldo.publish('browsers', { total: 30 }).catch(() => {})
      await page.locator('#messages tr').nth(4).waitFor()
      await page.getByText('waiting: 1 of').waitFor()
      await page.locator('#endpoints [data-state=connecting]').waitFor()
      assert.deepEqual(await page.evaluate(LOW_CONTRAST), [])
    })
  }
})

/** In the page: every text whose contrast with what is behind it is below 4.5 (WCAG 2, success criterion 1.4.3). */
const LOW_CONTRAST = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })
  const channels = (color) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const background = (element) => {
    const color = channels(getComputedStyle(element).backgroundColor)
    return color[3] === 0 && element.parentElement ? background(element.parentElement) : color
  }
  const low = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement
    if (walker.currentNode.nodeValue.trim() === '' || ['SCRIPT', 'NOSCRIPT'].includes(element.tagName)) continue
    const [one, two] = [channels(getComputedStyle(element).color), background(element)].map(luminance)
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)
    if (contrast < 4.5) low.push(walker.currentNode.nodeValue.trim() + ' ' + contrast.toFixed(2))
  }
  return low
})()`
