/** A relay in this process, through the plugin, with endpoints whose every move the test makes. */
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { defineEndpoint, type EndpointType } from '../../lib/endpoint.ts'
import araldo, { type AraldoOptions, type ConfigObject } from '../../lib/plugin.ts'
import { TestEndpoint } from './core.ts'
import type { Owner } from './process.ts'

/** A config: endpoints by name with their type's id and parameters, and routes. */
export function configOf(
  endpoints: Readonly<Record<string, { readonly id: string; readonly [parameter: string]: unknown }>>,
  routes: Readonly<Record<string, readonly unknown[]>>,
  global?: object,
): ConfigObject {
  const declared = Object.entries(endpoints).map(([name, parameters]) => Object.assign({ name }, parameters))
  return { ...(global && { global }), plugins: { 'araldo.endpoints.endpoint': declared }, routes }
}

/** A type of {@link TestEndpoint}s, and those that were made of it, by name. */
export function testType({ confirm = false, pause = false } = {}): {
  type: EndpointType
  made: Map<string, TestEndpoint>
} {
  const made = new Map<string, TestEndpoint>()
  const type = defineEndpoint<object>({
    id: 'endpoint-test',
    schema: { type: 'object', properties: {} },
    capabilities: () => ({
      source: { ack: true, pause, replay: false, headers: true, topics: true },
      target: { confirm, headers: true, topics: true, echo: false },
    }),
    plugin: async (_scope, context) => {
      const endpoint = new TestEndpoint(context)
      made.set(context.name, endpoint)
      context.attach(endpoint)
    },
  })
  return { type, made }
}

/** A server that ends with the test, the relay in it. Neither listening nor ready. */
export async function relayServer(
  t: Owner,
  options: AraldoOptions,
  server: FastifyServerOptions = {},
): Promise<FastifyInstance> {
  const fastify = Fastify(server)
  t.after(() => fastify.close())
  await fastify.register(araldo, options)
  return fastify
}
