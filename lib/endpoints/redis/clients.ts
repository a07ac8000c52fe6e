/**
 * Floor 3. ioredis clients for an endpoint's server.
 *
 * Every client here is opened once and lost once. Nothing in it connects again, queues, sends again or subscribes again
 * by itself: the endpoint does all of that, where it is bounded, counted and seen.
 */
import { Cluster, Redis, type RedisOptions as ClientOptions } from 'ioredis'
import { parseAddress, parseUrl, type Address } from './address.ts'
import { clusterClient, type ClusterUse } from './cluster.ts'
import { connectionName, DEFAULT_PORT, NODE, ONCE, type OpenClient } from './client.ts'
import { MasterConnector } from './connector.ts'
import type { ClusterOptions, SentinelOptions, ServerOptions } from './options.ts'
import { tlsOptions } from '../common/tls.ts'

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_SENTINEL_PORT = 26_379

/** Clients for the server that the options name. */
export function ownClients(options: ServerOptions, directory: string, wholeCluster: boolean): OpenClient {
  return async (role, signal) => {
    const login = { ...(await loginOf(options, directory)), connectionName: connectionName(role) }
    const { cluster, sentinel } = options
    if (cluster !== undefined) {
      const seeds = cluster.nodes.map((node) => parseAddress(node, DEFAULT_PORT))
      const make: ClusterUse['make'] = (nodes, settings, Connector) => {
        const redisOptions = { ...NODE, ...login, Connector }
        return new Cluster([...nodes], { ...clusterSettings(cluster), ...settings, redisOptions })
      }
      return clusterClient({ role, wholeCluster, signal, seeds, make })
    }
    const place = sentinel === undefined ? placeOf(options) : await sentinelSettings(sentinel, login, directory)
    const client = new Redis({ ...ONCE, ...login, ...place })
    return { client, owned: true, probe: () => client.ping() }
  }
}

async function loginOf(options: ServerOptions, directory: string): Promise<ClientOptions> {
  const url = options.url === undefined ? undefined : parseUrl(options.url)
  const { username = url?.username, password = url?.password } = options
  const tls = await tlsOptions(options.tls ?? url?.tls, directory)
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  }
}

function placeOf(options: ServerOptions): ClientOptions {
  const url = options.url === undefined ? undefined : parseUrl(options.url)
  const { host = url?.host ?? DEFAULT_HOST, port = url?.port ?? DEFAULT_PORT, db = url?.db ?? 0 } = options
  return { host, port, db }
}

function clusterSettings(cluster: ClusterOptions): ConstructorParameters<typeof Cluster>[1] {
  const { 'dns-lookup': lookup = true, 'use-srv-records': useSRVRecords = false } = cluster
  const { 'nat-map': natMap, 'slots-refresh-timeout': slotsRefreshTimeout = 1_000 } = cluster
  return {
    useSRVRecords,
    slotsRefreshTimeout,
    ...(lookup ? {} : { dnsLookup: (name, callback) => callback(null, name) }),
    ...(natMap === undefined ? {} : { natMap: addressesOf(natMap) }),
  }
}

async function sentinelSettings(
  sentinel: SentinelOptions,
  { tls }: ClientOptions,
  directory: string,
): Promise<ClientOptions> {
  const { name, nodes, username, password, 'nat-map': natMap, 'failover-detector': failoverDetector = false } = sentinel
  const sentinelTLS = await tlsOptions(sentinel.tls, directory)
  return {
    Connector: MasterConnector,
    name,
    sentinels: nodes.map((node) => parseAddress(node, DEFAULT_SENTINEL_PORT)),
    failoverDetector,
    // INFO tells whether the server that the sentinels named is a master.
    enableReadyCheck: true,
    enableTLSForSentinelMode: tls !== undefined,
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
    ...(sentinelTLS === undefined ? {} : { sentinelTLS }),
    ...(natMap === undefined ? {} : { natMap: addressesOf(natMap) }),
  }
}

function addressesOf(natMap: Readonly<Record<string, string>>): Record<string, Address> {
  return Object.fromEntries(Object.entries(natMap).map(([from, to]) => [from, parseAddress(to, DEFAULT_PORT)]))
}
