/** Floor 3. `endpoint-redis`: Redis Pub/Sub, on a server, under Sentinel or in a cluster. */
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../../endpoint.ts'
import { checkTlsFiles } from '../../common/tls.ts'
import { clientsFor, keyOf } from '../server.ts'
import { hears } from './channels.ts'
import { capabilities, check } from './checks.ts'
import { RedisEndpoint } from './endpoint.ts'
import { schema, type RedisOptions } from './options.ts'
import { SharedServer } from './server.ts'

export type { RedisOptions }

export const endpointRedis = defineEndpoint<RedisOptions>({
  id: 'endpoint-redis',
  description: 'Channels of Redis Pub/Sub: what is published there comes in, what is sent here is published.',
  schema,
  check,
  capabilities,
  hears,
  plugin,
})

async function plugin(scope: FastifyInstance, context: EndpointContext<RedisOptions>): Promise<void> {
  await checkTlsFiles(context, context.options.tls, context.options.sentinel?.tls)
  const { options } = context
  // The channels of sharded Pub/Sub are on the nodes that have their slots.
  const open = clientsFor(scope, context, options.sharded)
  const create = (): SharedServer => new SharedServer(open, options['ping-interval'])
  context.attach(new RedisEndpoint(context, context.shared(keyOf(options, options.sharded), create)))
}
