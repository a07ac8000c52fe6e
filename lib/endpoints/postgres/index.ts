/** Floor 3. `endpoint-postgres`: LISTEN and NOTIFY, and tables as outboxes and inboxes. */
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../endpoint.ts'
import { checkTlsFiles } from '../common/tls.ts'
import { capabilities, check, hears } from './checks.ts'
import { schema, type PostgresOptions } from './options.ts'

export type { PostgresOptions }

export const endpointPostgres = defineEndpoint<PostgresOptions>({
  id: 'endpoint-postgres',
  description: 'PostgreSQL: LISTEN and NOTIFY; rows of a table are read and settled, what is sent here is inserted.',
  schema,
  check,
  capabilities,
  hears,
  packages: { pg: '8' },
  plugin,
})

async function plugin(_scope: FastifyInstance, context: EndpointContext<PostgresOptions>): Promise<void> {
  await checkTlsFiles(context, context.options.tls)
  const { PostgresEndpoint } = await import('./endpoint.ts')
  context.attach(new PostgresEndpoint(context))
}
