/**
 * Floor 3. Health for monitors: `live` says that the process serves, `ready` that every endpoint is up and every
 * durable buffer can be written. Neither says anything that a stranger must not know: names, states, reasons and the config's hash only.
 */
import type { FastifyInstance } from 'fastify'
import type { RelayView } from '../view.ts'
import type { Show } from './text.ts'

export interface HealthOptions {
  /** Before `/live` and `/ready`. `/health` by default. */
  readonly prefix?: string
}

/** Characters of a reason. */
const MAX_REASON = 300

const text = { type: 'string' }
const endpoint = { type: 'object', properties: { name: text, type: text, state: text, reason: text } }
const status = { type: 'object', properties: { status: text } }
const ready = { type: 'object', properties: { status: text, config: text } }
const unavailable = {
  type: 'object',
  properties: { status: text, reason: text, config: text, endpoints: { type: 'array', items: endpoint } },
}

/** `GET {prefix}/live` and `GET {prefix}/ready`. */
export function registerHealth(scope: FastifyInstance, relay: RelayView, prefix: string, show: Show): void {
  // A probe a second must not fill the log.
  const options = { logLevel: 'warn', exposeHeadRoute: true } as const

  scope.get(`${prefix}/live`, { ...options, schema: { response: { 200: status } } }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { status: 'live' }
  })

  const schema = { response: { 200: ready, 503: unavailable } }
  scope.get(`${prefix}/ready`, { ...options, schema }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    const endpoints = [...relay.endpoints.values()]
      .filter(({ state }) => state !== 'up')
      .map(({ name, type, state, reason = state }) => ({ name, type, state, reason: show(reason, MAX_REASON) }))
    const { hash: config } = relay.configuration
    if (relay.closing) {
      reply.code(503)
      return { status: 'closing', reason: 'the relay is shutting down', config, endpoints }
    }
    const disks = failingDisks(relay)
    if (endpoints.length === 0 && disks.length === 0) return { status: 'ready', config }
    reply.code(503)
    const parts: string[] = []
    if (endpoints.length > 0) parts.push(`not up: ${endpoints.map(({ name }) => name).join(', ')}`)
    if (disks.length > 0) parts.push(`the disk takes nothing in: ${disks.join(', ')}`)
    return { status: 'unavailable', reason: parts.join('; '), config, endpoints }
  })
}

/** Lanes with a durable buffer that cannot be written: what comes in for them is not acknowledged. */
function failingDisks({ routes }: RelayView): string[] {
  return routes.flatMap(({ source, lanes }) =>
    lanes.filter(({ outbox }) => outbox.disk?.failure !== undefined).map(({ target }) => `${source} → ${target}`),
  )
}
