/**
 * HTTP: a server that answers each POST with 204. Only a target: who sends to a relay waits for its answer.
 * Messages without a key go one by one, which takes long.
 */
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Broker, Kind } from './place.ts'

async function open(): Promise<Broker> {
  const arrived = new Map<string, number>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    request.resume().once('end', () => {
      arrived.set(path, (arrived.get(path) ?? 0) + 1)
      response.writeHead(204).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    source: () => Promise.reject(new Error('HTTP is no source here')),
    async target(name) {
      const url = `http://127.0.0.1:${port}/${name}`
      return {
        endpoint: { id: 'endpoint-http', url, 'allow-private': true },
        byHand: { url },
        arrived: async () => arrived.get(`/${name}`) ?? 0,
      }
    },
    async close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export const http: Kind = { name: 'http', title: 'HTTP (POST)', isSafe: true, isSource: false, share: 0.5, open }
