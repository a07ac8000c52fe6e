/** A server that says whatever the test wants, over TCP: for what no real one would ever say. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Owner } from './process.ts'

/**
 * @param talk called with each connection.
 * @returns its port on 127.0.0.1.
 */
export async function startLiar(t: Owner, talk: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    talk(socket)
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Writes the same over and over, as fast as it is read. */
export function flood(socket: Socket, chunk: Buffer): void {
  const write = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  }
  socket.on('drain', write)
  write()
}
