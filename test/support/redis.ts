/** Real Redis servers, alone, as a cluster, or under Sentinel. Nothing is kept on disk. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Certificate } from './certificate.ts'
import { makeCertificate } from './certificate.ts'
import { onFreePort } from './port.ts'
import type { ManagedProcess, Owner } from './process.ts'
import { runOrThrow, startProcess, temporaryFolder } from './process.ts'
import { find } from './require.ts'
import { Server } from './server.ts'
import { until } from './wait.ts'

const READY = /Ready to accept connections/

export interface RedisServerOptions {
  /** More arguments for redis-server: `['--maxmemory', '1mb']`. */
  readonly args?: readonly string[]
  /** Speak TLS only. {@link RedisServer.certificate} holds the authority to trust. */
  readonly tls?: boolean
  /** Of the default user. */
  readonly password?: string
  /** The test that it ends with; the test file if left out. */
  readonly t?: Owner
}

export class RedisServer extends Server {
  /** There when the server speaks TLS. */
  readonly certificate: Certificate | undefined
  readonly password: string | undefined

  constructor(process: ManagedProcess, port: number, options: { certificate?: Certificate; password?: string } = {}) {
    const scheme = options.certificate === undefined ? 'redis' : 'rediss'
    const login = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`
    super(process, port, `${scheme}://${login}127.0.0.1:${port}`)
    this.certificate = options.certificate
    this.password = options.password
  }

  /** Arguments with which redis-cli reaches this server; for tests that keep a redis-cli running. */
  get cliArgs(): string[] {
    return [
      ...['-h', this.host, '-p', String(this.port)],
      ...(this.password === undefined ? [] : ['--no-auth-warning', '-a', this.password]),
      ...(this.certificate === undefined ? [] : ['--tls', '--cacert', this.certificate.caFile]),
    ]
  }

  /** Runs one command with redis-cli and returns its answer: `await redis.cli('PUBLISH', 'orders', 'hi')`. */
  async cli(...command: string[]): Promise<string> {
    const answer = await runOrThrow(find('redis-cli'), [...this.cliArgs, ...command])
    return answer.trimEnd()
  }
}

export async function startRedis({
  args = [],
  tls = false,
  password,
  t,
}: RedisServerOptions = {}): Promise<RedisServer> {
  const command = find('redis-server')
  const certificate = tls ? await makeCertificate() : undefined
  const folder = temporaryFolder('redis')
  return onFreePort(async (port) => {
    const server = await startProcess({
      command,
      args: [
        ...baseArguments(folder),
        ...(certificate === undefined ? ['--port', String(port)] : tlsArguments(port, certificate)),
        ...(password === undefined ? [] : ['--requirepass', password]),
        ...args,
      ],
      ready: READY,
      t,
    })
    return new RedisServer(server, port, {
      ...(certificate === undefined ? {} : { certificate }),
      ...(password === undefined ? {} : { password }),
    })
  })
}

function baseArguments(folder: string): string[] {
  return ['--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no', '--daemonize', 'no']
}

function tlsArguments(port: number, certificate: Certificate): string[] {
  return [
    ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no'],
    ...['--tls-cert-file', certificate.certFile, '--tls-key-file', certificate.keyFile],
    ...['--tls-ca-cert-file', certificate.caFile],
  ]
}

export interface RedisCluster {
  /** Three masters; each holds a third of the 16,384 slots. */
  readonly nodes: readonly RedisServer[]
  /** As ioredis takes them. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** SIGKILL for every node. */
  kill(): Promise<void>
  stop(): Promise<void>
}

/** Three masters without replicas. Takes about a second. */
export async function startRedisCluster({ t }: { readonly t?: Owner } = {}): Promise<RedisCluster> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
  const owner = t === undefined ? {} : { t }
  const nodes = await Promise.all([1, 2, 3].map(() => startRedis({ args, ...owner })))
  await joinCluster(nodes)
  return {
    nodes,
    addresses: nodes.map(({ host, port }) => ({ host, port })),
    kill: async () => void (await Promise.all(nodes.map((node) => node.kill()))),
    stop: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
  }
}

