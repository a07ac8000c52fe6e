/** Floor 3. `endpoint-amqp`: queues and exchanges of AMQP 0-9-1, as RabbitMQ has them. */
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../endpoint.ts'
import { checkTlsFiles } from '../common/tls.ts'
import { capabilities, check, hears } from './checks.ts'
import { type AmqpOptions, schema } from './options.ts'

export type { AmqpOptions }

export const endpointAmqp = defineEndpoint<AmqpOptions>({
  id: 'endpoint-amqp',
  description:
    'RabbitMQ (AMQP 0-9-1): a queue is read and acknowledged, what is sent here is published to an exchange and confirmed.',
  schema,
  packages: { amqplib: '2' },
  check,
  capabilities,
  hears,
  plugin,
})

async function plugin(_scope: FastifyInstance, context: EndpointContext<AmqpOptions>): Promise<void> {
  await checkTlsFiles(context, context.options.tls)
  const { AmqpEndpoint } = await import('./endpoint.ts')
  context.attach(new AmqpEndpoint(context))
}
