import assert from 'node:assert/strict'
import { readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Files } from '../../lib/journal/files.ts'
import { errors } from '../../lib/errors.ts'
import { DEFAULT_BUFFER } from '../../lib/delivery/guarantee.ts'
import { Journal } from '../../lib/journal/journal.ts'
import { Lane } from '../../lib/delivery/lane.ts'
import type { DropReason, Settle } from '../../lib/types.ts'
import { SimulatedDisk } from '../journal/disk.ts'
import { contextOf, counting, deliveryOf, TestEndpoint, type ContextChange } from '../support/core.ts'
import { type Owner, temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'

const MARSHALLER = counting()

interface Setup {
  readonly path?: string
  readonly bytes?: number
  readonly messages?: number
  readonly memory?: number
  readonly overflow?: 'block' | 'drop-newest'
  readonly source?: ContextChange['source']
  readonly files?: Files
}

/** `in -> out`, where `out` confirms when the test says so. */
async function setUp(t: Owner, setup: Setup = {}) {
  const { path = temporaryFolder('journal'), bytes = 64 * 1024 * 1024, messages = 100, memory, files } = setup
  const { overflow = 'drop-newest', source: capabilities } = setup
  const source = new TestEndpoint(contextOf('in', { marshaller: MARSHALLER, source: capabilities }))
  const target = new TestEndpoint(contextOf('out', { marshaller: MARSHALLER, confirm: true }))
  const drops: DropReason[] = []
  const lane = new Lane({
    source,
    target,
    steps: [],
    optional: false,
    delivery: deliveryOf({
      guarantee: 'at-least-once',
      overflow,
      buffer: { messages, bytes: memory ?? DEFAULT_BUFFER.bytes },
      durable: { path, bytes },
      retry: { attempts: Infinity, minDelay: 1, maxDelay: 5 },
    }),
    onDrop: (_lane, reason) => drops.push(reason),
    ...(files === undefined ? {} : { files }),
  })
  const settled: (Error | null)[] = []
  let number = 0
  source.bind((message, settle) => lane.accept(message, settle && { settle }))
  source.start()
  const feed = (count = 1, settle?: Settle): void => {
    for (let left = count; left > 0; left--) source.feed({ body: ++number, topic: 't' }, settle)
  }
  const feedSettled = (count = 1): void => feed(count, (error) => settled.push(error))
  /** From now on the target confirms what it is sent. */
  const confirm = (): void => {
    target.onSend = (_message, settle) => settle?.(null)
    target.start()
  }
  const end = async (): Promise<void> => {
    lane.close()
    await lane.whenClosed()
  }
  t.after(end)
  const identity = (): void => assert.equal(lane.ledger.waiting, lane.messages)
  const bodies = (): unknown[] => target.sent.map(({ body }) => body)
  return { path, source, target, lane, drops, settled, feed, feedSettled, confirm, end, identity, bodies }
}

const numbers = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => from + index)

