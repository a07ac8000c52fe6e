/** Who carries the messages: araldo as the command, and the loop by hand, each alone on its core. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../test/support/port.ts'
import { type ManagedProcess, temporaryFolder } from '../../test/support/process.ts'
import { SERVER_CORE, startPinned } from '../pinned.ts'
import type { Kind, Source, Target } from './places/place.ts'

export interface Bridge {
  readonly from: Kind
  readonly to: Kind
  readonly source: Source
  readonly target: Target
  /** Messages on their way at one time; araldo's default if left out. */
  readonly concurrency: number | undefined
}

export interface Relay {
  readonly name: 'araldo' | 'by hand'
  /** Resolves when it is about to take messages. */
  start(bridge: Bridge): Promise<ManagedProcess>
}

const COMMAND = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const BY_HAND = fileURLToPath(new URL('byhand/run.mjs', import.meta.url))
const PRODUCTION = { NODE_ENV: 'production' }
/** What araldo has in flight if its config says nothing. */
const DEFAULT_WINDOW = 64

async function startAraldo({ source, target, concurrency }: Bridge): Promise<ManagedProcess> {
  const file = join(temporaryFolder('bridge'), 'araldo.yaml')
  // JSON is YAML. Everything that is not named here is at its default.
  const config = {
    global: { 'server-port': await freePort(), 'log-level': 'info' },
    plugins: {
      'araldo.endpoints.endpoint': [
        { name: 'source', ...source.endpoint },
        { name: 'target', ...target.endpoint },
      ],
    },
    routes: { source: [concurrency === undefined ? 'target' : { to: 'target', concurrency }] },
  }
  await writeFile(file, JSON.stringify(config))
  return start([COMMAND, '-c', file], /listening at/)
}

function startByHand({ from, to, source, target, concurrency = DEFAULT_WINDOW }: Bridge): Promise<ManagedProcess> {
  const options = {
    source: { kind: from.name, ...source.byHand },
    target: { kind: to.name, ...target.byHand },
    window: concurrency,
  }
  return start([BY_HAND, JSON.stringify(options)], /running/)
}

function start(args: readonly string[], ready: RegExp): Promise<ManagedProcess> {
  // For whoever looks for hot spots: BENCH_NODE_ARGS='--cpu-prof --cpu-prof-dir=/tmp'
  const nodeArgs = (process.env.BENCH_NODE_ARGS ?? '').split(' ').filter((argument) => argument !== '')
  return startPinned(SERVER_CORE, { command: process.execPath, args: [...nodeArgs, ...args], env: PRODUCTION, ready })
}

export const relays: readonly Relay[] = [
  { name: 'araldo', start: startAraldo },
  { name: 'by hand', start: startByHand },
]
