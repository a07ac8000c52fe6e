/** RabbitMQ: durable classic queues, persistent messages. */
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import { startRabbitmq } from '../../../test/support/rabbitmq.ts'
import { itemsOf } from '../message.ts'
import type { Broker, Kind } from './place.ts'

async function open(): Promise<Broker> {
  const { url, process: server } = await startRabbitmq()
  const connection: ChannelModel = await connect(url)
  const channel: ConfirmChannel = await connection.createConfirmChannel()
  const countIn = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount
  return {
    async source(queue, keys) {
      await channel.assertQueue(queue)
      return {
        endpoint: { id: 'endpoint-amqp', url, queue },
        byHand: { url, queue },
        async send(first, count) {
          for (const { payload, id, key } of itemsOf(first, count, keys)) {
            const headers = key === undefined ? {} : { 'araldo-key': key }
            channel.sendToQueue(queue, payload, { persistent: true, messageId: id, headers })
          }
          await channel.waitForConfirms()
        },
        left: () => countIn(queue),
      }
    },
    async target(queue) {
      await channel.assertQueue(queue)
      return {
        endpoint: { id: 'endpoint-amqp', url, topic: queue },
        byHand: { url, queue },
        arrived: () => countIn(queue),
      }
    },
    async close() {
      await connection.close()
      await server.kill()
    },
  }
}

export const amqp: Kind = { name: 'amqp', title: 'RabbitMQ', isSafe: true, program: 'rabbitmq-server', open }
