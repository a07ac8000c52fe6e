/** The servers that are measured, each alone on its core. */
import { fileURLToPath } from 'node:url'
import { freePort } from '../../test/support/port.ts'
import type { ManagedProcess } from '../../test/support/process.ts'
import { find, locate } from '../../test/support/require.ts'
import type { DialectName } from '../load/dialects.ts'
import { startPinned } from '../pinned.ts'

export interface Peer {
  /** `--peers` takes it. */
  readonly name: string
  /** What its row in the table says. */
  readonly title: string
  readonly dialect: DialectName
  /** The rates that it is measured at; all of them if left out. */
  readonly maxRate?: number
  /** So many clients read nothing. */
  readonly stalled?: number
  /** Why it cannot run here; undefined where it can. */
  missing?(): string | undefined
  start(core: number, redis: Broker): Promise<RunningPeer>
}

/** Where messages are published. */
export interface Broker {
  readonly port: number
  readonly process: { readonly pid: number | undefined }
}

export interface RunningPeer {
  readonly process: ManagedProcess
  /** Where its clients connect. */
  readonly port: number
  /** What it gets its messages from. */
  readonly broker: Broker
}

const PRODUCTION = { NODE_ENV: 'production' }

/** The command from dist, with a config of this folder. */
export async function startCommand(
  core: number,
  config: string,
  env: Readonly<Record<string, string>>,
  nodeArgs: readonly string[] = [],
): Promise<ManagedProcess> {
  return startPinned(core, {
    command: process.execPath,
    args: [...nodeArgs, pathOf('../../dist/cli.js'), '-c', pathOf(config)],
    env: { ...PRODUCTION, ...env },
    ready: /listening at/,
  })
}

async function startAraldo(core: number, redis: Broker): Promise<RunningPeer> {
  const port = await freePort()
  const env = { PORT: String(port), REDIS_PORT: String(redis.port) }
  // For whoever looks for hot spots: BENCH_NODE_ARGS='--cpu-prof --cpu-prof-dir=/tmp'
  const nodeArgs = (process.env.BENCH_NODE_ARGS ?? '').split(' ').filter((argument) => argument !== '')
  return { process: await startCommand(core, 'araldo.yaml', env, nodeArgs), port, broker: redis }
}

/** Starts a server of this folder. */
function script(name: string): Peer['start'] {
  return async (core, redis) => {
    const port = await freePort()
    const child = await startPinned(core, {
      command: process.execPath,
      args: ['--import', 'tsx', pathOf(name)],
      env: { ...PRODUCTION, PORT: String(port), REDIS_PORT: String(redis.port) },
      ready: /listening/,
    })
    return { process: child, port, broker: redis }
  }
}

async function startNats(core: number): Promise<RunningPeer> {
  const [port, brokerPort] = [await freePort(), await freePort()]
  const child = await startPinned(core, {
    command: find('nats-server'),
    args: ['-c', pathOf('nats.conf')],
    env: { PORT: String(port), NATS_PORT: String(brokerPort) },
    ready: /Server is ready/,
  })
  return { process: child, port, broker: { port: brokerPort, process: child } }
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

export const peers: readonly Peer[] = [
  {
    name: 'floor',
    title: 'floor: one write(2) a client, no protocol',
    dialect: 'raw',
    maxRate: 100,
    start: script('floor.ts'),
  },
  { name: 'araldo', title: '**araldo**', dialect: 'websocket', start: startAraldo },
  { name: 'stalled', title: '**araldo**, one client stalled', dialect: 'websocket', stalled: 1, start: startAraldo },
  {
    name: 'nats',
    title: 'NATS server, its own WebSocket (Go)',
    dialect: 'nats',
    missing: () => (locate('nats-server') === undefined ? 'nats-server is not installed' : undefined),
    start: startNats,
  },
  {
    name: 'handwritten',
    title: 'by hand: @fastify/websocket + ioredis, `send` in a loop',
    dialect: 'websocket',
    start: script('handwritten.ts'),
  },
  {
    name: 'socketio',
    title: 'Socket.IO + @socket.io/redis-adapter',
    dialect: 'socket.io',
    start: script('socketio.ts'),
  },
]

/** Those of the names that can run here. */
export function presentPeers(names: readonly string[]): Peer[] {
  return peers.filter((peer) => names.includes(peer.name) && peer.missing?.() === undefined)
}
