/** mosquitto: MQTT 5, QoS 1, a session that keeps what comes before the relay does. */
import { connectAsync } from 'mqtt'
import { startMosquitto } from '../../../test/support/mosquitto.ts'
import { itemsOf } from '../message.ts'
import type { Broker, Kind } from './place.ts'

/** Its defaults would keep a thousand messages, and have twenty on their way. */
const CONFIG = 'max_queued_messages 0\nmax_inflight_messages 1000'
/** Messages that are on their way to the broker at one time. */
const PIPELINE = 500

async function open(): Promise<Broker> {
  const { url, process: server } = await startMosquitto({ config: CONFIG })
  const sender = await connectAsync(url, { protocolVersion: 5 })
  const receiver = await connectAsync(url, { protocolVersion: 5 })
  const arrived = new Map<string, number>()
  receiver.on('message', (topic) => arrived.set(topic, (arrived.get(topic) ?? 0) + 1))
  return {
    async source(topic, keys) {
      await keepSession(url, topic)
      return {
        endpoint: { id: 'endpoint-mqtt', url, subscribe: topic, 'client-id': topic },
        byHand: { url, topic },
        async send(first, count) {
          for (let sent = 0; sent < count; sent += PIPELINE) {
            const items = [...itemsOf(first + sent, Math.min(PIPELINE, count - sent), keys)]
            await Promise.all(
              items.map(({ payload, id, key }) => {
                const userProperties = { 'araldo-id': id, ...(key === undefined ? {} : { 'araldo-key': key }) }
                return sender.publishAsync(topic, payload, { qos: 1, properties: { userProperties } })
              }),
            )
          }
        },
        left: async () => undefined,
      }
    },
    async target(topic) {
      // QoS 1 from the relay to the broker; how it comes from there to here is no matter of the relay's.
      await receiver.subscribeAsync(topic, { qos: 0 })
      return {
        endpoint: { id: 'endpoint-mqtt', url, topic },
        byHand: { url, topic },
        arrived: async () => arrived.get(topic) ?? 0,
      }
    },
    async close() {
      await Promise.all([sender.endAsync(true), receiver.endAsync(true)])
      await server.kill()
    },
  }
}

/** The session has the topic's name. It must be there before the first message. */
async function keepSession(url: string, topic: string): Promise<void> {
  const properties = { sessionExpiryInterval: 3_600 }
  const client = await connectAsync(url, { protocolVersion: 5, clientId: topic, clean: false, properties })
  await client.subscribeAsync(topic, { qos: 1 })
  await client.endAsync()
}

export const mqtt: Kind = { name: 'mqtt', title: 'MQTT (QoS 1)', isSafe: true, program: 'mosquitto', open }
