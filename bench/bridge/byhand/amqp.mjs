/** RabbitMQ with amqplib: a consumer that acknowledges, and a channel with publisher confirms. */
import { connect } from 'amqplib'

export async function openSource({ url, queue }, window, onMessages) {
  const channel = await (await connect(url)).createChannel()
  const acknowledge = (messages) => {
    for (const { delivery } of messages) channel.ack(delivery)
  }
  // What comes in by one read of the socket goes on together.
  let waiting = []
  const flush = () => {
    const messages = waiting
    waiting = []
    void onMessages(messages, acknowledge)
  }
  await channel.prefetch(window)
  await channel.consume(queue, (delivery) => {
    if (waiting.length === 0) setImmediate(flush)
    const { messageId, headers } = delivery.properties
    waiting.push({ delivery, payload: delivery.content, id: messageId, key: headers['araldo-key'] })
  })
}

export async function openTarget({ url, queue }) {
  const channel = await (await connect(url)).createConfirmChannel()
  return {
    send: (messages) =>
      new Promise((resolve, reject) => {
        let unconfirmed = messages.length
        const confirmed = (error) => {
          if (error !== null) reject(error)
          else if (--unconfirmed === 0) resolve()
        }
        for (const { payload, id, key } of messages) {
          const headers = key === undefined ? {} : { 'araldo-key': key }
          channel.sendToQueue(queue, payload, { persistent: true, mandatory: true, messageId: id, headers }, confirmed)
        }
      }),
  }
}
