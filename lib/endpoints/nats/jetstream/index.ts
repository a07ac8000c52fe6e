/** Floor 3. `endpoint-jetstream`: streams of NATS, read by a durable pull consumer, written to with acknowledgements. */
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../../endpoint.ts'
import { checkTlsFiles } from '../../common/tls.ts'
import { capabilities, check, hears } from './checks.ts'
import { type JetStreamOptions, schema } from './options.ts'

export type { JetStreamOptions }

export const endpointJetStream = defineEndpoint<JetStreamOptions>({
  id: 'endpoint-jetstream',
  description: 'NATS JetStream: messages are read by a durable consumer and acknowledged, what is sent here is stored.',
  schema,
  packages: { '@nats-io/transport-node': '3', '@nats-io/jetstream': '3' },
  check,
  capabilities,
  hears,
  plugin,
})

async function plugin(_scope: FastifyInstance, context: EndpointContext<JetStreamOptions>): Promise<void> {
  const { name, options, directory } = context
  const [{ JetStreamEndpoint }, { checkLogin }] = await Promise.all([import('./endpoint.ts'), import('../login.ts')])
  await checkTlsFiles(context, options.tls)
  await checkLogin(name, options, directory)
  context.attach(new JetStreamEndpoint(context))
}
