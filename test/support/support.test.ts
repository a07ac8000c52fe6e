import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startMosquitto } from './mosquitto.ts'
import { startNats } from './nats.ts'
import { accepts, freePort } from './port.ts'
import { startPostgres } from './postgres.ts'
import { ManagedProcess, run, runOrThrow, startProcess } from './process.ts'
import { startRedis, startRedisCluster, startRedisSentinel } from './redis.ts'
import { find, locate, need } from './require.ts'
import { survivesACrash } from './server.ts'
import { until, WaitTimeout, within } from './wait.ts'

describe('a broker of the tests', { concurrency: 3 }, () => {
  test('Redis', { skip: need('redis-server', 'redis-cli') }, async (t) => {
    const redis = await startRedis({ t, password: 'not so secret' })
    await survivesACrash(redis)
    assert.equal(await redis.cli('PING'), 'PONG')
    redis.pause()
    assert.deepEqual(await redis.stop(), { code: 0, signal: null })
  })

  test('Redis with TLS', { skip: need('redis-server', 'redis-cli', 'openssl') }, async (t) => {
    const redis = await startRedis({ t, tls: true })
    assert.match(redis.url, /^rediss:/)
    assert.equal(await redis.cli('PING'), 'PONG')
  })

  test('a Redis Cluster', { skip: need('redis-server', 'redis-cli') }, async (t) => {
    const cluster = await startRedisCluster({ t })
    assert.match((await cluster.nodes[0]?.cli('CLUSTER', 'INFO')) ?? '', /cluster_slots_ok:16384/)
    await cluster.stop()
  })

  test('Redis under Sentinel', { skip: need('redis-server', 'redis-cli') }, async (t) => {
    const redis = await startRedisSentinel({ t })
    await redis.failover()
    assert.match(await redis.replica.cli('ROLE'), /^master/)
  })

  test('NATS with JetStream and WebSocket', { skip: need('nats-server') }, async (t) => {
    const nats = await startNats({ t, jetStream: true, webSocket: true })
    await survivesACrash(nats)
    assert.equal(await accepts(Number(new URL(nats.webSocketUrl ?? '').port)), true)
    await nats.stop()
  })

  test('Mosquitto with WebSocket', { skip: need('mosquitto') }, async (t) => {
    const mosquitto = await startMosquitto({ t, webSocket: true })
    await survivesACrash(mosquitto)
    assert.equal(await accepts(Number(new URL(mosquitto.webSocketUrl ?? '').port)), true)
    assert.deepEqual(await mosquitto.stop(), { code: 0, signal: null })
  })

  test('PostgreSQL', { skip: need('initdb', 'postgres', 'psql') }, async (t) => {
    const postgres = await startPostgres({ t })
    await survivesACrash(postgres)
    assert.equal(await postgres.sql('SELECT 1 + 1'), '2')
    assert.deepEqual(await postgres.stop(), { code: 0, signal: null })
  })
})

describe('a process of the tests', () => {
  const node = process.execPath

  test('tells its output and how it ended', async () => {
    const result = await run(node, ['-e', 'console.log("out"); console.error("err"); process.exit(3)'])
    assert.deepEqual(result, { code: 3, signal: null, stdout: 'out\n', stderr: 'err\n' })
    await assert.rejects(runOrThrow(node, ['-e', 'process.exit(3)']), /exit code 3/)
  })

  test('that does not start says why', async () => {
    await assert.rejects(
      startProcess({ command: node, args: ['-e', 'throw new Error("no luck")'], ready: /ready/ }),
      /no luck/,
    )
    await assert.rejects(startProcess({ command: '/no/such/program', ready: /ready/ }), /ENOENT/)
    const mute = startProcess({ command: node, args: ['-e', 'setTimeout(() => {}, 1e6)'], ready: /ready/, timeout: 50 })
    await assert.rejects(mute, (error: Error) => error.cause instanceof WaitTimeout)
  })

  test('keeps the test file alive when its end is awaited', async (t) => {
    const child = await startProcess({ command: node, args: ['-e', 'setTimeout(() => process.exit(4), 100)'], t })
    assert.deepEqual(await child.exited, { code: 4, signal: null })
  })

  test('takes its children with it', async (t) => {
    const script = 'sh -c "echo child \\$\\$; sleep 1000" & wait'
    const parent = await startProcess({ command: 'sh', args: ['-c', script], ready: /child \d+/, t })
    const child = Number((await parent.line(/child (\d+)/))[1])
    await parent.kill()
    await until(() => !isAlive(child), { message: 'the child to end' })
  })

  test('and its folder are gone when the tests are killed', { timeout: 20_000 }, async (t) => {
    const module = fileURLToPath(new URL('process.ts', import.meta.url))
    const script = `
      import { startProcess, temporaryFolder } from ${JSON.stringify(module)}
      const folder = temporaryFolder()
      const child = await startProcess({ command: 'sleep', args: ['1000'] })
      console.log(JSON.stringify({ folder, pid: child.pid }))
      setInterval(() => {}, 1000)`
    const args = ['--import', 'tsx', '--input-type=module', '-e', script]
    const tests = new ManagedProcess({ command: node, args, ready: /\}\n/, t })
    await tests.start()
    const { folder, pid } = JSON.parse(tests.stdout) as { folder: string; pid: number }
    assert.equal(isAlive(pid), true)
    await tests.kill()
    await until(() => !isAlive(pid) && !existsSync(folder), { message: 'the watchdog to clean up' })
  })
})

describe('waiting', () => {
  test('ends with what the predicate found', async () => {
    let asked = 0
    assert.equal(await until(() => ++asked === 3 && 'found', { interval: 1 }), 'found')
  })

  test('ends at the deadline, and says what was waited for and why it did not come', async () => {
    const failing = (): never => {
      throw new Error('not yet')
    }
    await assert.rejects(until(failing, { timeout: 20, message: 'a miracle' }), (error: Error) => {
      assert.match(error.message, /20 ms for a miracle/)
      assert.match(String(error.cause), /not yet/)
      return true
    })
    const never = new Promise<boolean>(() => {})
    await assert.rejects(within(never, { timeout: 20 }), WaitTimeout)
    await assert.rejects(
      until(() => never, { timeout: 20 }),
      WaitTimeout,
    )
  })
})

describe('a program that tests need', () => {
  test('is found, or the line that is shown says how to get it', (t) => {
    assert.equal(need('sh'), false)
    assert.match(find('sh'), /\/sh$/)
    assert.equal(locate('no-such-program'), undefined)
    assert.throws(() => find('no-such-program'), /npm run test:tools/)
    const before = process.env.CI
    t.after(() => {
      if (before === undefined) delete process.env.CI
      else process.env.CI = before
    })
    delete process.env.CI
    assert.match(String(need('no-such-program')), /no-such-program is not installed: run 'npm run test:tools'/)
    process.env.CI = 'true'
    assert.throws(() => need('no-such-program'), /npm run test:tools/)
  })

  test('gets a port outside those that systems hand out', async () => {
    const port = await freePort()
    assert.ok(port >= 10_000 && port < 20_000)
    assert.equal(await accepts(port), false)
  })
})

/** A process that has ended but was not collected by its parent yet has ended. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !(existsSync('/proc') && / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')))
  } catch {
    return false
  }
}
