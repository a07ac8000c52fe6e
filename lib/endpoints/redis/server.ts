/** Floor 3. The server that an endpoint's options name: how to get clients for it, and who can share them. */
import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { EndpointContext } from '../../endpoint.ts'
import { errors, reasonOf } from '../../errors.ts'
import type { OpenClient } from './client.ts'
import { ownClients } from './clients.ts'
import { hostClients } from './host.ts'
import type { ServerOptions } from './options.ts'
import { tlsOptions } from './tls.ts'

/** @throws ARALDO_ERR_CONFIG where a file of the options cannot be read. */
export async function checkFiles({ name, options, directory }: EndpointContext<ServerOptions>): Promise<void> {
  // A file that is missing is a mistake of the config's: better to hear of it now than when the server is there.
  try {
    await Promise.all([tlsOptions(options.tls, directory), tlsOptions(options.sentinel?.tls, directory)])
  } catch (error) {
    throw new errors.CONFIG(`endpoint '${name}': ${reasonOf(error)}`, { cause: error })
  }
}

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

/** The same for endpoints that can share connections. A hash, because passwords are part of it. */
export function keyOf(options: ServerOptions, wholeCluster: boolean): string {
  const { url, host, port, tls, username, password, db, connection, cluster, sentinel } = options
  // Only a cluster has parts.
  const isWhole = wholeCluster && (connection !== undefined || cluster !== undefined)
  const identity = [url, host, port, tls, username, password, db, connection, cluster, sentinel, isWhole]
  const text = JSON.stringify([...identity.map((value) => value ?? null), options['ping-interval']])
  return createHash('sha256').update(text).digest('base64url')
}
