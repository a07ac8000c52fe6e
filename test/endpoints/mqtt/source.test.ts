import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { errors } from '../../../lib/errors.ts'
import { reconnecting } from '../../peers/mqtt.ts'
import { type MosquittoServer, startMosquitto } from '../../support/mosquitto.ts'
import { startProcess } from '../../support/process.ts'
import { find, need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { acknowledgements, publish, startMqtt } from './support.ts'

let mosquitto: MosquittoServer
let clients = 0
const forNow = new errors.SEND_FAILED('test', 'for now')

/** A client id and a topic that no other test has. */
function place(): { readonly 'client-id': string; readonly subscribe: string; readonly url: string } {
  const number = clients++
  return { 'client-id': `relay-${number}`, subscribe: `in/${number}`, url: mosquitto.url }
}

describe('a source of MQTT', { skip: need('mosquitto', 'mosquitto_pub') }, () => {
  before(async () => {
    mosquitto = await startMosquitto({ persistence: true, log: true })
  })

  for (const qos of [1, 2] as const) {
    test(`of QoS ${qos} has several in hand, and acknowledges them in the order in which they came`, async (t) => {
      const at = place()
      const { incoming, texts, endpoint } = await startMqtt(t, { ...at, qos })
      for (const text of ['one', 'two', 'three']) await publish(mosquitto, at.subscribe, text, '-q', String(qos))
      assert.deepEqual(await texts(3), ['one', 'two', 'three'])
      incoming[2]?.settle?.(null)
      incoming[1]?.settle?.(null)
      // A round trip: what had been acknowledged by now would be in the log.
      await publish(mosquitto, at.subscribe, 'four', '-q', String(qos))
      await texts(4)
      assert.deepEqual(acknowledgements(mosquitto, at['client-id']), [])
      assert.equal(endpoint.gauges['pending'], 4)
      incoming[0]?.settle?.(null)
      await until(() => acknowledgements(mosquitto, at['client-id']).length === 3)
      const ids = acknowledgements(mosquitto, at['client-id'])
      assert.deepEqual(
        ids,
        ids.toSorted((one, other) => one - other),
      )
      assert.equal(endpoint.counters['acknowledged'], 3)
      assert.equal(endpoint.gauges['pending'], 1)
    })
  }

  test('that is killed before it settles leaves all of it to who comes next', async (t) => {
    const at = place()
    const holder = await startProcess({
      command: process.execPath,
      args: ['--import', 'tsx', 'test/endpoints/mqtt/holder.ts', JSON.stringify(at)],
      ready: /^up$/m,
      timeout: 30_000,
      t,
    })
    for (const text of ['one', 'two']) await publish(mosquitto, at.subscribe, text)
    await holder.line(/holds two/)
    assert.deepEqual(acknowledgements(mosquitto, at['client-id']), [])
    await holder.kill()
    // A client that no one here wrote takes the session over.
    const heir = await startProcess({
      command: find('mosquitto_sub'),
      args: [
        ...['-V', 'mqttv5', '-h', mosquitto.host, '-p', String(mosquitto.port), '-i', at['client-id']],
        ...['-c', '-x', '60', '-q', '1', '-t', at.subscribe, '-C', '2'],
      ],
      t,
    })
    await heir.exited
    assert.equal(heir.stdout, 'one\ntwo\n')
  })

  test('gets what was published while it was away, the next in its place too', async (t) => {
    const at = place()
    const first = await startMqtt(t, at)
    await first.close()
    for (const text of ['one', 'two', 'three']) await publish(mosquitto, at.subscribe, text)
    const second = await startMqtt(t, at)
    assert.deepEqual(await second.texts(3), ['one', 'two', 'three'])
  })

  test('does not take in again what is in hand when the broker comes back, and acknowledges it there', async (t) => {
    const at = place()
    const { incoming, texts, down, endpoint } = await startMqtt(t, at)
    for (const text of ['one', 'two', 'three']) await publish(mosquitto, at.subscribe, text)
    await texts(3)
    await mosquitto.stop()
    await down(/./)
    // One is settled while there is nobody to tell.
    incoming[0]?.settle?.(null)
    await mosquitto.start()
    await endpoint.whenUp(5_000)
    await until(() => endpoint.counters['redelivered'] === 3)
    await until(() => acknowledgements(mosquitto, at['client-id']).length === 1)
    incoming[1]?.settle?.(null)
    incoming[2]?.settle?.(null)
    await until(() => acknowledgements(mosquitto, at['client-id']).length === 3)
    await publish(mosquitto, at.subscribe, 'four')
    assert.deepEqual(await texts(4), ['one', 'two', 'three', 'four'])
    assert.equal(endpoint.counters['sessionsLost'], 0)
  })

  test('hands in again what the lanes give back for now, and lets go of what they reject for good', async (t) => {
    const at = place()
    let tries = 0
    const { texts, endpoint } = await startMqtt(t, at, {
      onIncoming: ({ settle }) => {
        tries++
        settle?.(tries < 3 ? forNow : new errors.TOPIC_INVALID('test', 'for good'))
      },
    })
    await publish(mosquitto, at.subscribe, 'again')
    assert.deepEqual(await texts(3), ['again', 'again', 'again'])
    await until(() => acknowledgements(mosquitto, at['client-id']).length === 1)
    assert.equal(endpoint.counters['rejected'], 2)
    assert.equal(endpoint.counters['letGo'], 1)
  })

  test('gets no more than its receive maximum at one time', async (t) => {
    const at = place()
    const { incoming, texts, endpoint } = await startMqtt(t, { ...at, 'receive-maximum': 2 })
    for (const text of ['one', 'two', 'three', 'four']) await publish(mosquitto, at.subscribe, text)
    await texts(2)
    await publish(mosquitto, at.subscribe, 'five')
    assert.equal(incoming.length, 2)
    assert.equal(endpoint.gauges['pending'], 2)
    incoming[0]?.settle?.(null)
    assert.deepEqual((await texts(3)).slice(0, 3), ['one', 'two', 'three'])
    assert.equal(endpoint.state, 'up')
  })

  for (const [what, options, most] of [
    ['reads no more of a broker that does not keep to the receive maximum', {}, 41],
    ['passes over what is past 64 MiB where it publishes, too, and fetches that anew', { topic: 'elsewhere' }, 65],
  ] as const) {
    test(`${what}, and loses nothing by it`, async (t) => {
      // Mosquitto 2.0.11 sends so many more with each acknowledgement.
      const at = place()
      const { incoming, texts, endpoint } = await startMqtt(t, { ...at, ...options, 'receive-maximum': 40 })
      const sender = await reconnecting(mosquitto)
      t.after(() => sender.end(true))
      const count = 90
      for (let number = 0; number < count; number++) {
        const payload = Buffer.alloc(1024 * 1024)
        payload.writeUInt32BE(number)
        await sender.publishAsync(at.subscribe, payload, { qos: 1 })
      }
      await texts(40)
      incoming[0]?.settle?.(null)
      const settled = new Set<number>()
      await until(
        () => {
          assert.ok((endpoint.gauges['pending'] ?? 0) <= most)
          for (const { message, settle } of incoming) {
            settle?.(null)
            settled.add(message.payload.readUInt32BE())
          }
          return settled.size === count && endpoint.state === 'up' && endpoint.gauges['pending'] === 0
        },
        { timeout: 20_000, message: 'all of them' },
      )
    })
  }

  test('without a session acknowledges what the lanes have taken, and is held back by lanes that take nothing', async (t) => {
    const at = { ...place(), 'session-expiry': 0 }
    const { incoming, texts, endpoint } = await startMqtt(t, at)
    endpoint.hold()
    await publish(mosquitto, at.subscribe, 'one')
    await until(() => endpoint.gauges['pending'] === 1)
    assert.equal(incoming.length, 0)
    assert.equal(acknowledgements(mosquitto, at['client-id']).length, 0)
    endpoint.release()
    assert.deepEqual(await texts(1), ['one'])
    assert.equal(incoming[0]?.asks, false)
    await until(() => acknowledgements(mosquitto, at['client-id']).length === 1)
    assert.equal(endpoint.gauges['pending'], 0)
  })

  test('keeps so many messages of QoS 0 as it may while the lanes want nothing, and counts the rest', async (t) => {
    const at = place()
    const { incoming, texts, endpoint } = await startMqtt(t, { ...at, 'receive-maximum': 2 })
    endpoint.hold()
    for (const text of ['one', 'two', 'three', 'four']) await publish(mosquitto, at.subscribe, text, '-q', '0')
    await until(() => endpoint.counters['overflowed'] === 2)
    assert.equal(incoming.length, 0)
    endpoint.release()
    assert.deepEqual(await texts(2), ['one', 'two'])
    for (const { settle } of incoming) settle?.(forNow)
    assert.equal(endpoint.counters['letGo'], 2)
  })

  test('leaves what comes while the relay ends to the broker', async (t) => {
    const at = place()
    const first = await startMqtt(t, at)
    await publish(mosquitto, at.subscribe, 'before')
    await first.texts(1)
    await first.endpoint.pause()
    await publish(mosquitto, at.subscribe, 'after')
    first.incoming[0]?.settle?.(null)
    await until(() => acknowledgements(mosquitto, at['client-id']).length === 1)
    await first.close()
    assert.equal(first.incoming.length, 1)
    const second = await startMqtt(t, at)
    assert.deepEqual(await second.texts(1), ['after'])
  })

  test('shares a subscription with others of its group: each message comes in at one', async (t) => {
    const at = place()
    const members = await Promise.all(
      ['a', 'b'].map((name) =>
        startMqtt(
          t,
          { ...at, 'client-id': `${at['client-id']}${name}`, share: 'group' },
          {
            onIncoming: ({ settle }) => settle?.(null),
          },
        ),
      ),
    )
    const sender = await reconnecting(mosquitto)
    t.after(() => sender.end(true))
    for (let number = 0; number < 20; number++) await sender.publishAsync(at.subscribe, String(number), { qos: 1 })
    const all = (): string[] => members.flatMap(({ incoming }) => incoming.map(({ text }) => text))
    await until(() => all().length >= 20)
    assert.deepEqual(
      all().toSorted((one, other) => Number(one) - Number(other)),
      Array.from({ length: 20 }, (_, number) => String(number)),
    )
    for (const { incoming } of members) assert.ok(incoming.length > 0)
  })

  test('gets retained messages when it subscribes for the first time, and is told that they were', async (t) => {
    const at = place()
    await publish(mosquitto, at.subscribe, 'kept', '-r')
    const first = await startMqtt(t, at, { onIncoming: ({ settle }) => settle?.(null) })
    await first.texts(1)
    assert.equal(first.incoming[0]?.message.headers['mqtt-retained'], 'true')
    await until(() => acknowledgements(mosquitto, at['client-id']).length === 1)
    await first.close()
    const second = await startMqtt(t, at)
    await publish(mosquitto, at.subscribe, 'new')
    assert.deepEqual(await second.texts(1), ['new'])
    assert.equal(second.incoming[0]?.message.headers['mqtt-retained'], undefined)
    const third = await startMqtt(t, { ...place(), subscribe: at.subscribe, 'retain-handling': 'never' })
    await publish(mosquitto, at.subscribe, 'newer')
    assert.deepEqual(await third.texts(1), ['newer'])
  })

  test('takes user properties, content type, response topic and correlation data for headers', async (t) => {
    const at = place()
    const { incoming, texts } = await startMqtt(t, at)
    await publish(
      mosquitto,
      at.subscribe,
      'all',
      ...['-D', 'publish', 'user-property', 'traceparent', '00-1-2-01'],
      ...['-D', 'publish', 'user-property', 'araldo-key', 'grün'],
      ...['-D', 'publish', 'user-property', 'twice', 'one', '-D', 'publish', 'user-property', 'twice', 'two'],
      ...['-D', 'publish', 'content-type', 'text/plain', '-D', 'publish', 'response-topic', 'answers/1'],
      ...['-D', 'publish', 'correlation-data', 'abc'],
    )
    await texts(1)
    const { headers, key, topic } = incoming[0]?.message ?? {}
    assert.deepEqual(
      { ...headers },
      {
        traceparent: '00-1-2-01',
        twice: 'two',
        'content-type': 'text/plain',
        'mqtt-response-topic': 'answers/1',
        'mqtt-correlation-data': 'YWJj',
      },
    )
    assert.equal(key, 'grün')
    assert.equal(topic, at.subscribe)
  })

  test('says that another client may have taken its session', async (t) => {
    const at = place()
    const { down } = await startMqtt(t, at)
    const other = await reconnecting(mosquitto, { clientId: at['client-id'], reconnectPeriod: 0 })
    t.after(() => other.end(true))
    await down(/another client has the client id/)
  })
})
