/**
 * Floor 3. Clients for a Redis Cluster.
 *
 * What is published unsharded reaches every node, so that one node is enough; and it must be one, because through
 * several the messages of a channel would overtake one another. Sharded Pub/Sub needs the cluster as a whole.
 */
import type { EventEmitter } from 'node:events'
import type { Cluster, ClusterOptions, Redis } from 'ioredis'
import { abortable } from './abort.ts'
import type { Address } from './address.ts'
import { CLUSTER_ONCE, connectionName, ONCE, plainError, type OpenedClient, type Role } from './client.ts'
import { connectorOf, serverConnector, type ConnectorClass } from './connector.ts'

export interface ClusterUse {
  readonly role: Role
  readonly sharded: boolean
  readonly signal: AbortSignal
  /** Some of the cluster's nodes. */
  readonly seeds: readonly Address[]
  /** Makes a client that learns of the cluster from these nodes, and gets its sockets by the connector. */
  readonly make: (nodes: readonly Address[], options: ClusterOptions, Connector: ConnectorClass) => Cluster
}

/** What ioredis says of a node whose socket has an error to tell. */
const UNINFORMATIVE = /^(Connection is closed\.|None of startup nodes is available|Failed to refresh slots cache\.)$/

export async function clusterClient(use: ClusterUse): Promise<OpenedClient> {
  const { role, sharded, make } = use
  let lastError: Error | undefined
  const Connector = serverConnector((error) => (lastError = error))
  const explain = (error: Error): Error => (UNINFORMATIVE.test(error.message) ? plainError(lastError ?? error) : error)
  const masters = await discover(use, Connector).catch((error: unknown) => {
    throw explain(plainError(error))
  })
  if (!sharded) return nodeClient(masters, role)
  const nodes = masters.map(({ options: { host = '', port = 0 } }) => ({ host, port }))
  const client = make(nodes, { ...CLUSTER_ONCE, shardedSubscribers: role === 'subscriber' }, Connector)
  if (role === 'subscriber') tellOfMoves(client)
  return { client, owned: true, explain, probe: () => probeNodes(client) }
}

/** A client for one of a cluster's masters. */
export function nodeClient(masters: readonly Redis[], role: Role): OpenedClient {
  const master = masters[Math.floor(Math.random() * masters.length)]
  if (master === undefined) throw new Error('the cluster has no master')
  const settings = { ...ONCE, Connector: connectorOf(master.options), connectionName: connectionName(role) }
  const client = master.duplicate(settings)
  return { client, owned: true, probe: () => probeMember(client) }
}

/**
 * The cluster's masters, as the first of the seeds knows them that knows any: one may be down, and one may have left the
 * cluster and know only itself. Not connected.
 */
async function discover({ seeds, make, signal }: ClusterUse, Connector: ConnectorClass): Promise<readonly Redis[]> {
  let lastError: unknown
  const first = Math.floor(Math.random() * seeds.length)
  for (const seed of [...seeds.slice(first), ...seeds.slice(0, first)]) {
    const guide = make([seed], { ...CLUSTER_ONCE, enableReadyCheck: false }, Connector)
    try {
      await abortable(connect(guide), signal)
      const masters = guide.nodes('master')
      if (masters.length > 0) return masters
      lastError = new Error(`${seed.host}:${seed.port} belongs to no cluster`)
    } catch (error) {
      signal.throwIfAborted()
      lastError = error
    } finally {
      guide.disconnect()
    }
  }
  throw lastError
}

/** ioredis leaves the promise open where a connected cluster ends before it is ready. */
function connect(cluster: Cluster): Promise<void> {
  return new Promise((resolve, reject) => {
    let lastError: Error | undefined
    cluster.on('error', (error: Error) => (lastError = error))
    cluster.once('end', () => reject(lastError ?? new Error('the node belongs to no cluster')))
    cluster.connect().then(resolve, (error: Error) => reject(lastError ?? error))
  })
}

/**
 * That a channel has left its node is something that ioredis keeps to itself: it asks one node where the channel is,
 * which may not know yet, and leaves it at that.
 */
function tellOfMoves(cluster: Cluster): void {
  const shards = cluster['subscriberGroupEmitter'] as EventEmitter
  shards.on('moved', () => cluster.emit('moved'))
}

/** A node that cannot be reached is the cluster's business: it will name another. One that does not answer is ours. */
async function probeNodes(cluster: Cluster): Promise<void> {
  await Promise.allSettled(cluster.nodes('master').map((node) => node.ping()))
}

/** A node that was taken out of its cluster goes on to answer; only, no message reaches it any more. */
async function probeMember(node: Redis): Promise<void> {
  const info = await node.cluster('INFO')
  if (/^cluster_slots_assigned:0\r?$/m.test(info)) throw new Error('the node belongs to no cluster any more')
}
