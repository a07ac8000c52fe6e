/** NATS JetStream: a durable pull consumer, and publishing that waits for the server's word. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'

export async function openSource({ url, stream, durable }, window, onMessages) {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1 })
  // What the library asks for is no bound: it goes on asking as messages come.
  const manager = await jetstreamManager(connection)
  await manager.consumers.update(stream, durable, { max_ack_pending: window })
  const consumer = await jetstream(connection).consumers.get(stream, durable)
  const acknowledge = (messages) => {
    for (const { message } of messages) message.ack()
  }
  // What comes in by one read of the socket goes on together.
  let waiting = []
  const flush = () => {
    const messages = waiting
    waiting = []
    void onMessages(messages, acknowledge)
  }
  const callback = (message) => {
    if (waiting.length === 0) setImmediate(flush)
    const { data, headers: block } = message
    const key = block?.has('araldo-key') === true ? block.get('araldo-key') : undefined
    waiting.push({ message, payload: data, id: block?.get('Nats-Msg-Id'), key })
  }
  await consumer.consume({ max_messages: window / 4, callback })
}

export async function openTarget({ url, stream }) {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1 })
  const js = jetstream(connection)
  return {
    send: (messages) =>
      Promise.all(
        messages.map(({ payload, id, key }) => {
          const options = { msgID: id }
          if (key !== undefined) {
            options.headers = headers()
            options.headers.set('araldo-key', key)
          }
          return js.publish(stream, payload, options)
        }),
      ),
  }
}
