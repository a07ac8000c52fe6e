/**
 * The floor: the least that a process can do to bring a message to a crowd. Plain TCP, no protocol, no buffer, no
 * look at who is slow: one write(2) per client and message (`fs.writeSync` on the connection's descriptor is that
 * system call and nothing else), of bytes as Redis gave them.
 *
 *     PORT=… REDIS_PORT=… node --import tsx bench/servers/floor.ts
 */
import { writeSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { CHANNEL } from '../load/dialects.ts'

/** Node's own name for the descriptor: not public, and only here to leave Node's streams out. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } }
  return handle.fd
}

const descriptors = new Set<number>()
const server = createServer({ noDelay: true }, (socket) => {
  const descriptor = descriptorOf(socket)
  descriptors.add(descriptor)
  socket.resume()
  socket.on('error', () => {})
  socket.once('close', () => descriptors.delete(descriptor))
})

const subscriber = new Redis(Number(process.env.REDIS_PORT))
subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => {
  for (const descriptor of descriptors) writeSync(descriptor, message)
})
await subscriber.subscribe(CHANNEL)
server.listen(Number(process.env.PORT), '127.0.0.1', () => process.stdout.write('listening\n'))
