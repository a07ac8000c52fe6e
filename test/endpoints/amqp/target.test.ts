import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { before, describe, test, type TestContext } from 'node:test'
import { text } from 'node:stream/consumers'
import type { Owner } from '../../support/process.ts'
import { type RabbitmqServer, startRabbitmq } from '../../support/rabbitmq.ts'
import { amqpLength, startMuffler } from '../../support/muffler.ts'
import { find, need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { connectOnlooker, type Declared, reasonOf, startAmqp } from './support.ts'

const GENEROUS = { timeout: 30_000 }
const MAX_MESSAGE = 2_000_000

const codeOf = (error: Error | null): unknown => error && 'code' in error && error.code
const retryableOf = (error: Error | null): unknown => error && 'retryable' in error && error.retryable

describe('a target of AMQP', { skip: need('rabbitmq-server', 'rabbitmqctl', 'epmd') }, () => {
  let rabbitmq: RabbitmqServer
  let queues = 0
  before(async () => {
    rabbitmq = await startRabbitmq({ config: `max_message_size = ${MAX_MESSAGE}` })
  })

  const fresh = (): string => `queue-${queues++}`
  const start = (t: Owner, declared: Declared, options?: Parameters<typeof startAmqp>[2]) =>
    startAmqp(t, { url: rabbitmq.url, ...declared }, options)

  /** Resolves when every connection knows that the broker is short of memory: the next to publish is blocked. */
  async function starve(t: TestContext): Promise<void> {
    t.after(() => rabbitmq.control('set_vm_memory_high_watermark', '0.6'))
    await rabbitmq.control('set_vm_memory_high_watermark', '0.0000001')
    await until(async () => !/running/.test(await rabbitmq.control('list_connections', '--quiet', 'state')), GENEROUS)
  }

  test('publishes to an exchange by routing key, confirmed, in order', async (t) => {
    const [queue, exchange] = [fresh(), `exchange-${queues}`]
    const declare = {
      exchanges: [{ name: exchange, type: 'topic' }],
      bindings: [{ exchange, 'routing-key': 'orders.#' }],
    }
    const target = await start(t, { queue, exchange, topic: 'orders.{key}', declare })
    const results = await Promise.all(Array.from({ length: 300 }, (_, index) => target.send(`${index}`, { key: 'k' })))
    assert.deepEqual(new Set(results), new Set([null]))
    // Its own consumer brings them in: an endpoint may be both.
    const texts = await target.texts(256)
    assert.deepEqual(
      texts,
      Array.from({ length: 256 }, (_, index) => `${index}`),
    )
    assert.equal(target.incoming[0]?.message.topic, 'orders.k')
    assert.equal(target.endpoint.gauges['inFlight'], 0)
  })

  test('writes persistent messages with their properties, unless it is not to', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    await onlooker.channel.assertQueue(queue)
    const lasting = await start(t, { topic: queue })
    const passing = await start(t, { topic: queue, persistent: false })
    const headers = { 'amqp-type': 'order', word: 'grün' }
    assert.equal(await lasting.send('a', { id: 'one', time: 1_700_000_000_000, headers }), null)
    assert.equal(await passing.send('b'), null)
    const [first, second] = await onlooker.take(queue, 2)
    assert.deepEqual(first?.properties.headers, { word: 'grün' })
    assert.equal(first?.properties.deliveryMode, 2)
    assert.equal(first?.properties.messageId, 'one')
    assert.equal(first?.properties.timestamp, 1_700_000_000)
    assert.equal(first?.properties.type, 'order')
    assert.equal(first?.properties.contentType, 'application/octet-stream')
    assert.equal(second?.properties.deliveryMode, 1)
  })

  test('tries a message again that no queue is bound for, until there is one', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const other = fresh()
    await onlooker.channel.assertQueue(other)
    const target = await start(t, { topic: '{topic}' })
    const [missing, there] = await Promise.all([
      target.send('lost', { topic: queue, id: 'same' }),
      target.send('there', { topic: other, id: 'same' }),
    ])
    assert.equal(there, null)
    assert.equal(codeOf(missing), 'ARALDO_ERR_SEND_FAILED')
    assert.equal(retryableOf(missing), true)
    assert.match(missing?.message ?? '', new RegExp(`there is no queue '${queue}' \\(NO_ROUTE\\)`))
    assert.equal(target.endpoint.counters['refused'], 1)
    assert.equal(target.endpoint.state, 'up')
    await onlooker.channel.assertQueue(queue)
    assert.equal(await target.send('lost', { topic: queue }), null)
  })

  test('rejects such a message for good, or does not mind it, where the config says so', async (t) => {
    const strict = await start(t, { exchange: 'amq.topic', topic: 'no.body', unroutable: 'reject' })
    const refused = await strict.send('x')
    assert.equal(codeOf(refused), 'ARALDO_ERR_TOPIC_INVALID')
    assert.match(refused?.message ?? '', /no queue is bound for 'no\.body'/)
    const careless = await start(t, { exchange: 'amq.topic', topic: 'no.body', mandatory: false })
    assert.equal(await careless.send('x'), null)
  })

  test('tries again what a full queue has refused', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    await onlooker.channel.assertQueue(queue, { maxLength: 1, overflow: 'reject-publish' })
    const target = await start(t, { topic: queue })
    assert.equal(await target.send('1'), null)
    const refused = await until(async () => (await target.send('2')) ?? undefined)
    assert.equal(codeOf(refused), 'ARALDO_ERR_SEND_FAILED')
    assert.equal(retryableOf(refused), true)
    assert.equal(target.endpoint.state, 'up')
  })

  test('waits for a broker that lives and confirms nothing, or connects anew where the config says so', async (t) => {
    const queue = fresh()
    const ACK = Buffer.from([0, 60, 0, 80])
    const isConfirm = (frame: Buffer): boolean => frame[0] === 1 && frame.subarray(7, 11).equals(ACK)
    const way = await startMuffler(t, rabbitmq, amqpLength, isConfirm)
    const place = { url: `amqp://127.0.0.1:${way.port}`, topic: queue, queue, declare: true }
    const patient = await start(t, place)
    const bounded = await start(t, { ...place, 'confirm-timeout': '400ms' })
    const reasons: string[] = []
    bounded.endpoint.onState((_state, reason = '') => reasons.push(reason))
    const waiting = patient.send('patient')
    const first = bounded.send('bounded')
    assert.match(String(await first), /lost its connection/)
    await until(() => reasons.some((reason) => /confirms nothing that is published/.test(reason)))
    way.isMuffled = false
    await bounded.endpoint.whenUp(20_000)
    assert.equal(await bounded.send('bounded'), null)
    assert.equal(bounded.endpoint.counters['unanswered'], 1)
    assert.equal(patient.endpoint.state, 'up')
    await patient.close()
    assert.match(String(await waiting), /lost its connection/)
  })

  test('is down while its exchange is missing, and says so', async (t) => {
    const exchange = `exchange-${fresh()}`
    const { endpoint, send } = await start(t, { exchange }, { mayBeDown: true })
    assert.match(
      await reasonOf(endpoint),
      new RegExp(`^404 NOT_FOUND - no exchange '${exchange}' in vhost '/': make it`),
    )
    const onlooker = await connectOnlooker(t, rabbitmq)
    await onlooker.channel.assertExchange(exchange, 'fanout')
    await endpoint.whenUp(20_000)
    // Deleted while it is up: the broker closes the channel at the next message.
    await onlooker.channel.deleteExchange(exchange)
    assert.equal(codeOf(await send('x')), 'ARALDO_ERR_CONNECTION_LOST')
    assert.match(await reasonOf(endpoint), /^404 NOT_FOUND - no exchange/)
  })

  test('refuses what is too large: what the config says, and what the broker turns out to take', async (t) => {
    const queue = fresh()
    const small = await start(t, { queue, topic: queue, 'max-message-size': '1KiB', declare: true })
    const refused = await small.send(Buffer.alloc(1_025))
    assert.equal(codeOf(refused), 'ARALDO_ERR_TOO_LARGE')
    const target = await start(t, { topic: queue })
    const large = Buffer.alloc(MAX_MESSAGE + 1)
    assert.equal(codeOf(await target.send(large)), 'ARALDO_ERR_CONNECTION_LOST')
    await until(() => target.endpoint.counters.connects === 2 && target.endpoint.state === 'up', GENEROUS)
    const known = await target.send(large)
    assert.equal(codeOf(known), 'ARALDO_ERR_TOO_LARGE')
    assert.match(known?.message ?? '', new RegExp(`at most ${MAX_MESSAGE} bytes`))
    assert.equal(await target.send(Buffer.alloc(MAX_MESSAGE)), null)
  })

  test('refuses headers that do not fit, and stays up', async (t) => {
    const queue = fresh()
    const target = await start(t, { queue, topic: queue, declare: true })
    const refused = await target.send('x', { headers: { large: 'x'.repeat(131_050) } })
    assert.equal(codeOf(refused), 'ARALDO_ERR_HEADER_INVALID')
    assert.match(refused?.message ?? '', /larger than what the broker takes at one time \(131072 bytes\)/)
    assert.equal(await target.send('x', { headers: { large: 'ü'.repeat(65_000) } }), null)
    assert.equal(target.endpoint.counters.connects, 1)
  })

  test('is saturated when as much is under way as may be, and takes no more', async (t) => {
    const queue = fresh()
    const target = await start(t, { queue, topic: queue, declare: true })
    const results: Promise<Error | null>[] = []
    while (target.endpoint.ready) results.push(target.send(Buffer.alloc(64)))
    assert.ok(results.length <= 4_096)
    while (results.length <= 4_096) results.push(target.send(Buffer.alloc(64)))
    assert.equal(codeOf(await results[4_096]!), 'ARALDO_ERR_OVERFLOW')
    assert.deepEqual(new Set(await Promise.all(results.slice(0, 4_096))), new Set([null]))
    await until(() => target.endpoint.ready)
  })

  test('is saturated while the broker is short of memory, and goes on after; its consumer is not held up', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const declared = { queue, topic: queue, heartbeat: '1s', declare: true }
    const target = await start(t, declared, { onIncoming: ({ settle }) => settle(null) })
    await onlooker.publish(queue, ['before'])
    await target.texts(1)
    await starve(t)
    const first = target.send('held')
    await until(() => !target.endpoint.ready, GENEROUS)
    assert.equal(target.endpoint.state, 'up')
    assert.equal(target.endpoint.gauges['inFlight'], 1)
    await until(() => target.endpoint.counters['acknowledged'] === 1, GENEROUS)
    await rabbitmq.control('set_vm_memory_high_watermark', '0.6')
    assert.equal(await first, null)
    await until(() => target.endpoint.ready, GENEROUS)
    assert.equal(await target.send('after'), null)
    assert.deepEqual(await target.texts(3), ['before', 'held', 'after'])
    assert.equal(target.endpoint.counters.connects, 1)
  })

  test('ends in time though the broker reads nothing', async (t) => {
    const queue = fresh()
    const target = await start(t, { queue, topic: queue, declare: true })
    await starve(t)
    const sent = target.send('held')
    await until(() => !target.endpoint.ready, GENEROUS)
    await target.close()
    assert.equal(codeOf(await sent), 'ARALDO_ERR_CONNECTION_LOST')
  })

  test('is read by amqp-consume', { skip: need('amqp-consume') }, async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    await onlooker.channel.assertQueue(queue)
    const target = await start(t, { topic: queue })
    assert.equal(await target.send('grün'), null)
    const consumer = spawn(find('amqp-consume'), ['-u', `${rabbitmq.url}/%2f`, '-q', queue, '-c', '1', 'cat'])
    t.after(() => consumer.kill())
    const [output] = await Promise.all([text(consumer.stdout), once(consumer, 'exit')])
    assert.equal(output, 'grün')
  })
})
