import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import { endpointRedis } from '../../../../lib/endpoints/redis/pubsub/index.ts'
import { registerEndpoint } from '../../../support/endpoint.ts'
import { startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until, within } from '../../../support/wait.ts'
import { connectClient, relayConnections, subscribers } from '../relay.ts'

const PROGRAM = fileURLToPath(new URL('exit.ts', import.meta.url))

interface Program {
  /** Its next line. */
  readonly line: () => Promise<string>
  readonly close: () => void
  readonly ended: Promise<unknown[]>
}

async function run(t: TestContext, urls: readonly string[]): Promise<Program> {
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, ...urls], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    line: async () => String((await within(lines.next(), { timeout: 20_000, message: 'a line' })).value),
    close: () => child.stdin.end('close\n'),
    ended: once(child, 'exit'),
  }
}

describe('endpoint-redis, the end', { skip: need('redis-server', 'redis-cli'), concurrency: 2 }, () => {
  test('the last messages are published, a mute server is not waited for, and nothing keeps the process', async (t) => {
    const [well, mute, gone] = await Promise.all([startRedis({ t }), startRedis({ t }), startRedis({ t })])
    await gone.kill()
    const listener = await connectClient(t, well)
    const heard: string[] = []
    listener.on('message', (_channel, text) => heard.push(text))
    await listener.subscribe('exit')
    const program = await run(t, [well.url, mute.url, gone.url])
    assert.match(await program.line(), /^up up (down|connecting)$/)
    assert.deepEqual(await relayConnections(well), ['araldo-publisher', 'araldo-subscriber'])
    mute.pause()
    program.close()
    const [, milliseconds] = /^closed after (\d+) ms/.exec(await program.line()) ?? []
    assert.ok(Number(milliseconds) < 4_000, `it took ${milliseconds} ms`)
    assert.deepEqual(await within(program.ended, { timeout: 2_000 }), [0, null])
    await until(() => heard.length === 100)
    assert.deepEqual(await relayConnections(well), [])
  })

  test('it ends at any moment of its start', async (t) => {
    const redis = await startRedis({ t })
    const app = Fastify()
    t.after(() => app.close())
    const options = { url: redis.url, channel: 'moment', topic: 'another', sharded: false, 'ping-interval': 10_000 }
    for (let moment = 0; moment < 20; moment++) {
      const endpoint = await registerEndpoint(app, endpointRedis, options, { name: `moment-${moment}` })
      endpoint.bind(() => {})
      endpoint.start()
      if (moment > 0) await sleep(moment / 2)
      await endpoint.stop()
      assert.equal(endpoint.state, 'closed')
    }
    await until(async () => (await relayConnections(redis)).length === 0)
    assert.equal(await subscribers(redis, 'moment'), 0)
  })
})
