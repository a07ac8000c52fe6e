/** Durable buffers in a whole relay: its readiness, its start, its end and its reloads. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import type { TestEndpoint } from '../support/core.ts'
import { type Owner, temporaryFolder } from '../support/process.ts'
import { configOf, relayServer, testType } from '../support/relay.ts'
import { until } from '../support/wait.ts'

interface Setup {
  readonly path: string
  readonly messages?: number
  /** A step's. */
  readonly module?: string
}

const configFor = ({ path, messages = 100, module }: Setup) =>
  configOf(
    { in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } },
    { in: [{ to: 'out', ...(module && { module }), buffer: { durable: true, path, messages, bytes: '16MiB' } }] },
  )

function deferred() {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

/** `in -> out`: nothing that `out` is sent is confirmed before the test says so. */
async function start(t: Owner, setup: Setup): Promise<{ server: FastifyInstance; out: TestEndpoint }> {
  const { type, made } = testType({ confirm: true })
  const server = await relayServer(t, { config: configFor(setup), types: [type] })
  await server.ready()
  return { server, out: made.get('out')! }
}

/** A file system of 1 MiB; undefined where this user may not mount one. */
function smallDisk(t: Owner): string | undefined {
  const path = temporaryFolder('disk')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  t.after(() => void execFileSync('umount', ['-l', path]))
  return path
}

describe('a relay with a durable buffer', () => {
  test('says that a message is safe while its target is away, and delivers it after a restart', async (t) => {
    const path = join(temporaryFolder('durable'), 'journal')
    const first = await start(t, { path })
    await Promise.all([1, 2, 3].map((number) => first.server.araldo.publish('in', number)))
    const [lane] = first.server.araldo.routes[0]!.lanes
    assert.deepEqual([lane?.guarantee, lane?.ledger.waiting, lane?.outbox.messages], ['at-least-once', 3, 3])
    await first.server.close()

    const { out, server } = await start(t, { path })
    out.onSend = (_message, settle) => settle?.(null)
    // What it was sent before it answers, it is sent again.
    out.break()
    await until(() => server.araldo.routes[0]?.lanes[0]?.ledger.delivered === 3)
    assert.deepEqual(
      out.sent.slice(-3).map(({ body }) => body),
      [1, 2, 3],
    )
    await server.close()
  })

  test('does not start where another has the disk, and says what to do', async (t) => {
    const path = join(temporaryFolder('durable'), 'journal')
    await start(t, { path })
    await assert.rejects(start(t, { path }), { code: 'ARALDO_ERR_JOURNAL_LOCKED', message: /end that one, or give/ })
  })

  test('is not ready while the disk is full, acknowledges nothing, and is well again when there is room', async (t) => {
    const disk = smallDisk(t)
    if (disk === undefined) {
      t.skip('needs to be root and allowed to mount')
      return
    }
    const { server } = await start(t, { path: join(disk, 'journal') })
    assert.equal((await server.inject('/health/ready')).statusCode, 200)
    const ballast = join(disk, 'ballast')
    try {
      writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024))
    } catch {
      // It is as large as there was room.
    }
    const body = 'x'.repeat(50_000)
    let isSafe = false
    const publishing = server.araldo.publish('in', body).then(() => (isSafe = true))
    await until(async () => (await server.inject('/health/ready')).statusCode === 503)
    const { reason } = (await server.inject('/health/ready')).json<{ reason: string }>()
    assert.equal(reason, 'the disk takes nothing in: in → out')
    assert.match((await server.inject('/metrics')).body, /araldo_lane_disk_failed\{[^}]*\} 1/)
    assert.equal(isSafe, false)
    await assert.rejects(server.araldo.publish('in', body), { code: 'ARALDO_ERR_UNDELIVERED', retryable: true })
    rmSync(ballast)
    await until(() => isSafe)
    await publishing
    await until(async () => (await server.inject('/health/ready')).statusCode === 200)
    await server.close()
  })

  test('hands its disk on where a reload changes the lane, with all that is on it', async (t) => {
    const path = join(temporaryFolder('durable'), 'journal')
    const { server, out } = await start(t, { path })
    await Promise.all([1, 2].map((number) => server.araldo.publish('in', number)))
    await server.araldo.reload(configFor({ path, messages: 50 }))
    await server.araldo.publish('in', 3)
    const lane = () => server.araldo.routes[0]!.lanes[0]!
    await until(() => lane().outbox.messages === 3)
    const { ledger } = lane()
    assert.deepEqual([ledger.received, ledger.waiting, ledger.delivered], [3, 3, 0])
    out.onSend = (_message, settle) => settle?.(null)
    out.break()
    await until(() => lane().ledger.waiting === 0)
    assert.deepEqual(
      out.sent.slice(-3).map(({ body }) => body),
      [1, 2, 3],
    )
    assert.deepEqual([lane().ledger.delivered, lane().outbox.messages], [3, 0])
    await server.close()
  })

  test('hands its disk on when the steps before it have let go of what they had', async (t) => {
    const folder = temporaryFolder('durable')
    const module = join(folder, 'step.mjs')
    writeFileSync(module, 'export default () => globalThis.araldoTestGate')
    const gate = deferred()
    const called = deferred()
    Object.defineProperty(globalThis, 'araldoTestGate', {
      configurable: true,
      get: () => (called.resolve(), gate.promise),
    })
    t.after(() => void Reflect.deleteProperty(globalThis, 'araldoTestGate'))
    const setup = { path: join(folder, 'journal'), module }
    const { server } = await start(t, setup)
    const published = server.araldo.publish('in', 1)
    await called.promise
    await server.araldo.reload(configFor({ ...setup, messages: 50 }))
    gate.resolve()
    await published
    const { ledger } = server.araldo.routes[0]!.lanes[0]!
    assert.equal(ledger.dropped.closing, 0)
    await until(() => server.araldo.routes[0]!.lanes[0]!.outbox.messages === 1)
    await server.close()
  })

  test('refuses a reload whose disk cannot be used, and goes on', async (t) => {
    const path = join(temporaryFolder('durable'), 'journal')
    const { server } = await start(t, { path })
    const file = join(temporaryFolder('durable'), 'a-file')
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, '')
    await assert.rejects(server.araldo.reload(configFor({ path: file })), { code: 'ARALDO_ERR_JOURNAL_UNUSABLE' })
    await server.araldo.publish('in', 1)
    assert.equal(server.araldo.routes[0]?.lanes[0]?.ledger.waiting, 1)
    await server.close()
  })
})
