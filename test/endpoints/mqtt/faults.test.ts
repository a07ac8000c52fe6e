import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reconnecting } from '../../peers/mqtt.ts'
import { startMosquitto } from '../../support/mosquitto.ts'
import { mqttLength, startMuffler } from '../../support/muffler.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { publish, startMqtt } from './support.ts'

describe('an endpoint of MQTT', { skip: need('mosquitto', 'mosquitto_pub') }, () => {
  test('heals after its broker was killed, subscriptions included, and counts that the session is gone', async (t) => {
    const mosquitto = await startMosquitto({ t })
    const { incoming, texts, endpoint, down, send } = await startMqtt(t, {
      url: mosquitto.url,
      subscribe: ['a/#', 'b/+'],
      topic: 'out/{key}',
      'client-id': 'relay',
    })
    await publish(mosquitto, 'a/1', 'before')
    await texts(1)
    await mosquitto.kill()
    await down(/./)
    assert.match(String(await send('x', { key: 'k' })), /lost its connection/)
    await mosquitto.start()
    await endpoint.whenUp(5_000)
    assert.equal(endpoint.counters['sessionsLost'], 1)
    // What was in hand is the relay's alone: there is nobody to acknowledge it to.
    incoming[0]?.settle?.(null)
    await publish(mosquitto, 'b/1', 'after')
    assert.deepEqual(await texts(2), ['before', 'after'])
    incoming[1]?.settle?.(null)
    await until(() => endpoint.counters['acknowledged'] === 1)
    assert.equal(await send('x', { key: 'k' }), null)
    assert.equal(endpoint.gauges['pending'], 0)
  })

  test('notices a broker that hangs', async (t) => {
    const mosquitto = await startMosquitto({ t })
    const { down, endpoint, send } = await startMqtt(t, { url: mosquitto.url, topic: 'out', keepalive: 1_000 })
    mosquitto.pause()
    const sent = send('x')
    assert.match(await down(/ping/, 10_000), /did not answer a ping within 4000 ms/)
    // What was on its way has an answer all the same.
    assert.match(String(await sent), /lost its connection/)
    mosquitto.resume()
    await endpoint.whenUp(5_000)
    assert.equal(await send('x'), null)
  })

  test('sends nothing again by itself when its connection is back', async (t) => {
    const mosquitto = await startMosquitto({ t, persistence: true })
    const client = await reconnecting(mosquitto, {
      clean: false,
      clientId: 'listener',
      properties: { sessionExpiryInterval: 60 },
    })
    t.after(() => client.end(true))
    const payloads: string[] = []
    client.on('message', (_topic, payload) => void payloads.push(payload.toString()))
    await client.subscribeAsync('out', { qos: 1 })
    const { send, endpoint, down } = await startMqtt(t, { url: mosquitto.url, topic: 'out', qos: 2, keepalive: 1_000 })
    mosquitto.pause()
    const lost = send('lost')
    await mosquitto.kill()
    assert.match(String(await lost), /lost its connection/)
    await down(/./)
    await mosquitto.start()
    await endpoint.whenUp(5_000)
    await until(() => client.connected)
    await client.subscribeAsync('out', { qos: 1 })
    assert.equal(await send('new'), null)
    await until(() => payloads.length > 0)
    assert.deepEqual(payloads, ['new'])
  })

  test('connects anew where the broker answers pings and confirms nothing', async (t) => {
    const mosquitto = await startMosquitto({ t })
    const PUBACK = 4
    const way = await startMuffler(t, mosquitto, mqttLength, (packet) => (packet[0] ?? 0) >> 4 === PUBACK)
    const options = { url: `mqtt://127.0.0.1:${way.port}`, topic: 'out', keepalive: 1_000, 'confirm-timeout': 400 }
    const { endpoint, send } = await startMqtt(t, options)
    const reasons: string[] = []
    endpoint.onState((_state, reason = '') => reasons.push(reason))
    const first = send('x')
    await until(() => way.swallowed() === 1)
    way.isMuffled = false
    assert.match(String(await first), /lost its connection/)
    await until(() => reasons.some((reason) => /confirms nothing that it was sent/.test(reason)))
    await endpoint.whenUp(5_000)
    assert.equal(await send('x'), null)
    assert.equal(endpoint.gauges['inFlight'], 0)
  })

  test('is refused what would weaken its guarantee: a broker that grants QoS 0 for 1', async (t) => {
    const mosquitto = await startMosquitto({ t, config: 'max_qos 0' })
    const source = await startMqtt(t, { url: mosquitto.url, subscribe: 'a', 'client-id': 'a' }, { mayBeDown: true })
    assert.match(await source.down(/QoS/), /grants QoS 0 for 'a'.*set 'qos: 0'/)
    const target = await startMqtt(t, { url: mosquitto.url, topic: 'a', 'client-id': 'b' }, { mayBeDown: true })
    assert.match(await target.down(/QoS/), /takes QoS 0 at most: set 'qos'/)
    const retaining = await startMosquitto({ t, config: 'retain_available false' })
    const other = await startMqtt(t, { url: retaining.url, topic: 'a', retain: true }, { mayBeDown: true })
    assert.match(await other.down(/retain/), /retains nothing/)
  })
})
