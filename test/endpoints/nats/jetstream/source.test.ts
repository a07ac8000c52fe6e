/** endpoint-jetstream as a source. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { AckPolicy } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import { errors } from '../../../../lib/errors.ts'
import { type NatsServer, startNats } from '../../../support/nats.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import type { Incoming } from '../../../support/alone.ts'
import { numbers, outside, startJetStream } from './support.ts'

const acknowledge = ({ settle }: Incoming): void => settle?.(null)

describe('endpoint-jetstream as a source', { skip: need('nats-server') }, () => {
  let nats: NatsServer
  before(async () => {
    nats = await startNats({ jetStream: true })
  })

  test('makes the stream and the consumer that are missing, as it is told to', async (t) => {
    const { name, client, manager } = await outside(t, nats)
    const create = {
      subjects: [`${name}.>`],
      storage: 'memory',
      retention: 'workqueue',
      'max-age': 3_600_000,
      'max-bytes': 1_000_000,
      'max-messages': 1_000,
      'duplicate-window': 5_000,
    } as const
    const options = {
      url: nats.url,
      stream: name,
      subject: `${name}.a`,
      'ack-wait': 7_000,
      'max-ack-pending': 5,
      create,
    }
    const { texts } = await startJetStream(t, options, { name: 'eu.orders', onIncoming: acknowledge })
    const { config } = await manager.streams.info(name)
    assert.deepEqual(
      [config.subjects, config.storage, config.retention, config.max_age, config.max_bytes, config.max_msgs],
      [[`${name}.>`], 'memory', 'workqueue', 3_600e9, 1_000_000, 1_000],
    )
    assert.equal(config.duplicate_window, 5e9)
    const consumer = await manager.consumers.info(name, 'araldo-eu=orders')
    assert.deepEqual(
      [consumer.config.filter_subject, consumer.config.ack_wait, consumer.config.max_ack_pending],
      [`${name}.a`, 7e9, 5],
    )
    client.publish(`${name}.b`, 'not for us')
    client.publish(`${name}.a`, 'for us')
    assert.deepEqual(await texts(1), ['for us'])
  })

  test('says what to do where the stream or the consumer is missing, and comes up when it is there', async (t) => {
    const { name, manager } = await outside(t, nats)
    const { endpoint, down } = await startJetStream(
      t,
      { url: nats.url, stream: name, durable: 'c' },
      { mayBeDown: true },
    )
    await down(/there is no stream '.*': create it, or set 'create: true'/)
    await manager.streams.add({ name, subjects: [name] })
    await down(/has no consumer 'c': create it \(pull, explicit acknowledgement\), or set 'create: true'/)
    await manager.consumers.add(name, { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    await until(() => endpoint.state === 'up')
  })

  test('refuses a consumer that is of another kind', async (t) => {
    const { name, manager } = await outside(t, nats)
    await manager.streams.add({ name, subjects: [`${name}.*`] })
    await manager.consumers.add(name, { durable_name: 'push', ack_policy: AckPolicy.Explicit, deliver_subject: 'x' })
    await manager.consumers.add(name, { durable_name: 'none', ack_policy: AckPolicy.None })
    await manager.consumers.add(name, {
      durable_name: 'a',
      ack_policy: AckPolicy.Explicit,
      filter_subject: `${name}.a`,
    })
    for (const [durable, reason] of [
      ['push', /is a push consumer/],
      ['none', /acknowledges 'none': this needs 'explicit'/],
      ['a', /reads .*\.a, the config says .*\.b/],
    ] as const) {
      const options = { url: nats.url, stream: name, durable, subject: `${name}.b` }
      const { down } = await startJetStream(t, options, { mayBeDown: true })
      await down(reason)
    }
  })

  test('begins where it is told to', async (t) => {
    const { name, client, manager } = await outside(t, nats)
    await manager.streams.add({ name, subjects: [name] })
    for (const number of numbers(5)) client.publish(name, number)
    await client.flush()
    for (const [start, expected] of [
      ['all', '0'],
      ['3', '2'],
      ['last', '4'],
      ['2020-01-31T12:00:00Z', '0'],
    ] as const) {
      const options = {
        url: nats.url,
        stream: name,
        durable: `from-${start.replaceAll(/\W/g, '-')}`,
        start,
        create: { subjects: [name] },
      }
      const { texts } = await startJetStream(t, options)
      assert.equal((await texts(1))[0], expected, start)
    }
    const late = await startJetStream(t, {
      url: nats.url,
      stream: name,
      durable: 'new',
      start: 'new',
      create: { subjects: [name] },
    })
    client.publish(name, 'new')
    assert.deepEqual(await late.texts(1), ['new'])
  })

  test('knows a message by its id, by that of JetStream, or by its place; and its time', async (t) => {
    const { name, client } = await outside(t, nats)
    const options = { url: nats.url, stream: name, subject: name, create: true }
    const { incoming, texts } = await startJetStream(t, options)
    const begin = Date.now()
    const block = headers()
    client.publish(name, 'plain')
    block.set('Nats-Msg-Id', 'm')
    client.publish(name, 'with Nats-Msg-Id', { headers: block })
    block.set('Nats-Msg-Id', 'n')
    block.set('araldo-id', 'a')
    block.set('araldo-time', '5')
    client.publish(name, 'with araldo-id', { headers: block })
    await texts(3)
    assert.deepEqual(
      incoming.map(({ message }) => message.id),
      [`${name}:1`, 'm', 'a'],
    )
    assert.ok(Math.abs((incoming[0]?.message.time ?? 0) - begin) < 60_000)
    assert.equal(incoming[2]?.message.time, 5)
    for (const { message } of incoming) assert.ok(!('Nats-Msg-Id' in message.headers))
  })

  test('has no more in hand than it may, and goes on as these are settled', async (t) => {
    const { name, client } = await outside(t, nats)
    const options = { url: nats.url, stream: name, subject: name, create: true, 'max-ack-pending': 10, batch: 4 }
    const { incoming, endpoint } = await startJetStream(t, options)
    for (const number of numbers(100)) client.publish(name, number)
    await until(() => incoming.length === 10)
    assert.equal(endpoint.gauges['pending'], 10)
    let settled = 0
    await until(() => {
      while (settled < incoming.length) incoming[settled++]?.settle?.(null)
      assert.ok((endpoint.gauges['pending'] ?? 0) <= 10)
      return incoming.length === 100
    })
    assert.deepEqual(
      incoming.map(({ text }) => text),
      numbers(100),
    )
    await until(() => endpoint.counters['acknowledged'] === 100)
  })

  test('has about no more bytes in hand than it may', async (t) => {
    const { name, client } = await outside(t, nats)
    const options = { url: nats.url, stream: name, subject: name, create: true, 'max-pending-bytes': 100_000 }
    const { incoming, endpoint } = await startJetStream(t, options)
    const payload = 'x'.repeat(20_000)
    client.publish(name, payload)
    await until(() => incoming.length === 1)
    incoming[0]?.settle?.(null)
    await until(() => endpoint.counters['acknowledged'] === 1)
    for (let number = 0; number < 30; number++) client.publish(name, payload)
    let settled = 1
    await until(() => {
      // At first it does not know how large they are.
      while (settled < incoming.length) incoming[settled++]?.settle?.(null)
      return incoming.length === 31
    })
    await until(() => endpoint.gauges['pendingBytes'] === 0)
  })

  test('gives back for now, after a time that grows, and lets go for good', async (t) => {
    const { name, client, manager } = await outside(t, nats)
    const options = { url: nats.url, stream: name, subject: name, durable: 'c', create: true }
    const settled = new Map<string, number>()
    const { endpoint, incoming } = await startJetStream(t, options, {
      onIncoming: ({ text, settle }) => {
        const times = (settled.get(text) ?? 0) + 1
        settled.set(text, times)
        if (text === 'never') settle?.(new errors.TOPIC_INVALID('out', 'for good'))
        else settle?.(times < 3 ? new errors.SEND_FAILED('out', 'for now') : null)
      },
    })
    client.publish(name, 'later')
    client.publish(name, 'never')
    await until(async () => {
      const { num_ack_pending: open, num_pending: left } = await manager.consumers.info(name, 'c')
      return open === 0 && left === 0 && incoming.length === 4
    })
    assert.deepEqual([settled.get('later'), settled.get('never')], [3, 1])
    const { letGo, rejected, redelivered, acknowledged } = endpoint.counters as Record<string, number>
    assert.deepEqual([letGo, rejected, redelivered, acknowledged], [1, 2, 2, 2])
  })

  test('keeps what takes longer than ack-wait, and does not take it in twice', async (t) => {
    const { name, client, manager } = await outside(t, nats)
    const options = { url: nats.url, stream: name, subject: name, durable: 'c', create: true, 'ack-wait': 1_000 }
    const { incoming, texts } = await startJetStream(t, options)
    client.publish(name, 'slow')
    await texts(1)
    const begin = performance.now()
    await until(() => performance.now() - begin > 2_500)
    const { num_redelivered: again } = await manager.consumers.info(name, 'c')
    assert.deepEqual([again, incoming.length], [0, 1])
    incoming[0]?.settle?.(null)
    await until(async () => (await manager.consumers.info(name, 'c')).num_ack_pending === 0)
  })

  test('shares a consumer with another relay, and leaves it what it had when it ends', async (t) => {
    const { name, client } = await outside(t, nats)
    const options = { url: nats.url, stream: name, subject: name, durable: 'c', create: true, batch: 5 }
    const one = await startJetStream(t, options)
    for (const number of numbers(5)) client.publish(name, number)
    await one.texts(5)
    const other = await startJetStream(t, options, { onIncoming: acknowledge })
    await one.close()
    assert.deepEqual((await other.texts(5)).toSorted(), numbers(5))
  })

  test('makes a consumer anew that was deleted, and brings nothing that is done a second time', async (t) => {
    const { name, client, manager } = await outside(t, nats)
    const options = { url: nats.url, stream: name, subject: name, durable: 'c', create: true }
    const { endpoint, incoming, texts } = await startJetStream(t, options)
    for (const number of numbers(3)) client.publish(name, number)
    await texts(3)
    for (const { settle } of [incoming[0], incoming[1]] as Incoming[]) settle?.(null)
    await until(() => endpoint.counters['acknowledged'] === 2)
    await manager.consumers.delete(name, 'c')
    await until(() => endpoint.counters['remade'] === 1 && endpoint.state === 'up', { timeout: 12_000 })
    client.publish(name, '3')
    await texts(4)
    for (const { settle } of incoming.slice(2)) settle?.(null)
    await until(async () => {
      const { num_ack_pending: open, num_pending: left } = await manager.consumers.info(name, 'c')
      return open === 0 && left === 0
    })
    assert.deepEqual(
      incoming.map(({ text }) => text),
      numbers(4),
    )
  })

  test('goes down with the reason when its consumer was deleted, where it may not make one', async (t) => {
    const { name, manager } = await outside(t, nats)
    await manager.streams.add({ name, subjects: [name] })
    await manager.consumers.add(name, { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    const { endpoint } = await startJetStream(t, { url: nats.url, stream: name, durable: 'c' })
    await manager.consumers.delete(name, 'c')
    await until(() => /has no consumer 'c'/.test(endpoint.reason ?? ''), { timeout: 12_000 })
  })

  test('says so where the server has no JetStream', async (t) => {
    const plain = await startNats({ t })
    const { down } = await startJetStream(t, { url: plain.url, stream: 's', durable: 'c' }, { mayBeDown: true })
    await down(/the server has no JetStream, or this account may not use it/)
  })

  test('loses nothing when the server is killed in the middle', async (t) => {
    const server = await startNats({ jetStream: true, t })
    const { name, client, manager } = await outside(t, server)
    const options = { url: server.url, stream: name, subject: name, durable: 'c', create: true, 'max-ack-pending': 50 }
    const { endpoint, incoming } = await startJetStream(t, options)
    for (const number of numbers(500)) client.publish(name, number)
    await client.flush()
    await until(() => incoming.length === 50)
    for (const { settle } of incoming.slice(0, 20)) settle?.(null)
    await server.kill()
    await until(() => endpoint.state !== 'up')
    for (const { settle } of incoming.slice(20, 40)) settle?.(null)
    await server.start()
    let settled = 40
    await until(
      async () => {
        while (settled < incoming.length) incoming[settled++]?.settle?.(null)
        const { num_ack_pending: open, num_pending: left } = await manager.consumers.info(name, 'c')
        return open === 0 && left === 0
      },
      { timeout: 15_000 },
    )
    assert.deepEqual([...new Set(incoming.map(({ text }) => text))], numbers(500))
  })
})
