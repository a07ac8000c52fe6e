/** Redis Pub/Sub with ioredis: each message as it comes, commands of one turn together. */
import { Redis } from 'ioredis'

export async function openSource({ port, channel }, _window, onMessages) {
  const subscriber = new Redis(port)
  subscriber.on('messageBuffer', (_channel, payload) => void onMessages([{ payload }]))
  await subscriber.subscribe(channel)
}

export async function openTarget({ port, channel }) {
  const publisher = new Redis(port, { enableAutoPipelining: true })
  return { send: ([{ payload }]) => publisher.publish(channel, payload) }
}