describe('a lane with a durable buffer', () => {
  it('tells the source that a message is safe when the disk has it, though the target is down', async (t) => {
    const { lane, settled, feedSettled, end, identity } = await setUp(t)
    await lane.open()
    feedSettled(3)
    assert.deepEqual(settled, [])
    await until(() => settled.length === 3)
    assert.deepEqual(settled, [null, null, null])
    assert.equal(lane.messages, 3)
    identity()
    await end()
  })

  it('delivers in the next life what it took in in this one, in order, and once only', async (t) => {
    const first = await setUp(t)
    await first.lane.open()
    first.feedSettled(50)
    await until(() => first.settled.length === 50)
    await first.end()
    assert.equal(first.lane.ledger.waiting, 0)

    const second = await setUp(t, { path: first.path })
    await second.lane.open()
    assert.deepEqual([second.lane.ledger.received, second.lane.messages], [50, 50])
    second.feed(2)
    second.confirm()
    await until(() => second.lane.messages === 0)
    assert.deepEqual(second.bodies(), [...numbers(50), 1, 2])
    assert.deepEqual([second.lane.ledger.delivered, second.lane.ledger.received], [52, 52])
    await second.end()

    const third = await setUp(t, { path: first.path })
    await third.lane.open()
    assert.equal(third.lane.messages, 0)
    await third.end()
  })

  it('keeps key, headers, topic, id and time of a message', async (t) => {
    const first = await setUp(t)
    await first.lane.open()
    const headers = Object.assign(Object.create(null) as Record<string, string>, { a: 'b', ['__proto__']: 'c' })
    const init = { body: { x: 1 }, topic: 'orders/1', key: 'k', headers, id: 'mine', time: 1_234 }
    let safe = false
    first.source.feed(init, () => (safe = true))
    await until(() => safe)
    await first.end()

    const second = await setUp(t, { path: first.path })
    await second.lane.open()
    second.confirm()
    await until(() => second.lane.messages === 0)
    const [message] = second.target.sent
    const { body, topic, key, id, time, source } = message!
    assert.deepEqual(
      { body, topic, key, id, time, source, headers: undefined },
      { ...init, source: 'in', headers: undefined },
    )
    assert.deepEqual(Object.entries(message!.headers), [
      ['a', 'b'],
      ['__proto__', 'c'],
    ])
    await second.end()
  })

  it('holds no more in memory than its buffer, however much is on disk, and keeps the order', async (t) => {
    const { lane, feed, confirm, target, bodies, end, identity } = await setUp(t, { messages: 10 })
    await lane.open()
    feed(1_000)
    identity()
    assert.equal(lane.messages, 1_000)
    let inFlight = 0
    let most = 0
    target.onSend = (_message, settle) => {
      most = Math.max(most, ++inFlight)
      setImmediate(() => {
        inFlight--
        settle?.(null)
      })
    }
    target.start()
    await until(() => lane.messages === 0)
    assert.ok(most <= 10)
    assert.deepEqual(bodies(), numbers(1_000))
    identity()
    confirm()
    await end()
  })

  it('takes in nothing beyond its bytes: counted, and exactly', async (t) => {
    const { lane, feed, confirm, drops, bodies, end, identity } = await setUp(t, { bytes: 20_000 })
    await lane.open()
    feed(2_000)
    identity()
    const { overflow } = lane.ledger.dropped
    assert.ok(overflow > 0)
    assert.equal(drops.length, overflow)
    assert.equal(lane.messages, 2_000 - overflow)
    confirm()
    await until(() => lane.messages === 0)
    assert.deepEqual(bodies(), numbers(2_000 - overflow))
    await end()
  })

  it('pauses a source that can wait, and lets it go on when there is room', async (t) => {
    const { lane, source, feed, confirm, end } = await setUp(t, {
      bytes: 20_000,
      overflow: 'block',
      source: { pause: true, ack: true },
    })
    await lane.open()
    assert.deepEqual(source.asked, ['suspend', 'resume'])
    while (source.asked.length === 2) feed(1)
    assert.deepEqual(lane.ledger.dropped.overflow, 0)
    confirm()
    await until(() => source.asked.length === 4)
    assert.deepEqual(source.asked, ['suspend', 'resume', 'suspend', 'resume'])
    await end()
  })

  it('acknowledges nothing while its disk fails, says so, and goes on when that is over', async (t) => {
    const disk = new SimulatedDisk()
    const { lane, settled, feedSettled, confirm, bodies, end, identity } = await setUp(t, { files: disk })
    await lane.open()
    feedSettled(1)
    await until(() => settled.length === 1)
    disk.fault = (operation) => (operation === 'write' || operation === 'sync' ? new Error('no space') : undefined)
    feedSettled(1)
    await until(() => lane.outbox.disk?.failure !== undefined)
    assert.match(lane.outbox.disk?.failure ?? '', /cannot be written: .*no space/)
    feedSettled(1)
    assert.equal((settled[1] as { code?: string } | null)?.code, 'ARALDO_ERR_JOURNAL_FAILED')
    assert.equal(settled.length, 2)
    identity()
    disk.fault = () => undefined
    await until(() => lane.outbox.disk?.failure === undefined)
    await until(() => settled.length === 3)
    feedSettled(1)
    await until(() => settled.length === 4)
    confirm()
    await until(() => lane.messages === 0)
    assert.deepEqual(bodies(), [1, 2, 4])
    assert.deepEqual(settled.slice(2), [null, null])
    await end()
  })

  it('counts what is no message of its own, and delivers the rest', async (t) => {
    const path = temporaryFolder('journal')
    const journal = await Journal.open({ path, maxBytes: 1_000_000 })
    journal.append(Buffer.from('written by somebody else'))
    await journal.close()
    const { lane, feed, confirm, drops, bodies, end, identity } = await setUp(t, { path })
    await lane.open()
    feed(1)
    confirm()
    await until(() => lane.messages === 0)
    identity()
    assert.deepEqual([drops, bodies()], [['invalid'], [1]])
    await end()
  })

  it('counts as lost what a damaged disk has lost', async (t) => {
    const first = await setUp(t)
    await first.lane.open()
    first.feedSettled(10)
    await until(() => first.settled.length === 10)
    await first.end()
    const name = (await readdir(first.path)).find((each) => each.endsWith('.log'))
    const file = join(first.path, name ?? '')
    await truncate(file, Math.floor((await stat(file)).size / 2))

    const second = await setUp(t, { path: first.path })
    await second.lane.open()
    const { ledger } = second.lane
    assert.equal(ledger.received, 10)
    assert.ok(ledger.dropped.lost > 0)
    second.identity()
    second.confirm()
    await until(() => second.lane.messages === 0)
    assert.equal(ledger.delivered + ledger.dropped.lost, 10)
    await second.end()
  })

  it('takes in what comes before its disk is open', async (t) => {
    const { lane, feedSettled, settled, confirm, bodies, end, identity } = await setUp(t)
    feedSettled(5)
    identity()
    assert.equal(lane.messages, 5)
    await lane.open()
    confirm()
    await until(() => lane.messages === 0)
    await until(() => settled.length === 5)
    assert.deepEqual(bodies(), numbers(5))
    await end()
  })

  it('takes no more in before its disk is open than may be in memory, in bytes, too', async (t) => {
    const { lane, source, drops, end } = await setUp(t, { memory: 10_000 })
    for (let left = 50; left > 0; left--) source.feed({ payload: Buffer.from(`"${'x'.repeat(998)}"`) })
    assert.ok(lane.messages <= 10)
    assert.equal(drops.length + lane.messages, 50)
    await end()
  })

  it('gives back what came before where its disk cannot be opened, and what comes later at once', async (t) => {
    const first = await setUp(t)
    await first.lane.open()
    const { lane, settled, feedSettled, end, identity } = await setUp(t, { path: first.path })
    feedSettled(2)
    await assert.rejects(lane.open(), { code: 'ARALDO_ERR_JOURNAL_LOCKED' })
    feedSettled(1)
    assert.deepEqual(
      settled.map((error) => [(error as { code?: string }).code, (error as { retryable?: boolean }).retryable]),
      Array.from({ length: 3 }, () => ['ARALDO_ERR_JOURNAL_LOCKED', true]),
    )
    identity()
    await lane.whenEmpty()
    await end()
    await first.end()
  })

  it('cannot be opened while another has its disk, and can when that one has let go', async (t) => {
    const first = await setUp(t)
    await first.lane.open()
    first.feed(3)
    const second = await setUp(t, { path: first.path })
    await assert.rejects(second.lane.open(), { code: 'ARALDO_ERR_JOURNAL_LOCKED' })
    await second.end()
    const third = await setUp(t, { path: first.path })
    first.lane.close()
    await third.lane.open(first.lane)
    assert.equal(third.lane.messages, 3)
    await third.end()
  })

  it('is at rest when all is safe, though its target is away; what is under way ends before', async (t) => {
    const { lane, feedSettled, settled, end } = await setUp(t)
    await lane.open()
    feedSettled(3)
    await lane.whenEmpty()
    assert.equal(settled.length, 3)
    await end()

    const other = await setUp(t)
    await other.lane.open()
    const settles: Settle[] = []
    other.target.onSend = (_message, settle) => void settles.push(settle as Settle)
    other.target.start()
    other.feed(1)
    let rested = false
    const resting = other.lane.whenEmpty().then(() => (rested = true))
    await until(() => settles.length === 1)
    assert.equal(rested, false)
    settles[0]?.(null)
    await resting
    assert.equal(other.lane.messages, 0)
    await other.end()
  })

  it('gives a message that no try can help to the ledger, not to the next life', async (t) => {
    const { path, lane, feed, target, drops, end } = await setUp(t)
    await lane.open()
    target.onSend = () => {
      throw new errors.TOO_LARGE('out', 1, 2)
    }
    target.start()
    feed(1)
    await until(() => drops.length === 1)
    assert.equal(lane.messages, 0)
    await end()
    const next = await setUp(t, { path })
    await next.lane.open()
    assert.equal(next.lane.messages, 0)
    await next.end()
  })
})
