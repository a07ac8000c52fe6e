/** Floor 3. `endpoint-http`: a source of what is posted to a path of this server, and a target that posts to a URL. */
import type { FastifyInstance, FastifySchema } from 'fastify'
import { defineEndpoint, type EndpointContext } from '../../endpoint.ts'
import { errors, reasonOf } from '../../errors.ts'
import { checkTlsFiles } from '../common/tls.ts'
import { capabilities, check } from './checks.ts'
import { HttpEndpoint, type HttpPlace } from './endpoint.ts'
import { type HttpOptions, schema } from './options.ts'
import type { Reception } from './reception.ts'
import { createSigner } from './signature.ts'

export type { HttpOptions }

/** No page for @fastify/swagger: what a body holds is the lanes' concern. */
const HIDDEN: FastifySchema & { hide: true } = { hide: true }

export const endpointHttp = defineEndpoint<HttpOptions>({
  id: 'endpoint-http',
  description:
    'HTTP: what is posted to a path of this server comes in, what is sent here is posted to a URL (webhook).',
  schema,
  check,
  capabilities,
  adoptsRoutes: true,
  plugin,
})

async function plugin(scope: FastifyInstance, context: EndpointContext<HttpOptions>): Promise<void> {
  await checkTlsFiles(context, context.options.tls)
  const createWebhook = await webhookFactory(context.options)
  const endpoint = new HttpEndpoint(context, { prefix: scope.prefix, createWebhook })
  if (endpoint.reception !== undefined) addRoute(scope, context, endpoint.reception)
  context.attach(endpoint)
}

/** Who sends nothing loads no client. */
async function webhookFactory({ url, signature }: HttpOptions): Promise<HttpPlace['createWebhook']> {
  if (url === undefined) return undefined
  const { Webhook } = await import('./webhook.ts')
  const signer = signature === undefined ? undefined : createSigner(signature)
  return (init) => new Webhook({ ...init, url: new URL(url), signer })
}

function addRoute(scope: FastifyInstance, context: EndpointContext<HttpOptions>, reception: Reception): void {
  const { name, options, hooks } = context
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', reception.parse)
  try {
    scope.route({
      method: [...options.methods],
      url: options.path as string,
      schema: HIDDEN,
      onRequest: [reception.admit, ...listOf(hooks.onRequest)],
      preValidation: [reception.verify, ...listOf(hooks.preValidation)],
      preHandler: listOf(hooks.preHandler),
      handler: reception.handle,
    })
  } catch (cause) {
    const taken = (cause as { code?: unknown }).code === 'FST_ERR_DUPLICATED_ROUTE'
    const why = taken
      ? `'${options.path}' is taken by another route of this server; give it another path`
      : reasonOf(cause)
    throw new errors.CONFIG(`endpoint '${name}': path: ${why}`, { cause })
  }
}

function listOf<Hook>(hooks: Hook | Hook[] | undefined): Hook[] {
  if (hooks === undefined) return []
  return Array.isArray(hooks) ? hooks : [hooks]
}
