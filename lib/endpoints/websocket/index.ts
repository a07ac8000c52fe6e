/**
 * Floor 3. `endpoint-websocket`: browsers. A source of what they send, and a target that sends to all of them, or to
 * those of one path.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { STATUS_CODES } from 'node:http'
import { defineEndpoint, type EndpointContext } from '../../endpoint.ts'
import { type AraldoError, errors, reasonOf } from '../../errors.ts'
import { WebSocketEndpoint } from './endpoint.ts'
import { chooseSubprotocol } from './handshake.ts'
import { check, schema, type WebSocketOptions } from './options.ts'
import { compileTopic } from './topic.ts'

export type { WebSocketOptions }

/** No page for @fastify/swagger: a WebSocket is no operation of OpenAPI's. */
const HIDDEN: FastifySchema & { hide: true } = { hide: true }

export const endpointWebSocket = defineEndpoint<WebSocketOptions>({
  id: 'endpoint-websocket',
  description: 'Browsers and other WebSocket clients that connect to this server.',
  schema,
  websocket: true,
  adoptsRoutes: true,
  check,
  capabilities: ({ topic, acknowledge }) => ({
    source: { ack: acknowledge === 'required', pause: true, replay: false, headers: true, topics: true },
    target: { confirm: false, headers: false, topics: topic !== undefined, echo: false, clients: true },
  }),
  plugin,
})

async function plugin(scope: FastifyInstance, context: EndpointContext<WebSocketOptions>): Promise<void> {
  const { name, options, hooks } = context
  const topic = options.topic === undefined ? undefined : compileTopic(options.topic, name)
  const endpoint = new WebSocketEndpoint(context, { prefix: scope.prefix, topic })

  // First, so that a request that is refused costs no authentication.
  function admit(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const error = request.ws ? endpoint.refusal(request) : new errors.UPGRADE_REQUIRED(name)
    if (error === undefined) done()
    else refuse(reply, error)
  }
  // Last, and followed by the upgrade at once: hooks between the two may have taken their time.
  function admitFinally(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    if (!options['permessage-deflate']) delete request.raw.headers['sec-websocket-extensions']
    chooseSubprotocol(request)
    admit(request, reply, done)
  }

  try {
    scope.route({
      method: 'GET',
      url: options.path,
      exposeHeadRoute: false,
      schema: HIDDEN,
      onRequest: [admit, ...listOf(hooks.onRequest)],
      preValidation: listOf(hooks.preValidation),
      preHandler: [...listOf(hooks.preHandler), admitFinally],
      // Never called: whatever is no upgrade is refused before.
      handler: (_request, reply) => refuse(reply, new errors.UPGRADE_REQUIRED(name)),
      wsHandler: (websocket, request) => {
        // The server's own way to end its connections knows no codes; this endpoint's are its own to close.
        scope.websocketServer.clients.delete(websocket)
        endpoint.accept(websocket, request)
      },
    })
  } catch (cause) {
    const taken = (cause as { code?: unknown }).code === 'FST_ERR_DUPLICATED_ROUTE'
    const why = taken
      ? `'${options.path}' is taken by another route of this server; give it another path`
      : reasonOf(cause)
    throw new errors.CONFIG(`endpoint '${name}': path: ${why}`, { cause })
  }
  if (options['permessage-deflate'] && !scope.websocketServer.options.perMessageDeflate) {
    context.log.warn("permessage-deflate is off in the host's own @fastify/websocket: nothing will be compressed")
  }
  context.attach(endpoint)
}

/** Answered here and not thrown: a crowd that may not connect must not fill the host's error log. */
function refuse(reply: FastifyReply, error: AraldoError): void {
  const { statusCode, code, message } = error
  void reply.code(statusCode).send({ statusCode, code, error: STATUS_CODES[statusCode], message })
}

function listOf<Hook>(hooks: Hook | Hook[] | undefined): Hook[] {
  if (hooks === undefined) return []
  return Array.isArray(hooks) ? hooks : [hooks]
}
