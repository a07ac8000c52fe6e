import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../support/client.ts'
import { type ManagedProcess, type Owner, runOrThrow, startProcess } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

const CONFIG = 'example/streams/araldo.yaml'

/** The example, as its first lines say to run it. */
async function start(t: Owner, redis: RedisServer): Promise<{ child: ManagedProcess; host: string }> {
  const child = await startProcess({
    command: process.execPath,
    args: ['dist/cli.js', '-c', CONFIG],
    env: { PORT: '0', REDIS_URL: redis.url },
    ready: /listening at http/,
    t,
  })
  const [, host = ''] = await child.line(/listening at http:\/\/([^"\s]+)/)
  return { child, host }
}

const payloads = async (redis: RedisServer, stream: string): Promise<string[]> =>
  [...(await redis.cli('XRANGE', stream, '-', '+')).matchAll(/^payload\n(.*)$/gm)].map(([, payload]) => payload ?? '')

describe('example/streams', { skip: need('redis-server', 'redis-cli') }, () => {
  test('browsers see every order, large ones are shipped, what is none is a dead letter', async (t) => {
    const redis = await startRedis({ t })
    const { host } = await start(t, redis)
    const client = await connect(`ws://${host}/orders`, { t })
    await redis.cli('XADD', 'orders', '*', 'id', '7', 'total', '120', 'region', 'eu')
    await redis.cli('XADD', 'orders', '*', 'id', '8', 'total', 'plenty')
    await redis.cli('XADD', 'orders', '*', 'id', '9', 'total', '20', 'region', 'us')
    assert.deepEqual(await client.take(3), [
      '{"id":"7","total":"120","region":"eu"}',
      '{"id":"8","total":"plenty"}',
      '{"id":"9","total":"20","region":"us"}',
    ])
    await until(async () => (await redis.cli('XPENDING', 'orders', 'example')).startsWith('0'))
    assert.deepEqual(await payloads(redis, 'shipping'), ['{"order":"7","region":"eu"}'])
    assert.deepEqual(await payloads(redis, 'parked'), ['{"id":"8","total":"plenty"}'])
    const env = { REDIS_URL: redis.url }
    const letters = await runOrThrow(process.execPath, ['dist/cli.js', 'dlq', 'ls', '-c', CONFIG], { env })
    assert.match(letters, /EXPRESSION_FAILED/)
  })

  test('a relay that is killed goes on where it was when it is started again', async (t) => {
    const redis = await startRedis({ t })
    const { child } = await start(t, redis)
    await redis.cli('XADD', 'orders', '*', 'id', '1', 'total', '101', 'region', 'eu')
    await until(async () => (await payloads(redis, 'shipping')).length === 1)
    await child.stop('SIGKILL')
    await redis.cli('XADD', 'orders', '*', 'id', '2', 'total', '102', 'region', 'eu')
    const again = await start(t, redis)
    await until(async () => (await payloads(redis, 'shipping')).length >= 2)
    await until(async () => (await redis.cli('XPENDING', 'orders', 'example')).startsWith('0'))
    const orders = (await payloads(redis, 'shipping')).map(
      (payload) => (JSON.parse(payload) as { order: string }).order,
    )
    assert.deepEqual([...new Set(orders)], ['1', '2'])
    assert.deepEqual(await again.child.stop(), { code: 0, signal: null })
  })
})
