/** Brokers of MQTT 3.1.1 that no one here wrote, beside Mosquitto. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freePort } from '../../support/port.ts'
import { startNats } from '../../support/nats.ts'
import { startRabbitmq } from '../../support/rabbitmq.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { startMqtt } from './support.ts'

describe("NATS's own MQTT listener", { skip: need('nats-server') }, () => {
  for (const qos of [0, 1] as const) {
    test(`takes and brings messages of QoS ${qos}, and what was not acknowledged again`, async (t) => {
      const port = await freePort()
      await startNats({
        t,
        jetStream: true,
        config: `server_name: test\nmqtt { listen: "127.0.0.1:${port}", ack_wait: "2s" }`,
      })
      const url = `mqtt://127.0.0.1:${port}`
      const base = { url, qos, version: '3.1.1' } as const
      const source = await startMqtt(t, { ...base, subscribe: 'orders/+', 'client-id': 'source' })
      const target = await startMqtt(t, { ...base, topic: 'orders/{key}', 'client-id': 'target' })
      for (let number = 0; number < 50; number++) {
        const sent = target.send(String(number), { key: String(number % 3) })
        assert.equal(await sent, null)
      }
      const texts = await source.texts(50)
      assert.deepEqual(
        texts,
        Array.from({ length: 50 }, (_, number) => String(number)),
      )
      assert.equal(source.incoming[4]?.message.topic, 'orders/1')
      if (qos === 0) return
      for (const { settle } of source.incoming.slice(0, 40)) settle?.(null)
      await until(() => source.endpoint.counters['acknowledged'] === 40)
      await source.close()
      const next = await startMqtt(t, { ...base, subscribe: 'orders/+', 'client-id': 'source' })
      // A message that comes twice would be of the window: acknowledged just as the connection ended.
      await until(() => new Set(next.incoming.map(({ text }) => text)).size >= 10, { timeout: 10_000 })
      for (const { settle } of next.incoming) settle?.(null)
      for (const text of texts.slice(40))
        assert.ok(
          next.incoming.some((each) => each.text === text),
          text,
        )
    })
  }
})

describe("RabbitMQ's MQTT plugin", { skip: need('rabbitmq-server') }, () => {
  test('takes and brings messages of QoS 1, and those that were not acknowledged again', async (t) => {
    const port = await freePort()
    await startRabbitmq({ t, plugins: ['rabbitmq_mqtt'], config: `mqtt.listeners.tcp.1 = 127.0.0.1:${port}` })
    const url = `mqtt://guest:guest@127.0.0.1:${port}`
    const base = { url, version: '3.1.1' } as const
    const source = await startMqtt(t, { ...base, subscribe: 'orders/#', 'client-id': 'source' })
    const target = await startMqtt(t, { ...base, topic: 'orders/{key}', 'client-id': 'target' })
    for (const text of ['one', 'two', 'three']) assert.equal(await target.send(text, { key: 'k' }), null)
    assert.deepEqual(await source.texts(3), ['one', 'two', 'three'])
    source.incoming[0]?.settle?.(null)
    await until(() => source.endpoint.counters['acknowledged'] === 1)
    await source.close()
    const next = await startMqtt(t, { ...base, subscribe: 'orders/#', 'client-id': 'source' })
    await until(() => ['two', 'three'].every((text) => next.incoming.some((each) => each.text === text)))
  })
})
