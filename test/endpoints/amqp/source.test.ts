import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { errors } from '../../../lib/errors.ts'
import type { Owner } from '../../support/process.ts'
import { type RabbitmqServer, startRabbitmq } from '../../support/rabbitmq.ts'
import { find, need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { connectOnlooker, type Declared, reasonOf, startAmqp, unacknowledgedOf } from './support.ts'

const run = promisify(execFile)
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => `${from + index}`)
const GENEROUS = { timeout: 20_000 }

describe('a queue as a source', { skip: need('rabbitmq-server', 'rabbitmqctl', 'epmd') }, () => {
  let rabbitmq: RabbitmqServer
  let queues = 0
  before(async () => {
    rabbitmq = await startRabbitmq()
  })

  const fresh = (): string => `queue-${queues++}`
  const start = (t: Owner, declared: Declared, options?: Parameters<typeof startAmqp>[2]) =>
    startAmqp(t, { url: rabbitmq.url, ...declared }, options)

  for (const type of ['quorum', 'classic']) {
    test(`of type ${type} is made, read in order, and acknowledged`, async (t) => {
      const queue = fresh()
      const onlooker = await connectOnlooker(t, rabbitmq)
      const source = await start(t, { queue, declare: { type } })
      await onlooker.publish(queue, numbers(500))
      const settleAll = (): void => {
        for (const { settle } of source.incoming.splice(0)) settle(null)
      }
      const texts: string[] = []
      await until(() => {
        texts.push(...source.incoming.map(({ text }) => text))
        settleAll()
        return texts.length >= 500
      }, GENEROUS)
      assert.deepEqual(texts, numbers(500))
      await until(() => source.endpoint.counters['acknowledged'] === 500, GENEROUS)
      const listed = await rabbitmq.control('list_queues', '--quiet', '--no-table-headers', 'name', 'type')
      assert.match(listed, new RegExp(`^${queue}\\t(rabbit_)?${type}`, 'm'))
      await source.close()
      assert.equal(await onlooker.ready(queue), 0)
    })
  }

  test('is in hand up to the prefetch, and acknowledged in any order', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const source = await start(t, { queue, prefetch: 8, declare: { type: 'classic' } })
    await onlooker.publish(queue, numbers(20))
    assert.deepEqual(await source.texts(8), numbers(8))
    await until(async () => (await onlooker.ready(queue)) === 12)
    assert.equal(source.incoming.length, 8)
    assert.equal(source.endpoint.gauges['pending'], 8)
    // The first stays open: no acknowledgement of several may take it along.
    for (const index of [7, 2, 1]) source.incoming[index]?.settle(null)
    assert.deepEqual(await source.texts(11), numbers(11))
    assert.equal(await unacknowledgedOf(rabbitmq, queue), 8)
    for (const { settle } of source.incoming.slice(1)) settle(null)
    await until(() => source.incoming.length === 18, GENEROUS)
    for (const { settle } of source.incoming.slice(1)) settle(null)
    await until(() => source.incoming.length === 20, GENEROUS)
    for (const { settle } of source.incoming.slice(1)) settle(null)
    await until(async () => (await unacknowledgedOf(rabbitmq, queue)) === 1, GENEROUS)
    source.incoming[0]?.settle(null)
    await until(async () => (await unacknowledgedOf(rabbitmq, queue)) === 0, GENEROUS)
    assert.equal(source.endpoint.counters['acknowledged'], 20)
  })

  test('hands what is rejected for now in again, and does not give it back to the broker meanwhile', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const declare = { arguments: { 'x-delivery-limit': 1 } }
    let rejections = 0
    const source = await start(
      t,
      { queue, declare },
      {
        onIncoming: ({ settle }) => settle(rejections++ < 4 ? new errors.SEND_FAILED('there', 'for now') : null),
      },
    )
    await onlooker.publish(queue, ['one'], { messageId: 'one' })
    assert.deepEqual(
      await source.texts(5),
      Array.from({ length: 5 }, () => 'one'),
    )
    assert.equal(new Set(source.incoming.map(({ message }) => message)).size, 1)
    await until(() => source.endpoint.counters['acknowledged'] === 1)
    assert.equal(source.endpoint.counters['rejected'], 4)
  })

  test("lets go of what is rejected for good, to the queue's dead-letter exchange", async (t) => {
    const [queue, dead] = [fresh(), fresh()]
    const onlooker = await connectOnlooker(t, rabbitmq)
    await onlooker.channel.assertQueue(dead)
    const declare = { arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead } }
    const onIncoming = ({ settle, text }: { settle: (error: Error | null) => void; text: string }): void =>
      settle(text === 'bad' ? new errors.TOPIC_INVALID('there', 'for good') : null)
    const source = await start(t, { queue, declare }, { onIncoming })
    await onlooker.publish(queue, ['good', 'bad', 'fine'])
    const [letter] = await onlooker.take(dead, 1)
    assert.equal(letter?.content.toString(), 'bad')
    assert.equal(letter?.properties.headers?.['x-first-death-reason'], 'rejected')
    await until(() => source.endpoint.counters['acknowledged'] === 2)
    assert.equal(source.endpoint.counters['letGo'], 1)
  })

  test('says what the broker has written into a dead letter', async (t) => {
    const [queue, dead] = [fresh(), fresh()]
    const onlooker = await connectOnlooker(t, rabbitmq)
    const source = await start(t, { queue: dead, declare: true })
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead, 'x-message-ttl': 1 }
    await onlooker.channel.assertQueue(queue, { arguments: args })
    await onlooker.publish(queue, ['late'], { headers: { n: 1, yes: true, list: [1, 'a'], bytes: Buffer.from([255]) } })
    await source.texts(1)
    const { headers } = source.incoming[0]?.message ?? {}
    assert.equal(headers?.['n'], '1')
    assert.equal(headers?.['yes'], 'true')
    assert.equal(headers?.['list'], '[1,"a"]')
    assert.equal(headers?.['bytes'], '/w==')
    assert.match(headers?.['x-death'] ?? '', /^\[\{.*"reason":"expired".*\}\]$/)
  })

  test('brings nothing in while the lanes are full, and then all of it, in order', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const source = await start(
      t,
      { queue, prefetch: 10, declare: true },
      {
        onIncoming: ({ settle }, endpoint) => {
          settle(null)
          if (source.incoming.length === 5) endpoint.hold()
        },
      },
    )
    await onlooker.publish(queue, numbers(40))
    await until(() => source.endpoint.gauges['pending'] === 10, GENEROUS)
    assert.equal(source.incoming.length, 5)
    source.endpoint.release()
    assert.deepEqual(await source.texts(40), numbers(40))
  })

  test('gives what the lanes do not have back at its end, and acknowledges what they settle', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const source = await start(t, { queue, declare: { type: 'classic' } })
    source.endpoint.hold()
    await onlooker.publish(queue, numbers(3))
    await until(() => source.endpoint.gauges['pending'] === 3)
    source.endpoint.release()
    await source.texts(3)
    source.endpoint.hold()
    await onlooker.publish(queue, numbers(3, 3))
    await until(() => source.endpoint.gauges['pending'] === 6)
    await source.endpoint.pause()
    await until(async () => (await onlooker.ready(queue)) === 3)
    source.incoming[0]?.settle(null)
    source.incoming[1]?.settle(new errors.SEND_FAILED('there', 'for now'))
    await until(async () => (await onlooker.ready(queue)) === 4)
    await source.close()
    const left = await onlooker.take(queue, 5)
    assert.deepEqual(left.map(({ content }) => content.toString()).toSorted(), ['1', '2', '3', '4', '5'])
  })

  test('keeps the endpoint down while it is missing, and comes up when it is made', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const { endpoint } = await start(t, { queue }, { mayBeDown: true })
    const reason = await reasonOf(endpoint)
    assert.match(reason, new RegExp(`^404 NOT_FOUND - no queue '${queue}' in vhost '/': make it, or let .* 'declare'$`))
    await onlooker.channel.assertQueue(queue)
    await endpoint.whenUp(20_000)
  })

  test('is made anew when it is deleted under its consumer', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    const source = await start(t, { queue, declare: true })
    await onlooker.channel.deleteQueue(queue)
    await until(() => source.endpoint.counters.connects === 2, GENEROUS)
    await onlooker.publish(queue, ['again'])
    assert.deepEqual(await source.texts(1), ['again'])
  })

  test('says what is there otherwise than it is declared', async (t) => {
    const queue = fresh()
    const onlooker = await connectOnlooker(t, rabbitmq)
    await onlooker.channel.assertQueue(queue)
    const { endpoint } = await start(t, { queue, declare: true }, { mayBeDown: true })
    assert.match(
      await reasonOf(endpoint),
      /^406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type'.*: make 'declare'/,
    )
  })

  test('is one relay’s alone where it is exclusive', async (t) => {
    const queue = fresh()
    const first = await start(t, { queue, exclusive: true, declare: { type: 'classic' } })
    const second = await start(t, { queue, exclusive: true }, { mayBeDown: true })
    assert.match(await reasonOf(second.endpoint), /^403 ACCESS_REFUSED - .*exclusive/)
    await first.close()
    await second.endpoint.whenUp(20_000)
  })

  test('is bound to exchanges that are declared with it', async (t) => {
    const [queue, exchange] = [fresh(), `exchange-${queues}`]
    const onlooker = await connectOnlooker(t, rabbitmq)
    const exchanges = [{ name: exchange, type: 'topic' }]
    const bindings = [{ exchange, 'routing-key': 'orders.*.new' }, { exchange: 'amq.fanout' }]
    const source = await start(t, { queue, declare: { exchanges, bindings } })
    onlooker.channel.publish(exchange, 'orders.de.new', Buffer.from('in'))
    onlooker.channel.publish(exchange, 'orders.new', Buffer.from('out'))
    onlooker.channel.publish('amq.fanout', '', Buffer.from('all'))
    assert.deepEqual(await source.texts(2), ['in', 'all'])
    assert.equal(source.incoming[0]?.message.topic, 'orders.de.new')
  })

  test('takes in what amqp-publish sends', { skip: need('amqp-publish') }, async (t) => {
    const queue = fresh()
    const source = await start(t, { queue, declare: true })
    const url = `${rabbitmq.url}/%2f`
    await run(find('amqp-publish'), [
      '-u',
      url,
      '-r',
      queue,
      '-p',
      '-C',
      'text/plain',
      '-b',
      'grün',
      '-H',
      'kind: tool',
    ])
    assert.deepEqual(await source.texts(1), ['grün'])
    const { headers } = source.incoming[0]?.message ?? {}
    assert.equal(headers?.['content-type'], 'text/plain')
    assert.equal(headers?.['kind']?.trim(), 'tool')
  })
})
