import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchChromium, needChromium } from '../support/chromium.ts'
import { freePort } from '../support/port.ts'
import { type ManagedProcess, type Owner, runOrThrow, startProcess } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

const skip = need('redis-server', 'redis-cli') || needChromium()

/** The example, with Redis behind it. */
async function startExample(t: Owner): Promise<{ redis: RedisServer; url: string; server: ManagedProcess }> {
  const redis = await startRedis({ t })
  const port = await freePort()
  const server = await startProcess({
    command: process.execPath,
    args: ['--import', 'tsx', 'example/redis/server.ts'],
    env: { PORT: String(port), REDIS_URL: redis.url },
    ready: /Ctrl-C ends it/,
    t,
  })
  return { redis, url: `http://localhost:${port}/`, server }
}

test('example/redis: two browser windows and redis-cli are in one conversation', { skip }, async (t) => {
  const { redis, url } = await startExample(t)
  const browser = await launchChromium({ t })
  const [one, two] = [await browser.newPage(), await browser.newPage()]
  for (const page of [one, two]) {
    await page.goto(url)
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

test('example/redis: a window knows that its message is safe, and knows it only when it is', { skip }, async (t) => {
  const { redis, url } = await startExample(t)
  const browser = await launchChromium({ t })
  const [one, two] = [await browser.newPage(), await browser.newPage()]
  for (const page of [one, two]) {
    await page.goto(url)
    await page.locator('#state.open').waitFor()
  }
  const say = async (text: string): Promise<void> => {
    await one.locator('#text').fill(text)
    await one.getByRole('button', { name: 'Send' }).click()
  }
  const item = (text: string) => one.locator('li.mine', { hasText: text })
  await say('before')
  await item('before').getByText('✓ sent').waitFor()

  await redis.kill()
  await until(async () => (await fetch(`${url}health/ready`)).status === 503, { message: 'Redis to be missed' })
  await say('while Redis is down')
  await item('while Redis is down').getByText('waiting').waitFor()
  // An answer would have come before this one: the relay is there, and says nothing.
  await one.evaluate('fetch("/health/live")')
  assert.equal(await item('while Redis is down').getByText('waiting').count(), 1)
  assert.equal(await two.getByText('while Redis is down').count(), 0)

  await redis.start()
  await item('while Redis is down').getByText('✓ sent').waitFor()
  await say('after')
  await item('after').getByText('✓ sent').waitFor()
  await two.locator('li', { hasText: 'after' }).waitFor()
})

test('example/redis: what has no answer when the connection is lost is sent again on the next', { skip }, async (t) => {
  const { redis, url, server } = await startExample(t)
  const page = await (await launchChromium({ t })).newPage()
  await page.goto(url)
  await page.locator('#state.open').waitFor()
  await redis.kill()
  await until(async () => (await fetch(`${url}health/ready`)).status === 503, { message: 'Redis to be missed' })
  await page.locator('#text').fill('through it all')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('li.mine', { hasText: 'through it all' }).getByText('waiting').waitFor()
  await server.stop('SIGKILL')
  await page.locator('#state:not(.open)').waitFor()

  await redis.start()
  const listener = await startProcess({
    command: 'redis-cli',
    args: ['-p', String(redis.port), 'subscribe', 'chat'],
    ready: /subscribe/,
    t,
  })
  await startProcess({
    command: process.execPath,
    args: ['--import', 'tsx', 'example/redis/server.ts'],
    env: { PORT: new URL(url).port, REDIS_URL: redis.url },
    ready: /Ctrl-C ends it/,
    t,
  })
  await page.locator('li.mine.safe', { hasText: 'through it all' }).waitFor()
  await listener.line(/through it all/)
})
