/** Floor 3. `endpoint-redis`: Redis Pub/Sub, on a server, under Sentinel or in a cluster. */
import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../endpoint.ts'
import { errors, reasonOf } from '../../errors.ts'
import { capabilities, check } from './checks.ts'
import type { OpenClient } from './client.ts'
import { ownClients } from './clients.ts'
import { RedisEndpoint } from './endpoint.ts'
import { hostClients } from './host.ts'
import { schema, type RedisOptions, type ServerOptions } from './options.ts'
import { SharedServer } from './shared.ts'
import { tlsOptions } from './tls.ts'

export type { RedisOptions }

export const endpointRedis = defineEndpoint<RedisOptions>({
  id: 'endpoint-redis',
  description: 'Channels of Redis Pub/Sub: what is published there comes in, what is sent here is published.',
  schema,
  check,
  capabilities,
  plugin,
})

async function plugin(scope: FastifyInstance, context: EndpointContext<RedisOptions>): Promise<void> {
  const { name, options, directory } = context
  // A file that is missing is a mistake of the config's: better to hear of it now than when the server is there.
  try {
    await Promise.all([tlsOptions(options.tls, directory), tlsOptions(options.sentinel?.tls, directory)])
  } catch (error) {
    throw new errors.CONFIG(`endpoint '${name}': ${reasonOf(error)}`, { cause: error })
  }
  const open = clientsFor(scope, options, directory)
  const server = context.shared(keyOf(options), () => new SharedServer(open, options['ping-interval']))
  context.attach(new RedisEndpoint(context, server))
}

function clientsFor(scope: FastifyInstance, options: ServerOptions, directory: string): OpenClient {
  const { connection, sharded } = options
  return connection === undefined ? ownClients(options, directory) : hostClients(scope, connection, sharded)
}

/** The same for endpoints that can share connections. A hash, because passwords are part of it. */
function keyOf(options: ServerOptions): string {
  const { url, host, port, tls, username, password, db, connection, cluster, sentinel } = options
  // Plain and sharded channels are on one connection, except in a cluster.
  const sharded = options.sharded && (connection !== undefined || cluster !== undefined)
  const identity = [url, host, port, tls, username, password, db, connection, cluster, sentinel, sharded]
  const text = JSON.stringify([...identity.map((value) => value ?? null), options['ping-interval']])
  return createHash('sha256').update(text).digest('base64url')
}
