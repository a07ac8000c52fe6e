import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { endpointAmqp } from '../../../lib/endpoints/amqp/index.ts'
import { addressOf, loginOf, parseUrl } from '../../../lib/endpoints/amqp/address.ts'
import { type Declared, optionsOf } from './support.ts'

const refuses = async (declared: Declared, pattern: RegExp): Promise<void> => {
  await assert.rejects(optionsOf(declared), pattern)
}

describe('the options of endpoint-amqp', () => {
  test('have defaults that lose nothing', async () => {
    const options = await optionsOf({ queue: 'orders', topic: 'orders' })
    assert.equal(options.prefetch, 256)
    assert.equal(options.mandatory, true)
    assert.equal(options.persistent, true)
    assert.equal(options.unroutable, 'retry')
    assert.equal(options.heartbeat, 5_000)
    assert.equal(options['max-message-size'], 128 * 1024 * 1024)
  })

  test('say which broker, and as whom', async () => {
    const given = await optionsOf({ topic: 'a', url: 'amqps://relay:p%40ss@rabbit.example/a%2Fb' })
    assert.deepEqual(addressOf(given), { host: 'rabbit.example', port: 5671, vhost: 'a/b', isTls: true })
    assert.deepEqual(loginOf(given), { username: 'relay', password: 'p@ss' })
    const single = await optionsOf({ topic: 'a', host: '::1', port: 1, username: 'u', password: 'p', vhost: 'v' })
    assert.deepEqual(addressOf(single), { host: '::1', port: 1, vhost: 'v', isTls: false })
    assert.deepEqual(addressOf(await optionsOf({ topic: 'a', url: 'amqp://[::1]' })).host, '::1')
    const none = await optionsOf({ topic: 'a' })
    assert.deepEqual(addressOf(none), { host: '127.0.0.1', port: 5672, vhost: '/', isTls: false })
    assert.deepEqual(loginOf(none), { username: 'guest', password: 'guest' })
  })

  test('take no URL that means something else, and do not repeat it', () => {
    for (const url of ['http://h', 'amqp://u:secret@h:x', 'amqp://u:secret@h/a/b', 'amqp://u:secret@h?heartbeat=1']) {
      assert.throws(
        () => parseUrl(url),
        (error: Error) => !error.message.includes('secret'),
      )
    }
    assert.throws(() => parseUrl('amqp://u:50%@h'), /write %25/)
  })

  test('are refused where they contradict one another', async () => {
    await refuses({}, /needs 'queue' to read, or 'topic' or 'exchange'/)
    await refuses({ exchange: '' }, /needs 'topic': the default exchange takes the name of a queue/)
    await refuses({ topic: 'a', url: 'amqp://h', host: 'h' }, /excludes 'url'/)
    await refuses({ topic: 'a', host: 'h:5672' }, /host.*write the port into 'port'/s)
    await refuses({ topic: 'a', url: 'amqp://u:p@h', username: 'v' }, /stands in the url already/)
    await refuses({ topic: 'a', url: 'amqp://u@h' }, /needs a 'password'/)
    await refuses({ topic: 'a', username: 'u' }, /needs a 'password'/)
    await refuses({ topic: 'a', url: 'amqp://h', tls: true }, /the url says no TLS/)
    await refuses({ topic: 'a', url: 'amqps://h', tls: false }, /the url says TLS/)
    await refuses({ topic: 'a', mechanism: 'external' }, /logs in with the client's certificate/)
    await refuses({ topic: 'a', exclusive: true }, /exclusive.*needs a 'queue'/s)
    await refuses({ topic: 'a', mandatory: false, unroutable: 'reject' }, /needs 'mandatory: true'/)
    await refuses({ queue: 'a', 'confirm-timeout': '1s' }, /needs 'topic' or 'exchange'/)
    await refuses({ topic: '{' }, /'\{' without '\}'/)
    await refuses({ queue: 'ü'.repeat(200) }, /more than 255 bytes/)
    await refuses({ queue: 'q', prefetch: 0 }, /prefetch/)
  })

  test('declare what a broker can make, and nothing of its own', async () => {
    await optionsOf({ queue: 'q', declare: true })
    const exchanges = [{ name: 'e', type: 'topic' }]
    const bindings = [{ exchange: 'e', 'routing-key': 'a.#' }]
    await optionsOf({ queue: 'q', declare: { type: 'classic', 'auto-delete': true, exchanges, bindings } })
    await optionsOf({ exchange: 'e', declare: { exchanges } })
    await refuses({ topic: 'a', declare: true }, /needs a 'queue', or 'exchanges'/)
    await refuses({ topic: 'a', declare: { bindings } }, /'bindings' needs a 'queue'/)
    await refuses({ queue: 'amq.q', declare: true }, /what begins with amq\. cannot be declared/)
    await refuses({ exchange: 'amq.e', declare: { exchanges: [{ name: 'amq.e', type: 'topic' }] } }, /amq\./)
    await refuses({ queue: 'q', declare: { durable: false } }, /a quorum queue is durable/)
    await refuses({ queue: 'q', declare: { arguments: { 'x-queue-type': 'stream' } } }, /write 'type' in place/)
    await refuses({ queue: 'q', declare: { arguments: { 'x-max-length': [1] } } }, /x-max-length/)
    await refuses({ queue: 'q', declare: { queue: 'q' } }, /queue/)
  })

  test('decide what an endpoint can do', async () => {
    const both = endpointAmqp.capabilities(await optionsOf({ queue: 'q', topic: 'other' }))
    assert.deepEqual(both, {
      source: { ack: true, pause: true, replay: true, headers: true, topics: true },
      target: { confirm: true, pipelined: true, headers: true, topics: true, echo: false, shared: true },
    })
    assert.equal(endpointAmqp.capabilities(await optionsOf({ queue: 'q' })).target, null)
    const fanout = endpointAmqp.capabilities(await optionsOf({ exchange: 'e' }))
    assert.equal(fanout.source, null)
    assert.equal(fanout.target?.topics, false)
    assert.equal(endpointAmqp.capabilities(await optionsOf({ queue: 'q', topic: 'q' })).target?.echo, true)
  })

  test('tell whether one endpoint hears another', async () => {
    const hears = async (listener: Declared, sender: Declared): Promise<boolean> =>
      endpointAmqp.hears?.(await optionsOf(listener), await optionsOf(sender)) ?? false
    assert.equal(await hears({ queue: 'q' }, { topic: 'q' }), true)
    assert.equal(await hears({ queue: 'q' }, { topic: 'p' }), false)
    assert.equal(await hears({ queue: 'q', host: 'localhost' }, { topic: '{topic}' }), true)
    assert.equal(await hears({ queue: 'q' }, { topic: '{topic}', vhost: 'v' }), false)
    assert.equal(await hears({ queue: 'q' }, { topic: '{topic}', port: 1 }), false)
    assert.equal(await hears({ queue: 'orders.de' }, { topic: 'orders.{key}' }), true)
    assert.equal(await hears({ queue: 'orders.' }, { topic: 'orders.{key}' }), false)
    assert.equal(await hears({ topic: 'q' }, { topic: 'q' }), false)
    const bound = { queue: 'q', declare: { bindings: [{ exchange: 'e' }] } }
    assert.equal(await hears(bound, { exchange: 'e' }), true)
    assert.equal(await hears(bound, { exchange: 'f' }), false)
  })

  test('tell by its binding to an exchange of the type topic, too', async () => {
    const hears = async (key: string | undefined, topic?: string, type = 'topic'): Promise<boolean> => {
      const binding = { exchange: 'e', ...(key === undefined ? {} : { 'routing-key': key }) }
      const listener = { queue: 'q', declare: { exchanges: [{ name: 'e', type }], bindings: [binding] } }
      const sender = { exchange: 'e', ...(topic === undefined ? {} : { topic }) }
      return endpointAmqp.hears?.(await optionsOf(listener), await optionsOf(sender)) ?? false
    }
    const heard = [
      ['orders.#', 'orders'],
      ['orders.#', 'orders.{key}'],
      ['orders.*', 'orders.new'],
      ['*.new', 'orders.{key}'],
      ['#.new', 'orders.old.{key}'],
      ['orders.new', 'or{key}.new'],
      ['orders.new', '{topic}'],
      [undefined, undefined],
    ] as const
    for (const [key, topic] of heard) assert.equal(await hears(key, topic), true, `${key}: ${topic}`)
    const unheard = [
      ['orders.#', 'parcels.{key}'],
      ['orders.*', 'orders.new.large'],
      ['orders.*', 'orders'],
      ['orders', 'orders.{key}'],
      [undefined, 'orders'],
    ] as const
    for (const [key, topic] of unheard) assert.equal(await hears(key, topic), false, `${key}: ${topic}`)
    assert.equal(await hears('orders.#', 'parcels', 'fanout'), true)
  })
})
