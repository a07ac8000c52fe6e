/** Start: from the moment a process is asked for to the moment it listens. */
import { fileURLToPath } from 'node:url'
import { freePort } from '../test/support/port.ts'
import { startRedis } from '../test/support/redis.ts'
import { median } from './measure.ts'
import { SERVER_CORE, startPinned } from './pinned.ts'
import { untilQuiet } from './quiet.ts'
import { startCommand } from './servers/index.ts'
import { table } from './table.ts'

export interface StartOptions {
  readonly rounds: number
  /** How long a measurement waits for the machine to be quiet (seconds). */
  readonly patience: number
  readonly progress: (line: string) => void
}

interface Variant {
  readonly title: string
  start(env: Readonly<Record<string, string>>): Promise<{ kill(): Promise<unknown> }>
}

const variants: readonly Variant[] = [
  { title: 'Fastify with nothing on it', start: startBare },
  { title: '**araldo**, two endpoints', start: (env) => startCommand(SERVER_CORE, 'araldo.yaml', env) },
  { title: '**araldo**, ten endpoints', start: (env) => startCommand(SERVER_CORE, 'ten-endpoints.yaml', env) },
  {
    title: '**araldo**, ten endpoints, Redis down',
    start: async (env) =>
      startCommand(SERVER_CORE, 'ten-endpoints.yaml', { ...env, REDIS_PORT: String(await freePort()) }),
  },
]

/** Measures and returns a Markdown table. */
export async function start({ rounds, patience, progress }: StartOptions): Promise<string> {
  const redis = await startRedis()
  const results = variants.map((variant) => ({ variant, times: [] as number[] }))
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const { variant, times } of results) {
        await untilQuiet(patience)
        const env = { PORT: String(await freePort()), REDIS_PORT: String(redis.port) }
        const before = performance.now()
        const server = await variant.start(env)
        times.push(performance.now() - before)
        await server.kill()
        progress(`round ${round}, ${variant.title}: ${Math.round(times.at(-1) as number)} ms`)
      }
    }
  } finally {
    await redis.kill()
  }
  const rows = results.map(({ variant, times }) => [variant.title, median(times), Math.max(...times)])
  return table(['server', 'listening after ms', 'slowest'], rows)
}

/** Plain JavaScript: what runs TypeScript would take longer to start than what is measured. */
function startBare(env: Readonly<Record<string, string>>): Promise<{ kill(): Promise<unknown> }> {
  return startPinned(SERVER_CORE, {
    command: process.execPath,
    args: [fileURLToPath(new URL('servers/bare.mjs', import.meta.url))],
    env: { NODE_ENV: 'production', ...env },
    ready: /listening at/,
  })
}
