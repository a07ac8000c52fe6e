/**
 * Socket.IO with its Redis adapter, compression off as is its default, WebSocket only.
 *
 *     PORT=… REDIS_PORT=… node --import tsx bench/servers/socketio.ts
 */
import { createServer } from 'node:http'
import { createAdapter } from '@socket.io/redis-adapter'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'

const publisher = new Redis(Number(process.env.REDIS_PORT))
const server = createServer()
const io = new Server(server, { adapter: createAdapter(publisher, publisher.duplicate()), transports: ['websocket'] })
io.on('connection', () => {})
server.listen(Number(process.env.PORT), '127.0.0.1', () => process.stdout.write('listening\n'))
