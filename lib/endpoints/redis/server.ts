/** Floor 3. The server that an endpoint's options name: how to get clients for it, and who can share them. */
import type { FastifyInstance } from 'fastify'
import type { EndpointContext } from '../../endpoint.ts'
import { identityOf } from '../common/shared.ts'
import type { OpenClient } from './client.ts'
import { ownClients } from './clients.ts'
import { hostClients } from './host.ts'
import type { ServerOptions } from './options.ts'

/** @param wholeCluster whether, of a cluster, all nodes are needed: else any one will do. */
export function clientsFor(
  scope: FastifyInstance,
  { options, directory }: EndpointContext<ServerOptions>,
  wholeCluster: boolean,
): OpenClient {
  const { connection } = options
  return connection === undefined
    ? ownClients(options, directory, wholeCluster)
    : hostClients(scope, connection, wholeCluster)
}

/** The same for endpoints that can share connections. */
export function keyOf(options: ServerOptions, wholeCluster: boolean): string {
  const { url, host, port, tls, username, password, db, connection, cluster, sentinel } = options
  // Only a cluster has parts.
  const isWhole = wholeCluster && (connection !== undefined || cluster !== undefined)
  const identity = [url, host, port, tls, username, password, db, connection, cluster, sentinel, isWhole]
  return identityOf([...identity, options['ping-interval']])
}