/** By hand: `redis-cli --cluster create` sleeps for seconds. */
async function joinCluster(nodes: readonly RedisServer[]): Promise<void> {
  const share = Math.ceil(16_384 / nodes.length)
  await Promise.all(
    nodes.map(async (node, index) => {
      const last = Math.min((index + 1) * share, 16_384) - 1
      await node.cli('CLUSTER', 'ADDSLOTSRANGE', String(index * share), String(last))
      await node.cli('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
    }),
  )
  const [first, ...others] = nodes as [RedisServer, ...RedisServer[]]
  for (const other of others) await first.cli('CLUSTER', 'MEET', other.host, String(other.port))
  const isJoined = async (node: RedisServer): Promise<boolean> => {
    const info = await node.cli('CLUSTER', 'INFO')
    return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes.length}`)
  }
  await until(async () => (await Promise.all(nodes.map(isJoined))).every(Boolean), {
    timeout: 15_000,
    interval: 100,
    message: 'the cluster to form',
  })
}

export interface RedisSentinel {
  /** The name that clients ask the sentinel for. */
  readonly name: string
  readonly sentinel: Server
  readonly sentinels: readonly { readonly host: string; readonly port: number }[]
  /** The master at the beginning; after {@link RedisSentinel.failover} the replica is. */
  readonly master: RedisServer
  readonly replica: RedisServer
  /** Makes the replica the master; resolves when the sentinel names it. */
  failover(): Promise<void>
}

/** A master, a replica and one sentinel that watches them (quorum 1). */
export async function startRedisSentinel({ t }: { readonly t?: Owner } = {}): Promise<RedisSentinel> {
  const name = 'araldo'
  const owner = t === undefined ? {} : { t }
  // Redis would wait 5 s for more replicas before it sends the first one its data.
  const master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'], ...owner })
  const replica = await startRedis({ args: ['--replicaof', master.host, String(master.port)], ...owner })
  await until(async () => (await master.cli('INFO', 'replication')).includes('state=online'), {
    timeout: 15_000,
    interval: 50,
    message: 'the replica to be in step',
  })
  const sentinel = await startSentinel(name, master, t)
  const ask = (...command: string[]): Promise<string> =>
    runOrThrow(find('redis-cli'), ['-p', String(sentinel.port), 'SENTINEL', ...command])
  await until(async () => (await ask('REPLICAS', name)).includes(String(replica.port)), {
    timeout: 15_000,
    interval: 100,
    message: 'the sentinel to know the replica',
  })
  return {
    name,
    sentinel,
    sentinels: [{ host: sentinel.host, port: sentinel.port }],
    master,
    replica,
    failover: async () => {
      await until(async () => (await ask('FAILOVER', name)).includes('OK'), { timeout: 15_000, interval: 200 })
      await until(async () => (await ask('GET-MASTER-ADDR-BY-NAME', name)).includes(String(replica.port)), {
        timeout: 15_000,
        interval: 100,
        message: 'the sentinel to name the replica as master',
      })
    },
  }
}

function startSentinel(name: string, master: RedisServer, t: Owner | undefined): Promise<Server> {
  const command = find('redis-server')
  const folder = temporaryFolder('sentinel')
  return onFreePort(async (port) => {
    const file = join(folder, 'sentinel.conf')
    writeFileSync(
      file,
      [
        'bind 127.0.0.1',
        `port ${port}`,
        `dir ${folder}`,
        `sentinel monitor ${name} ${master.host} ${master.port} 1`,
        `sentinel down-after-milliseconds ${name} 500`,
        `sentinel failover-timeout ${name} 3000`,
        '',
      ].join('\n'),
    )
    const process = await startProcess({ command, args: [file, '--sentinel'], ready: /\+monitor master/, t })
    return new Server(process, port, `redis://127.0.0.1:${port}`)
  })
}
