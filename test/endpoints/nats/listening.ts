/** A server of the test's own, for peers that no broker would be. */
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import type { Owner } from '../../support/process.ts'

/** Listens on a free port until the test ends; resolves with the port. */
export async function listening(server: Server, t: Owner): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => void server.close())
  return (server.address() as AddressInfo).port
}
