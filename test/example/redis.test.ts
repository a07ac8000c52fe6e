import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchChromium, needChromium } from '../support/chromium.ts'
import { freePort } from '../support/port.ts'
import { runOrThrow, startProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'

const skip = need('redis-server', 'redis-cli') || needChromium()

test('example/redis: two browser windows and redis-cli are in one conversation', { skip }, async (t) => {
  const redis = await startRedis({ t })
  const port = await freePort()
  await startProcess({
    command: process.execPath,
    args: ['--import', 'tsx', 'example/redis/server.ts'],
    env: { PORT: String(port), REDIS_URL: redis.url },
    ready: /Ctrl-C ends it/,
    t,
  })
  const browser = await launchChromium({ t })
  const [one, two] = [await browser.newPage(), await browser.newPage()]
  for (const page of [one, two]) {
    await page.goto(`http://localhost:${port}/`)
    await page.locator('#state.open').waitFor()
  }
  const listener = await startProcess({
    command: 'redis-cli',
    args: ['-p', String(redis.port), 'subscribe', 'chat'],
    ready: /subscribe/,
    t,
  })

  await runOrThrow('redis-cli', [
    '-p',
    String(redis.port),
    'publish',
    'chat',
    '{"from":"redis-cli","text":"from outside"}',
  ])
  for (const page of [one, two]) await page.getByText('from outside').waitFor()

  await one.locator('#text').fill('from a window')
  await one.getByRole('button', { name: 'Send' }).click()
  await two.getByText('from a window').waitFor()
  await listener.line(/from a window/)
  assert.equal(await one.getByText('from a window').count(), 1, 'what comes back through Redis is shown once')
})
