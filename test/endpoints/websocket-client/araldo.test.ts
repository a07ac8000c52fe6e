/** Two relays, linked: the one connects to the other, which is killed meanwhile. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { onFreePort } from '../../support/port.ts'
import { type ManagedProcess, type Owner, startProcess, temporaryFolder } from '../../support/process.ts'
import { configOf, relayServer } from '../../support/relay.ts'
import { startRedis } from '../../support/redis.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'

const CLI = fileURLToPath(new URL('../../../lib/cli.ts', import.meta.url))

/** The command, from the sources. */
function startRelay(t: Owner, config: (port: number) => string): Promise<{ relay: ManagedProcess; port: number }> {
  const folder = temporaryFolder('relay')
  return onFreePort(async (port) => {
    writeFileSync(join(folder, 'araldo.yaml'), config(port))
    const args = ['--import', import.meta.resolve('tsx'), CLI]
    const relay = await startProcess({
      command: process.execPath,
      args,
      cwd: folder,
      t,
      ready: /listening at http/,
      timeout: 30_000,
    })
    return { relay, port }
  })
}

const COUNT = 400

describe('another araldo', { skip: need('redis-server') }, () => {
  test('has every message, though it is killed under way; what it pushes comes in with its id and time', async (t) => {
    const redis = await startRedis({ t })
    const client = new Redis(redis.url)
    t.after(() => client.disconnect())
    const { relay, port } = await startRelay(
      t,
      (free) => `
global: { server-port: ${free} }
plugins:
  araldo.endpoints.endpoint:
    - { name: relays, id: endpoint-websocket, path: /link, acknowledge: required }
    - { name: got, id: endpoint-redis-stream, url: "${redis.url}", topic: got }
    - { name: news, id: endpoint-redis, url: "${redis.url}", channel: news }
routes:
  relays: [got]
  news: [relays]
`,
    )
    const session = 'a session that nobody guesses'.replaceAll(' ', '-')
    const config = configOf(
      {
        app: { id: 'endpoint-app' },
        heard: { id: 'endpoint-app' },
        link: { id: 'endpoint-websocket-client', url: `ws://127.0.0.1:${port}/link`, acknowledge: true, session },
      },
      { app: [{ to: 'link', delivery: 'at-least-once' }], link: ['heard'] },
    )
    const server = await relayServer(t, { config })
    await server.ready()
    const heard: { id: string; time: number; body: unknown }[] = []
    server.araldo.subscribe('heard', ({ id, time, body }) => void heard.push({ id, time, body }))
    const link = server.araldo.endpoints.get('link')
    await until(() => link?.state === 'up', { timeout: 10_000 })

    const published: Promise<string>[] = []
    for (let number = 0; number < COUNT; number++) {
      published.push(
        server.araldo.publish(
          'app',
          { number },
          { id: `m-${number}`, key: String(number % 10), headers: { 'x-number': String(number) } },
        ),
      )
      if (number === COUNT / 2) {
        await until(async () => (await client.xlen('got')) > 0)
        await relay.kill()
      }
    }
    await relay.start()
    await Promise.all(published)

    const entries = (await client.xrange('got', '-', '+')).map(([, fields]) => {
      return Object.fromEntries(
        Array.from({ length: fields.length / 2 }, (_unused, at) => fields.slice(2 * at, 2 * at + 2)),
      ) as Record<string, string>
    })
    const numbers = entries.map(({ payload = '' }) => (JSON.parse(payload) as { number: number }).number)
    assert.equal(new Set(numbers).size, COUNT, 'every message is there')
    // Twice, if at all, with one id: a step `dedupe` can tell.
    const ids = new Map<number, string | undefined>()
    for (const [index, number] of numbers.entries()) {
      assert.equal(ids.get(number) ?? entries[index]?.['id'], entries[index]?.['id'])
      ids.set(number, entries[index]?.['id'])
    }
    assert.deepEqual([entries[0]?.['key'], entries[0]?.['x-number']], ['0', '0'])

    await until(async () => {
      await client.publish('news', '{"a":1}')
      return heard.length > 0
    })
    assert.deepEqual(heard[0]?.body, { a: 1 })
    assert.match(heard[0]?.id ?? '', /^[\w-]{8,}$/)
    assert.ok(Math.abs((heard[0]?.time ?? 0) - Date.now()) < 60_000)
  })

  test('that is frozen is noticed, and has everything when it is well again', async (t) => {
    const redis = await startRedis({ t })
    const client = new Redis(redis.url)
    t.after(() => client.disconnect())
    const { relay, port } = await startRelay(
      t,
      (free) => `
global: { server-port: ${free} }
plugins:
  araldo.endpoints.endpoint:
    - { name: relays, id: endpoint-websocket, path: /link, acknowledge: required }
    - { name: got, id: endpoint-redis-stream, url: "${redis.url}", topic: got }
routes:
  relays: [got]
`,
    )
    const parameters = {
      url: `ws://127.0.0.1:${port}/link`,
      acknowledge: true,
      'ping-interval': 100,
      'ping-timeout': 500,
    }
    const config = configOf(
      { app: { id: 'endpoint-app' }, link: { id: 'endpoint-websocket-client', ...parameters } },
      { app: [{ to: 'link', delivery: 'at-least-once' }] },
    )
    const server = await relayServer(t, { config })
    await server.ready()
    const link = server.araldo.endpoints.get('link')
    await until(() => link?.state === 'up', { timeout: 10_000 })
    relay.pause()
    const published = Array.from({ length: 20 }, (_unused, number) => server.araldo.publish('app', { number }))
    await until(() => /says nothing/.test(link?.reason ?? ''), { timeout: 10_000 })
    relay.resume()
    await Promise.all(published)
    assert.ok((await client.xlen('got')) >= 20)
  })
})
