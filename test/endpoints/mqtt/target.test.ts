import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import type { IPublishPacket } from 'mqtt'
import { json } from '../../../lib/marshallers/json.ts'
import { reconnecting } from '../../peers/mqtt.ts'
import { type MosquittoServer, startMosquitto } from '../../support/mosquitto.ts'
import { type Owner, runOrThrow, temporaryFolder } from '../../support/process.ts'
import { find, need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { startMqtt } from './support.ts'

let mosquitto: MosquittoServer
let places = 0

/** What comes to a topic, as packets. */
async function listen(t: Owner, topic: string, server = mosquitto): Promise<IPublishPacket[]> {
  const client = await reconnecting(server)
  t.after(() => void client.end(true))
  const packets: IPublishPacket[] = []
  client.on('message', (_topic, _payload, packet) => void packets.push(packet))
  await client.subscribeAsync(topic, { qos: 2 })
  return packets
}

function code(error: Error | null): unknown {
  return (error as { code?: unknown } | null)?.code
}

describe('a target of MQTT', { skip: need('mosquitto', 'mosquitto_pub') }, () => {
  before(async () => {
    const acl = join(temporaryFolder('acl'), 'acl')
    writeFileSync(acl, 'topic readwrite #\ntopic deny secret/#\n')
    mosquitto = await startMosquitto({
      webSocket: true,
      config: `acl_file ${acl}\nmax_packet_size 100000\nmax_inflight_messages 5`,
    })
  })

  for (const qos of [0, 1, 2] as const) {
    test(`of QoS ${qos} reaches a client that no one here wrote`, async (t) => {
      const topic = `out/${places++}`
      const { send } = await startMqtt(
        t,
        { url: mosquitto.url, qos, topic: '{topic}', retain: true },
        { marshaller: json },
      )
      const init = { topic, key: 'k', id: 'id-1', time: 5, headers: { traceparent: '00-1-2-01' } }
      assert.equal(await send('{"a":1}', init), null)
      const line = await runOrThrow(find('mosquitto_sub'), [
        ...['-V', 'mqttv5', '-h', mosquitto.host, '-p', String(mosquitto.port), '-t', topic, '-q', '2', '-C', '1'],
        ...['-F', '%q %t %p %C %P'],
      ])
      assert.ok(line.startsWith(`${qos} ${topic} {"a":1} application/json `), line)
      for (const pair of ['araldo-id:id-1', 'araldo-key:k', 'araldo-time:5', 'traceparent:00-1-2-01']) {
        assert.ok(line.includes(pair), line)
      }
    })
  }

  test('over a WebSocket does the same', async (t) => {
    const topic = `out/${places++}`
    const packets = await listen(t, topic)
    const { send } = await startMqtt(t, { url: mosquitto.webSocketUrl ?? '', topic })
    assert.equal(await send('hello'), null)
    await until(() => packets.length === 1)
  })

  test('keeps response topic, correlation data and content type; says what is text, and when it expires', async (t) => {
    const topic = `out/${places++}`
    const packets = await listen(t, topic)
    const { send } = await startMqtt(t, { url: mosquitto.url, topic, 'message-expiry': 60_000 }, { marshaller: json })
    const headers = {
      'mqtt-response-topic': 'answers/1',
      'mqtt-correlation-data': 'YWJj',
      'mqtt-retained': 'true',
      'content-type': 'application/vnd.test+json',
      empty: '',
    }
    assert.equal(await send('{}', { headers }), null)
    await until(() => packets.length === 1)
    const { userProperties, correlationData, ...properties } = packets[0]?.properties ?? {}
    assert.equal(correlationData?.toString(), 'abc')
    assert.deepEqual(properties, {
      responseTopic: 'answers/1',
      contentType: 'application/vnd.test+json',
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
    })
    assert.deepEqual(Object.keys(userProperties ?? {}).toSorted(), ['araldo-id', 'araldo-time', 'empty'])
  })

  test('refuses headers that MQTT cannot carry, and stays up', async (t) => {
    const { send, endpoint } = await startMqtt(t, { url: mosquitto.url, topic: `out/${places++}` })
    const refused: readonly Record<string, string>[] = [
      { a: 'line\r\nend' },
      { a: 'nul\0' },
      { a: '\ud800' },
      { a: '\ufffe' },
      { 'na\tme': 'x' },
      { a: 'x'.repeat(65_536) },
      { 'mqtt-response-topic': 'answers/#' },
      { 'mqtt-correlation-data': 'no base64!' },
    ]
    for (const headers of refused) {
      assert.equal(
        code(await send('x', { headers })),
        'ARALDO_ERR_HEADER_INVALID',
        JSON.stringify(headers).slice(0, 50),
      )
    }
    assert.equal(code(await send('x', { key: 'a\nb' })), 'ARALDO_ERR_HEADER_INVALID')
    assert.equal(await send('x'), null)
    assert.equal(endpoint.counters.connects, 1)
  })

  test('refuses what is larger than the broker takes, to the byte', async (t) => {
    const topic = `out/${places++}`
    const packets = await listen(t, topic)
    const { send, endpoint } = await startMqtt(t, { url: mosquitto.url, topic })
    const init = { id: 'i', time: 0 }
    const error = await send(Buffer.alloc(200_000), init)
    assert.equal(code(error), 'ARALDO_ERR_TOO_LARGE')
    const [, limit, size] = /at most (\d+) bytes a message, this one has (\d+)/.exec(error?.message ?? '') ?? []
    assert.equal(limit, '100000')
    const largest = 200_000 - (Number(size) - 100_000)
    assert.equal(code(await send(Buffer.alloc(largest + 1), init)), 'ARALDO_ERR_TOO_LARGE')
    assert.equal(await send(Buffer.alloc(largest), init), null)
    await until(() => packets.length === 1)
    assert.equal(endpoint.counters.connects, 1)
  })

  test('tells a right that is missing from all else: its message fails for good', async (t) => {
    const { send, endpoint } = await startMqtt(t, { url: mosquitto.url, topic: '{topic}' })
    const error = await send('x', { topic: 'secret/1' })
    assert.equal(code(error), 'ARALDO_ERR_TOPIC_INVALID')
    assert.match(String(error), /does not authorize it to publish to 'secret\/1'/)
    assert.equal(endpoint.counters['refused'], 1)
    assert.equal(await send('x', { topic: 'open/1' }), null)
  })

  test('retains what it is told to', async (t) => {
    const topic = `out/${places++}`
    const { send } = await startMqtt(t, { url: mosquitto.url, topic, retain: true })
    assert.equal(await send('kept'), null)
    const packets = await listen(t, topic)
    await until(() => packets.length === 1)
    assert.equal(packets[0]?.retain, true)
  })

  test('has no more on its way than the broker takes, and says when there is room', async (t) => {
    const topic = `out/${places++}`
    const packets = await listen(t, topic)
    const { send, endpoint } = await startMqtt(t, { url: mosquitto.url, topic })
    const sent = Array.from({ length: 5 }, (_, number) => send(String(number)))
    assert.equal(endpoint.ready, false)
    assert.equal(endpoint.gauges['inFlight'], 5)
    assert.equal(code(await send('too much')), 'ARALDO_ERR_OVERFLOW')
    const ready = new Promise<void>((resolve) => void endpoint.onReady(resolve))
    assert.deepEqual(await Promise.all(sent), [null, null, null, null, null])
    await ready
    assert.equal(await send('5'), null)
    await until(() => packets.length === 6)
  })

  test('takes no more than it can hold while the broker does not read', async (t) => {
    const topic = `out/${places++}`
    const { send, endpoint } = await startMqtt(t, { url: mosquitto.url, topic, qos: 0 })
    mosquitto.pause()
    t.after(() => mosquitto.resume())
    let count = 0
    while (endpoint.ready && count < 1_000) {
      count++
      assert.equal(await send(Buffer.alloc(90_000)), null)
    }
    assert.equal(endpoint.ready, false)
    const ready = new Promise<void>((resolve) => void endpoint.onReady(resolve))
    mosquitto.resume()
    await ready
  })

  test('does not hear itself, unless it is told to; a shared subscription does', async (t) => {
    for (const [options, hears] of [
      [{}, false],
      [{ echo: true }, true],
      [{ share: 'group' }, true],
      [{ version: '3.1.1' as const }, true],
    ] as const) {
      const topic = `echo/${places++}`
      const packets = await listen(t, topic)
      const own = { url: mosquitto.url, topic, subscribe: topic, 'client-id': `echo-${places}`, ...options }
      const { send, endpoint, incoming } = await startMqtt(t, own, { onIncoming: ({ settle }) => settle?.(null) })
      assert.equal(endpoint.capabilities.target?.echo, hears)
      assert.equal(await send('x'), null)
      await until(() => packets.length === 1)
      if (hears) await until(() => incoming.length === 1)
      else assert.equal(incoming.length, 0)
    }
  })
})
