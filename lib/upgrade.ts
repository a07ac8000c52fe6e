/**
 * Floor 5. One server, several users of its WebSocket upgrades: this relay, other relays in sibling scopes, and a host
 * that has @fastify/websocket of its own, registered before or after.
 *
 * @fastify/websocket listens for `upgrade` on the server it is given and dispatches the request through Fastify, where
 * the routes of *every* registration recognise it by a mark on the request. So one dispatch serves all. Two would give
 * the second an error per connection. Therefore ours is given an emitter in place of the server, which is fed last, and
 * only with upgrades that nobody else has dispatched. The same emitter lets a server that never listens have WebSocket
 * routes: it is handed the upgrades that are for them (annex.ts).
 */
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import fastifyWebsocket, { type WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import { MAX_PAYLOAD } from './endpoints/websocket/options.ts'

/** Smaller messages (bytes) are not worth compressing. */
const DEFLATE_THRESHOLD = 1_024

/** What a client sends after its request belongs to the upgrade, too. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

export interface WebSocketSettings {
  /** Whether the server's upgrades are listened to from its start on; true if left out. */
  readonly listens?: boolean
}

/**
 * Makes WebSocket routes possible in `scope`: with the host's @fastify/websocket where there is one, else with ours.
 * @returns a function that begins to listen to the server's upgrades, where that was not done.
 */
export async function registerWebSocket(
  scope: FastifyInstance,
  { listens = true }: WebSocketSettings = {},
): Promise<() => void> {
  if (scope.hasDecorator('websocketServer')) return () => {}
  const upgrade = await register(scope, DEFAULT_OPTIONS, () => scope.server.off('upgrade', forward))
  function forward(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (upgradeOf(request) !== undefined) return
    upgrade(request, socket, head)
    endAfterResponse(socket)
  }
  const listen = (): void => {
    if (!scope.server.listeners('upgrade').includes(forward)) scope.server.on('upgrade', forward)
  }
  if (!listens) return listen
  // When the server is ready every plugin has added its listener: this one comes last.
  scope.addHook('onReady', async () => listen())
  return listen
}

/**
 * Makes WebSocket routes possible in a server that never listens.
 * @param host whose upgrades it is given; what the host's own @fastify/websocket checks is checked here, too.
 * @returns what dispatches an upgrade to its routes.
 */
export async function registerDetachedWebSocket(annex: FastifyInstance, host: FastifyInstance): Promise<Upgrade> {
  const { server: _server, path: _path, noServer: _noServer, ...options } = host.websocketServer.options
  return register(annex, { ...DEFAULT_OPTIONS, ...(options as ServerOptions) }, () => {})
}

type ServerOptions = NonNullable<WebsocketPluginOptions['options']>

const DEFAULT_OPTIONS: ServerOptions = {
  // Each endpoint enforces its own.
  maxPayload: MAX_PAYLOAD,
  // Endpoints that have not switched compression on do not let it be negotiated. Each message is compressed by itself,
  // so that one client's memory does not grow with what it was sent.
  perMessageDeflate: { threshold: DEFLATE_THRESHOLD, serverNoContextTakeover: true, clientNoContextTakeover: true },
}

async function register(scope: FastifyInstance, options: ServerOptions, onClose: () => void): Promise<Upgrade> {
  const upgrades = new EventEmitter()
  await scope.register(fastifyWebsocket, {
    options: { ...options, server: upgrades as unknown as Server },
    // The endpoints have closed their connections by now; one that is left would hold the server's end for ever.
    preClose: (done) => {
      onClose()
      for (const websocket of scope.websocketServer.clients) websocket.terminate()
      scope.websocketServer.close()
      done()
    },
    errorHandler: (err, socket, request) => {
      request.log.debug({ err }, 'WebSocket connection failed')
      socket.terminate()
    },
  })
  return (request, socket, head) => void upgrades.emit('upgrade', request, socket, head)
}

/** The connection of a request that some @fastify/websocket has dispatched: it leaves both on it, under symbols. */
export function upgradeOf(request: IncomingMessage): { socket: Duplex; head: Buffer } | undefined {
  const left = (name: string): unknown => {
    const symbol = Object.getOwnPropertySymbols(request).find(({ description }) => description === name)
    return symbol === undefined ? undefined : (request as unknown as Record<symbol, unknown>)[symbol]
  }
  const socket = left('ws-socket') as Duplex | undefined
  return socket === undefined ? undefined : { socket, head: left('ws-head') as Buffer }
}

/**
 * Ends the connection of an upgrade that was answered with an ordinary response. @fastify/websocket does it for routes
 * of its scope. The routes beside it, and those that there are not, would leave the connection open for ever: nobody
 * reads from it any more, so that nobody sees its end either.
 */
export function endAfterResponse(socket: Duplex): void {
  const response = (socket as Duplex & { _httpMessage?: ServerResponse | null })._httpMessage
  const end = (): void => {
    socket.end(() => socket.destroy())
  }
  if (response?.writableFinished === true) end()
  else response?.once('finish', end)
}
