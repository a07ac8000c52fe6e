/**
 * What one writes by hand: @fastify/websocket and ioredis, each message sent to each client in a loop.
 *
 *     PORT=… REDIS_PORT=… node --import tsx bench/servers/handwritten.ts
 */
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { CHANNEL } from '../load/dialects.ts'

const fastify = Fastify()
await fastify.register(fastifyWebsocket)
fastify.get('/ws', { websocket: true }, () => {})

const subscriber = new Redis(Number(process.env.REDIS_PORT))
subscriber.on('message', (_channel: string, message: string) => {
  for (const client of fastify.websocketServer.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(message)
  }
})
await subscriber.subscribe(CHANNEL)
await fastify.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
process.stdout.write('listening\n')
