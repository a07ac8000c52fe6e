/**
 * Floor 3. The console: one page that shows, live, the endpoints, the lanes and what went where. It asks nothing of
 * any other server, shows no payload, and changes nothing.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { EndpointHooks } from '../../endpoint.ts'
import type { RelayView } from '../../view.ts'
import type { Show } from '../text.ts'
import { Feed } from './feed.ts'
import { requireOwnHost, requireSameOrigin } from './guard.ts'
import { page, policy } from './page.ts'

export interface ConsoleOptions {
  /** `/console` by default; the events are at `/events` below it. */
  readonly path?: string
  /**
   * Names that the server is reached by: `['relay.example.com']`. Addresses and `localhost` need not be listed; under
   * any other name the console does not answer, so that a foreign page cannot pose as this server.
   */
  readonly hosts?: readonly string[]
  /** Hooks for the console's routes alone: authentication. */
  readonly hooks?: EndpointHooks
}

const HEADERS = {
  'content-security-policy': policy,
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** `GET {path}` and `GET {path}/events`. */
export function registerConsole(
  scope: FastifyInstance,
  relay: RelayView,
  { hosts = [], hooks = {} }: ConsoleOptions,
  path: string,
  show: Show,
): void {
  const feed = new Feed(relay, show)
  const known = new Set(hosts.map((host) => host.toLowerCase()))
  const guard = async ({ headers }: FastifyRequest): Promise<void> => requireOwnHost(headers, known)
  const options = { ...hooks, onRequest: [guard, ...[hooks.onRequest ?? []].flat()], logLevel: 'warn' as const }

  scope.get(path, { ...options, exposeHeadRoute: true }, async (_request, reply) => {
    reply.headers(HEADERS)
    return page
  })
  const events = `${path === '/' ? '' : path}/events`
  scope.get(events, { ...options, exposeHeadRoute: false }, async (request, reply) => {
    requireSameOrigin(request.headers)
    feed.add(reply)
  })
  // Before the server waits for its connections to end: a stream would never.
  scope.addHook('preClose', async () => feed.close())
}
