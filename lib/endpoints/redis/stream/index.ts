/** Floor 3. `endpoint-redis-stream`: Redis Streams with consumer groups, on a server, under Sentinel or in a cluster. */
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../../endpoint.ts'
import { Shared } from '../../common/shared.ts'
import { checkTlsFiles } from '../../common/tls.ts'
import { clientsFor, keyOf } from '../server.ts'
import { capabilities, check, hears } from './checks.ts'
import { StreamEndpoint, type StreamServer } from './endpoint.ts'
import { schema, type StreamOptions } from './options.ts'
import { Writer } from './writer.ts'

export type { StreamOptions }

export const endpointRedisStream = defineEndpoint<StreamOptions>({
  id: 'endpoint-redis-stream',
  description: 'Redis Streams: entries are read by a consumer group and acknowledged, what is sent here is added.',
  schema,
  check,
  capabilities,
  hears,
  plugin,
})

async function plugin(scope: FastifyInstance, context: EndpointContext<StreamOptions>): Promise<void> {
  await checkTlsFiles(context, context.options.tls, context.options.sentinel?.tls)
  const { options } = context
  // A stream is on the node that has its slot.
  const open = clientsFor(scope, context, true)
  const create = (): StreamServer => ({
    open,
    writer: new Shared((onLost) => new Writer({ open, pingInterval: options['ping-interval'], onLost })),
  })
  context.attach(new StreamEndpoint(context, context.shared(keyOf(options, true), create)))
}
