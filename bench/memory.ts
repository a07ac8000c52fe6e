/** Memory: what one more idle connection costs a server. */
import { fileURLToPath } from 'node:url'
import { startRedis } from '../test/support/redis.ts'
import type { MemoryOptions } from './load/memory.ts'
import { median } from './measure.ts'
import { runOnLoadCore, SERVER_CORE } from './pinned.ts'
import { untilQuiet } from './quiet.ts'
import { presentPeers } from './servers/index.ts'
import { table } from './table.ts'

export interface MemoryTableOptions {
  readonly rounds: number
  readonly clients: number
  /** How long a measurement waits for the machine to be quiet (seconds). */
  readonly patience: number
  /** Names of peers. */
  readonly peers: readonly string[]
  readonly progress: (line: string) => void
}

/** So many times the clients come on top of the first ones. */
const MORE = 5
const MEMORY = fileURLToPath(new URL('load/memory.ts', import.meta.url))

/** Measures and returns a Markdown table. */
export async function memory({
  rounds,
  clients,
  patience,
  peers: names,
  progress,
}: MemoryTableOptions): Promise<string> {
  const redis = await startRedis()
  const results = presentPeers(names)
    .filter((peer) => peer.stalled === undefined)
    .map((peer) => ({ peer, figures: [] as number[] }))
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const { peer, figures } of results) {
        await untilQuiet(patience)
        const { process: server, port } = await peer.start(SERVER_CORE, redis)
        const pid = server.pid as number
        const options: MemoryOptions = { dialect: peer.dialect, pid, port, first: clients, more: MORE * clients }
        figures.push((await runOnLoadCore(MEMORY, options)) as number)
        await server.kill()
        progress(`round ${round}, ${peer.name}: ${figures.at(-1)?.toFixed(1)} KiB a connection`)
      }
    }
  } finally {
    await redis.kill()
  }
  const rows = results.map(({ peer, figures }) => [peer.title, median(figures)])
  return table(['server', 'KiB for one more connection'], rows)
}
