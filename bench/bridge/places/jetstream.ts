/** NATS JetStream: streams on disk, read by a durable pull consumer. */
import { AckPolicy, jetstream as jetStreamOf, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import { startNats } from '../../../test/support/nats.ts'
import { itemsOf } from '../message.ts'
import type { Broker, Kind } from './place.ts'

const DURABLE = 'bench'
/** Messages that are on their way to the server at one time. */
const PIPELINE = 1_000

async function open(): Promise<Broker> {
  const { url, process: server } = await startNats({ jetStream: true })
  const client = await connect({ servers: url })
  const js = jetStreamOf(client)
  const manager = await jetstreamManager(client)
  const addStream = async (name: string): Promise<void> => {
    await manager.streams.add({ name, subjects: [name], storage: StorageType.File })
  }
  return {
    async source(stream, keys) {
      await addStream(stream)
      const limit = { max_ack_pending: 1_000, ack_wait: 30_000_000_000 }
      await manager.consumers.add(stream, { durable_name: DURABLE, ack_policy: AckPolicy.Explicit, ...limit })
      return {
        endpoint: { id: 'endpoint-jetstream', url, stream, durable: DURABLE },
        byHand: { url, stream, durable: DURABLE },
        async send(first, count) {
          for (let sent = 0; sent < count; sent += PIPELINE) {
            const items = [...itemsOf(first + sent, Math.min(PIPELINE, count - sent), keys)]
            await Promise.all(
              items.map(({ payload, id, key }) => {
                const block = headers()
                if (key !== undefined) block.set('araldo-key', key)
                return js.publish(stream, payload, { msgID: id, headers: block })
              }),
            )
          }
        },
        async left() {
          const { num_pending: unread, num_ack_pending: unacknowledged } = await manager.consumers.info(stream, DURABLE)
          return unread + unacknowledged
        },
      }
    },
    async target(stream) {
      await addStream(stream)
      return {
        endpoint: { id: 'endpoint-jetstream', url, topic: stream },
        byHand: { url, stream },
        arrived: async () => (await manager.streams.info(stream)).state.messages,
      }
    },
    async close() {
      await client.close()
      await server.kill()
    },
  }
}

export const jetstream: Kind = {
  name: 'jetstream',
  title: 'NATS JetStream',
  isSafe: true,
  program: 'nats-server',
  open,
}
