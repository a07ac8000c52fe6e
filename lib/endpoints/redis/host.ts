/** Floor 3. Connections that the application has made with @fastify/redis. */
import type { FastifyInstance } from 'fastify'
import type { Cluster, Redis } from 'ioredis'
import { errors } from '../../errors.ts'
import { connectionName, NODE, ONCE, type Client, type OpenClient } from './client.ts'
import { addressesOf, clusterClient, type ClusterUse, nodeClient, rotated } from './cluster.ts'
import { connectorOf } from './connector.ts'

/** What the connection without a namespace is called. */
const DEFAULT = 'default'

/**
 * Clients for a connection of the application. It is looked for each time one is opened: the application may register
 * @fastify/redis after araldo. What is published goes through the application's own client, as long as that is ready;
 * to subscribe takes a duplicate.
 */
export function hostClients(scope: FastifyInstance, name: string, wholeCluster: boolean): OpenClient {
  return async (role, signal) => {
    const client = findClient(scope, name)
    if (client.isCluster) {
      const cluster = client as Cluster
      const masters = rotated(cluster.nodes('master'))
      if (!wholeCluster) return nodeClient([...masters.filter(({ status }) => status === 'ready'), ...masters], role)
      const seeds = addressesOf(masters)
      const make: ClusterUse['make'] = (nodes, settings, Connector) =>
        cluster.duplicate([...nodes], { ...settings, redisOptions: { ...NODE, Connector } })
      return clusterClient({ role, wholeCluster, signal, seeds, make })
    }
    const redis = client as Redis
    if (role === 'publisher') return { client: redis, owned: false, probe: () => redis.ping() }
    const settings = { ...ONCE, Connector: connectorOf(redis.options), connectionName: connectionName(role) }
    const duplicate = redis.duplicate(settings)
    return { client: duplicate, owned: true, probe: () => duplicate.ping() }
  }
}

/** @throws ARALDO_ERR_CONFIG that names the connections that there are. */
function findClient(scope: FastifyInstance, name: string): Client {
  const decorator: unknown = 'redis' in scope ? scope.redis : undefined
  const clients = new Map<string, Client>()
  if (isClient(decorator)) clients.set(DEFAULT, decorator)
  for (const [namespace, client] of Object.entries(decorator ?? {}))
    if (isClient(client)) clients.set(namespace, client)
  const client = clients.get(name)
  if (client !== undefined) return client
  const known =
    clients.size === 0 ? 'there is none: register @fastify/redis' : `there are ${[...clients.keys()].join(', ')}`
  throw new errors.CONFIG(`the application has no Redis connection '${name}'; ${known}`)
}

/** Not by its class: the application's ioredis may be another copy. */
function isClient(value: unknown): value is Client {
  if (typeof value !== 'object' || value === null) return false
  const { status, publish, duplicate } = value as Partial<Record<keyof Client, unknown>>
  return typeof status === 'string' && typeof publish === 'function' && typeof duplicate === 'function'
}
