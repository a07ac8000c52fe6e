/**
 * What a connection costs a server's memory: it grows by so much from the first thousand idle connections to the
 * last, when the heap has the size that it works with. A process of its own. Takes {@link MemoryOptions} as JSON in
 * its first argument and prints KiB a connection.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { residentKiB } from '../measure.ts'
import { connectClients, type Client } from './client.ts'
import { type DialectName, dialects } from './dialects.ts'

export interface MemoryOptions {
  readonly dialect: DialectName
  readonly pid: number
  readonly port: number
  /** The first clients: memory is read when they are there. */
  readonly first: number
  /** More clients, after which it is read again. */
  readonly more: number
}

/** After connecting, for what is left to do (milliseconds). */
const SETTLE = 2_000

export async function measureMemory({ dialect, pid, port, first, more }: MemoryOptions): Promise<number> {
  const clients: Client[] = []
  const connect = async (count: number): Promise<number> => {
    const options = { port, dialect: dialects[dialect], onRead: () => {}, onMessage: () => {} }
    clients.push(...(await connectClients(count, options)))
    await sleep(SETTLE)
    return residentKiB(pid)
  }
  try {
    const before = await connect(first)
    return ((await connect(more)) - before) / more
  } finally {
    for (const client of clients) client.destroy()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = JSON.parse(process.argv[2] ?? '') as MemoryOptions
  process.stdout.write(JSON.stringify(await measureMemory(options)))
}
