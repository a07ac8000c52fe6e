/** Floor 3. `endpoint-nats`: subjects of NATS, without JetStream. */
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../../endpoint.ts'
import { checkTlsFiles } from '../../common/tls.ts'
import { capabilities, check, hears } from './checks.ts'
import { type NatsOptions, schema } from './options.ts'

export type { NatsOptions }

export const endpointNats = defineEndpoint<NatsOptions>({
  id: 'endpoint-nats',
  description: 'Subjects of NATS: what is published there comes in, what is sent here is published.',
  schema,
  packages: { '@nats-io/transport-node': '3' },
  check,
  capabilities,
  hears,
  plugin,
})

async function plugin(_scope: FastifyInstance, context: EndpointContext<NatsOptions>): Promise<void> {
  const { name, options, directory } = context
  const [{ NatsEndpoint }, { checkLogin }] = await Promise.all([import('./endpoint.ts'), import('../login.ts')])
  await checkTlsFiles(context, options.tls)
  await checkLogin(name, options, directory)
  context.attach(new NatsEndpoint(context))
}
