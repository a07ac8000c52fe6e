/**
 * Floor 3. Clients for a Redis Cluster.
 *
 * What is published unsharded reaches every node, so that one node is enough; and it must be one, because through
 * several the messages of a channel would overtake one another. Sharded Pub/Sub needs the cluster as a whole.
 */
import type { EventEmitter } from 'node:events'
import type { Cluster, ClusterOptions, Redis } from 'ioredis'
import { abortable, within } from '../../deadline.ts'
import type { Address } from './address.ts'
import {
  CLUSTER_ONCE,
  connectionName,
  DEFAULT_PORT,
  isErrorReply,
  ONCE,
  plainError,
  type OpenedClient,
  type Role,
} from './client.ts'
import { connectorOf, serverConnector, type ConnectorClass } from './connector.ts'

export interface ClusterUse {
  readonly role: Role
  /** Whether all nodes are needed; else one will do. */
  readonly wholeCluster: boolean
  readonly signal: AbortSignal
  /** Some of the cluster's nodes. */
  readonly seeds: readonly Address[]
  /** Makes a client that learns of the cluster from these nodes, and gets its sockets by the connector. */
  readonly make: (nodes: readonly Address[], options: ClusterOptions, Connector: ConnectorClass) => Cluster
}

/** What ioredis says of a node whose socket has an error to tell. */
const UNINFORMATIVE = /^(Connection is closed\.|None of startup nodes is available|Failed to refresh slots cache\.)$/

/** A node that is asked whether it is there has so long to answer (milliseconds), before the next one is asked. */
const ANSWER_TIMEOUT = 1_000

export async function clusterClient(use: ClusterUse): Promise<OpenedClient> {
  const { role, wholeCluster, make } = use
  let lastError: Error | undefined
  const Connector = serverConnector((error) => (lastError = error))
  const explain = (error: Error): Error => (UNINFORMATIVE.test(error.message) ? plainError(lastError ?? error) : error)
  const masters = await discover(use, Connector).catch((error: unknown) => {
    throw explain(plainError(error))
  })
  if (!wholeCluster) return nodeClient(masters, role)
  const client = make(addressesOf(masters), { ...CLUSTER_ONCE, shardedSubscribers: role === 'subscriber' }, Connector)
  if (role === 'subscriber') tellOfMoves(client)
  return { client, owned: true, explain, probe: () => probeNodes(client) }
}

/** A client for the first of these nodes. */
export function nodeClient([node]: readonly Redis[], role: Role): OpenedClient {
  if (node === undefined) throw new Error('the cluster has no master that answers')
  const settings = { ...ONCE, Connector: connectorOf(node.options), connectionName: connectionName(role) }
  const client = node.duplicate(settings)
  return { client, owned: true, probe: () => probeMember(client) }
}

export function addressesOf(nodes: readonly Redis[]): Address[] {
  return nodes.map(({ options: { host = '', port = DEFAULT_PORT } }) => ({ host, port }))
}

/** From a random one on, so that relays spread over the nodes, and no node that is down is always the first. */
export function rotated<Item>(items: readonly Item[]): Item[] {
  const first = Math.floor(Math.random() * items.length)
  return [...items.slice(first), ...items.slice(0, first)]
}

/**
 * The cluster's masters that answer, as the first of the seeds knows them that knows any: one may be down, and one may
 * have left the cluster and know only itself. Not connected any more.
 */
async function discover({ seeds, make, signal }: ClusterUse, Connector: ConnectorClass): Promise<readonly Redis[]> {
  let lastError: unknown
  for (const seed of rotated(seeds)) {
    const guide = make([seed], { ...CLUSTER_ONCE, enableReadyCheck: false }, Connector)
    try {
      await abortable(connect(guide), signal)
      const masters = rotated(guide.nodes('master'))
      const answers = await abortable(Promise.all(masters.map(isThere)), signal)
      const there = masters.filter((_master, index) => answers[index])
      if (there.length > 0) return there
      lastError = new Error(`${seed.host}:${seed.port} knows no master that answers`)
    } catch (error) {
      signal.throwIfAborted()
      lastError = error
    } finally {
      guide.disconnect()
    }
  }
  throw lastError
}

function isThere(node: Redis): Promise<boolean> {
  return within(ANSWER_TIMEOUT, node.ping()).catch(isErrorReply)
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
