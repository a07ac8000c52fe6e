/** Floor 3. What the request of a client says of the connection that it becomes: where it is, and what it speaks. */
import { SUBPROTOCOL } from '../common/araldo-v1/content.ts'
import { randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Headers } from '../../types.ts'

/** A connection's id can't be guessed. */
const ID_BYTES = 15

/**
 * A request's path without its query, percent-decoded; undefined where a part of it has an encoded slash: two paths
 * must not become one.
 */
export function decodePath(url: string): string | undefined {
  const end = url.search(/[?#]/)
  const path = end === -1 ? url : url.slice(0, end)
  if (!path.includes('%')) return path
  try {
    const parts = path.split('/').map(decodeURIComponent)
    return parts.some((part) => part.includes('/')) ? undefined : parts.join('/')
  } catch {
    return undefined // Fastify refuses such a path before we see it.
  }
}

/**
 * The topic of all messages of the connection: its path, which can be decoded.
 * @param prefix of the scope that the route is in; no part of the topic.
 */
export function topicOf(request: FastifyRequest, prefix: string): string {
  const path = decodePath(request.raw.url as string) as string
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path
}

/** Of every message of the connection: its id, and the route's parameters. */
export function headersOf(request: FastifyRequest): Headers {
  const headers: Record<string, string> = { connection_id: randomBytes(ID_BYTES).toString('base64url') }
  for (const [name, value] of Object.entries(request.params as object)) {
    if (typeof value === 'string') headers[`param_${name}`] = value
  }
  return Object.freeze(headers)
}

/** Whether the client asks for `araldo.v1`, perhaps among others. RFC 6455 section 4.1. */
export function asksForAcknowledgements({ raw }: FastifyRequest): boolean {
  const offered = raw.headers['sec-websocket-protocol']
  return offered?.split(',').some((name) => name.trim() === SUBPROTOCOL) === true
}

/** Leaves the server only `araldo.v1` to choose, where the client asks for it: ws takes the first that is offered. */
export function chooseSubprotocol(request: FastifyRequest): void {
  if (asksForAcknowledgements(request)) request.raw.headers['sec-websocket-protocol'] = SUBPROTOCOL
}
