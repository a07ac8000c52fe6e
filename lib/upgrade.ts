/**
 * Floor 5. One server, several users of its WebSocket upgrades: this relay, other relays in sibling scopes, and a host
 * that has @fastify/websocket of its own, registered before or after.
 *
 * @fastify/websocket listens for `upgrade` on the server it is given and dispatches the request through Fastify, where
 * the routes of *every* registration recognise it by a mark on the request. So one dispatch serves all. Two would give
 * the second an error per connection. Therefore ours is given an emitter in place of the server, which is fed last, and
 * only with upgrades that nobody else has dispatched.
 */
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type { ServerOptions } from 'ws'

/** How long a browser that was sent a close frame may take to answer it (milliseconds). */
const CLOSE_TIMEOUT = 2_000
/** No endpoint's `max-payload` can exceed this many bytes; each endpoint enforces its own. */
const MAX_PAYLOAD = 64 * 1024 * 1024
/** Smaller messages (bytes) are not worth compressing. */
const DEFLATE_THRESHOLD = 1_024

/** Makes WebSocket routes possible in `scope`: with the host's @fastify/websocket where there is one, else with ours. */
export async function registerWebSocket(scope: FastifyInstance): Promise<void> {
  if (scope.hasDecorator('websocketServer')) return
  const upgrades = new EventEmitter()
  const server: ServerOptions & { closeTimeout: number } = {
    server: upgrades as unknown as Server,
    maxPayload: MAX_PAYLOAD,
    closeTimeout: CLOSE_TIMEOUT,
    // Endpoints that have not switched compression on do not let it be negotiated.
    perMessageDeflate: { threshold: DEFLATE_THRESHOLD },
  }
  await scope.register(fastifyWebsocket, {
    options: server,
    // What becomes of an endpoint's sockets is the endpoint's business, and settled before this runs.
    preClose: (done) => {
      scope.server.off('upgrade', forward)
      scope.websocketServer.close()
      done()
    },
    errorHandler: (err, socket, request) => {
      request.log.debug({ err }, 'WebSocket connection failed')
      socket.terminate()
    },
  })

  function forward(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!isDispatched(request)) upgrades.emit('upgrade', request, socket, head)
  }
  // When the server is ready every plugin has added its listener: this one comes last.
  scope.addHook('onReady', async () => {
    scope.server.on('upgrade', forward)
  })
}

/** Whether some @fastify/websocket has dispatched this request: it leaves the socket on it, under a symbol. */
function isDispatched(request: IncomingMessage): boolean {
  return Object.getOwnPropertySymbols(request).some((symbol) => symbol.description === 'ws-socket')
}
