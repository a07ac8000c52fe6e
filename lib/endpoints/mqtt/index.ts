/** Floor 3. `endpoint-mqtt`: topics of a broker of MQTT 5 or 3.1.1. */
import type { FastifyInstance } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../endpoint.ts'
import { checkTlsFiles } from '../common/tls.ts'
import { capabilities, check, hears } from './checks.ts'
import { type MqttOptions, schema } from './options.ts'

export type { MqttOptions }

export const endpointMqtt = defineEndpoint<MqttOptions>({
  id: 'endpoint-mqtt',
  description: 'A broker of MQTT 5 or 3.1.1: subscribes to topics and acknowledges, publishes to topics.',
  packages: { mqtt: '5' },
  schema,
  check,
  capabilities,
  hears,
  plugin,
})

async function plugin(_scope: FastifyInstance, context: EndpointContext<MqttOptions>): Promise<void> {
  await checkTlsFiles(context, context.options.tls)
  const { MqttEndpoint } = await import('./endpoint.ts')
  context.attach(new MqttEndpoint(context))
}
