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
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import { MAX_PAYLOAD } from './endpoints/websocket/options.ts'

/** Smaller messages (bytes) are not worth compressing. */
const DEFLATE_THRESHOLD = 1_024

/** Makes WebSocket routes possible in `scope`: with the host's @fastify/websocket where there is one, else with ours. */
export async function registerWebSocket(scope: FastifyInstance): Promise<void> {
  if (scope.hasDecorator('websocketServer')) return
  const upgrades = new EventEmitter()
  await scope.register(fastifyWebsocket, {
    options: {
      server: upgrades as unknown as Server,
      // Each endpoint enforces its own.
      maxPayload: MAX_PAYLOAD,
      // Endpoints that have not switched compression on do not let it be negotiated. Each message is compressed by
      // itself, so that one client's memory does not grow with what it was sent.
      perMessageDeflate: { threshold: DEFLATE_THRESHOLD, serverNoContextTakeover: true, clientNoContextTakeover: true },
    },
    // The endpoints have closed their connections by now; one that is left would hold the server's end for ever.
    preClose: (done) => {
      scope.server.off('upgrade', forward)
      for (const websocket of scope.websocketServer.clients) websocket.terminate()
      scope.websocketServer.close()
      done()
    },
    errorHandler: (err, socket, request) => {
      request.log.debug({ err }, 'WebSocket connection failed')
      socket.terminate()
    },
  })

  function forward(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (isDispatched(request)) return
    upgrades.emit('upgrade', request, socket, head)
    endAfterResponse(socket)
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

/**
 * Ends the connection of an upgrade that was answered with an ordinary response. @fastify/websocket does it for routes
 * of its scope. The routes beside it, and those that there are not, would leave the connection open for ever: nobody
 * reads from it any more, so that nobody sees its end either.
 */
function endAfterResponse(socket: Duplex): void {
  const response = (socket as Duplex & { _httpMessage?: ServerResponse | null })._httpMessage
  const end = (): void => {
    socket.end(() => socket.destroy())
  }
  if (response?.writableFinished === true) end()
  else response?.once('finish', end)
}
