/** What health, metrics and console show of how lanes deliver. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { errors } from '../../lib/errors.ts'
import type { Settle } from '../../lib/types.ts'
import { launchChromium, needChromium } from '../support/chromium.ts'
import type { TestEndpoint } from '../support/core.ts'
import { parseMetrics, valueOf } from '../support/metrics.ts'
import type { Owner } from '../support/process.ts'
import { configOf, relayServer, testType } from '../support/relay.ts'
import { within } from '../support/wait.ts'

const CONFIG = configOf(
  { in: { id: 'endpoint-test' }, out: { id: 'endpoint-test' }, gone: { id: 'endpoint-test' } },
  {
    in: [
      {
        to: 'out',
        buffer: { messages: 4, bytes: '1KiB' },
        retry: { attempts: 2, 'min-delay': 1, 'max-delay': 1 },
        'dead-letter': 'gone',
      },
    ],
  },
)
const LANE = { source: 'in', target: 'out' }

interface Rig {
  readonly server: FastifyInstance
  readonly source: TestEndpoint
  readonly target: TestEndpoint
  /** Answers that the target owes, in the order of what it was sent. */
  readonly owed: Settle[]
  /** `araldo_…` of the lane, or of the endpoint. */
  metric(name: string, labels: Readonly<Record<string, string>>): Promise<number | undefined>
}

/** A lane that holds at most 4 messages, to a target that answers when it is told to. */
async function startRig(t: Owner): Promise<Rig> {
  const { type, made } = testType({ confirm: true, pause: true })
  const server = await relayServer(t, { config: CONFIG, types: [type], console: true })
  await server.ready()
  const [source, target, gone] = ['in', 'out', 'gone'].map((name) => made.get(name) ?? assert.fail())
  assert.ok(source && target && gone)
  const owed: Settle[] = []
  target.onSend = (_message, settle) => settle && owed.push(settle) && undefined
  gone.onSend = (_message, settle) => settle?.(null)
  const metric: Rig['metric'] = async (name, labels) => {
    const { body } = await server.inject('/metrics')
    return valueOf(parseMetrics(body), `araldo_${name}`, labels)
  }
  return { server, source, target, owed, metric }
}

function feed({ source }: Rig, count: number, time: number): void {
  for (let number = 0; number < count; number++)
    source.feed({ payload: Buffer.from('1'), key: `k${number}`, time }, () => {})
}

describe('the metrics of a lane', () => {
  test('show what waits, for how long, of how much, and whom it holds back', async (t) => {
    const rig = await startRig(t)
    const { metric } = rig
    assert.equal(await metric('lane_info', { ...LANE, guarantee: 'at-least-once', overflow: 'block' }), 1)
    assert.equal(await metric('lane_waiting_limit', LANE), 4)
    assert.equal(await metric('lane_waiting_limit_bytes', LANE), 1_024)
    assert.equal(await metric('lane_oldest_waiting_seconds', LANE), 0)

    feed(rig, 2, Date.now() - 60_000)
    assert.equal(await metric('lane_messages_waiting', LANE), 2)
    assert.equal(await metric('lane_holding_source', LANE), 0)
    assert.equal(await metric('endpoint_suspended', { endpoint: 'in' }), 0)
    const age = (await metric('lane_oldest_waiting_seconds', LANE)) ?? 0
    assert.ok(age >= 60 && age < 120, `${age} s`)
    assert.ok(((await metric('lane_waiting_bytes', LANE)) ?? 0) > 0)

    feed(rig, 2, Date.now() + 60_000)
    assert.equal(await metric('lane_holding_source', LANE), 1)
    assert.equal(await metric('endpoint_suspended', { endpoint: 'in' }), 1)
    assert.equal(await metric('endpoint_suspended', { endpoint: 'out' }), 0)

    for (const settle of rig.owed.splice(0, 2)) settle(null)
    assert.equal(await metric('lane_oldest_waiting_seconds', LANE), 0, 'what comes from the future has no age')
    for (const settle of rig.owed.splice(0)) settle(null)
    assert.equal(await metric('lane_messages_waiting', LANE), 0)
    assert.equal(await metric('lane_holding_source', LANE), 0)
    assert.equal(await metric('endpoint_suspended', { endpoint: 'in' }), 0)
    assert.equal(await metric('lane_messages_delivered_total', LANE), 4)
  })

  test('show tries again, dead letters, and drops by reason', async (t) => {
    const rig = await startRig(t)
    const { target, metric } = rig
    target.onSend = (_message, settle) => settle?.(new errors.SEND_FAILED('out', 'not now'))
    const settled = new Promise<Error | null>((resolve) => {
      rig.source.feed({ payload: Buffer.from('1') }, resolve)
    })
    assert.equal(await within(settled), null)
    assert.equal(await metric('lane_retries_total', LANE), 1)
    assert.equal(await metric('lane_messages_dead_lettered_total', LANE), 1)
    assert.equal(await metric('lane_messages_dropped_total', { ...LANE, reason: 'failed' }), 0)
  })
})

test('readiness is of the endpoints: a source that is held back is up', async (t) => {
  const rig = await startRig(t)
  feed(rig, 4, Date.now())
  assert.equal(rig.source.suspended, true)
  assert.equal((await rig.server.inject('/health/ready')).statusCode, 200)
  rig.target.break('the broker went away')
  const { statusCode, body } = await rig.server.inject('/health/ready')
  assert.equal(statusCode, 503)
  assert.match(body, /"name":"out".*"reason":"the broker went away"/)
})

test('the console shows what waits, tries again and dead letters of a lane', { skip: needChromium() }, async (t) => {
  const rig = await startRig(t)
  const base = await rig.server.listen({ host: '127.0.0.1', port: 0 })
  const browser = await launchChromium({ t })
  const page = await browser.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  await page.goto(`${base}/console`)
  const lane = page.locator('#lanes li')
  await lane.getByText('at least once').waitFor()
  assert.equal(await lane.locator('.outbox').innerText(), '')

  feed(rig, 4, Date.now() - 125_000)
  await lane.getByText(/^waiting: 4 of 4 · \d+ B of 1\.0 KiB · oldest 2 min · source paused$/).waitFor()
  await page.locator('#endpoints tr').first().getByText('paused: a lane is nearly full').waitFor()
  assert.match(await page.locator('#total-waiting').innerText(), /^4$/)

  rig.target.onSend = (_message, settle) => settle?.(new errors.SEND_FAILED('out', 'not now'))
  for (const settle of rig.owed.splice(0)) settle(new errors.SEND_FAILED('out', 'not now'))
  await lane.getByText('4 tries again', { exact: true }).waitFor()
  await lane.getByText('4 dead-lettered').waitFor()
  await page.locator('#total-dead').getByText('4', { exact: true }).waitFor()
  await lane.locator('.outbox').filter({ hasText: /^$/ }).waitFor({ state: 'attached' })
  await page.locator('#messages [data-outcome=dead-lettered]').first().waitFor()
  assert.deepEqual(problems, [])
})
