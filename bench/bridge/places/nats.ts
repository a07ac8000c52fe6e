/** NATS core. */
import { connect, headers, type Subscription } from '@nats-io/transport-node'
import { startNats } from '../../../test/support/nats.ts'
import { itemsOf } from '../message.ts'
import type { Broker, Kind } from './place.ts'

async function open(): Promise<Broker> {
  const { url, process: server } = await startNats()
  const client = await connect({ servers: url })
  let subscription: Subscription | undefined
  let arrived = 0
  return {
    async source(subject) {
      return {
        endpoint: { id: 'endpoint-nats', url, subject },
        byHand: { url, subject },
        async send(first, count) {
          for (const { payload, id } of itemsOf(first, count, 0)) {
            const block = headers()
            block.set('araldo-id', id)
            client.publish(subject, payload, { headers: block })
          }
          await client.flush()
        },
        left: async () => undefined,
      }
    },
    async target(subject) {
      subscription?.unsubscribe()
      arrived = 0
      subscription = client.subscribe(subject, { callback: () => void arrived++ })
      await client.flush()
      return {
        endpoint: { id: 'endpoint-nats', url, topic: subject },
        byHand: { url, subject },
        arrived: async () => arrived,
      }
    },
    async close() {
      await client.close()
      await server.kill()
    },
  }
}

export const nats: Kind = { name: 'nats', title: 'NATS', isSafe: false, program: 'nats-server', open }
