/**
 * Floor 3. Counts HTTP requests: by method, by the route's pattern (never the path that was asked for) and by the
 * class of the status, so that no client can make up labels.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route hands its requests over to others. */
    araldoPassage?: true
  }
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export interface RequestLabels {
  readonly method: string
  readonly route: string
}

export interface RequestCount extends RequestLabels {
  /** `2xx` */
  readonly status: string
  count: number
}

export class RequestCounts {
  readonly #counts = new Map<string, RequestCount>()
  /** Told of each answered request and its duration in seconds. */
  observe: ((labels: RequestLabels, seconds: number) => void) | undefined;

  [Symbol.iterator](): IterableIterator<RequestCount> {
    return this.#counts.values()
  }

  readonly onResponse = (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    // Whom it was handed over to counts it.
    if (request.routeOptions.config.araldoPassage === true) return done()
    const method = METHODS.has(request.method) ? request.method : 'OTHER'
    const route = request.routeOptions.url ?? 'unmatched'
    const status = `${Math.floor(reply.statusCode / 100)}xx`
    const key = `${method} ${status} ${route}`
    const known = this.#counts.get(key)
    if (known === undefined) this.#counts.set(key, { method, route, status, count: 1 })
    else known.count++
    this.observe?.({ method, route }, reply.elapsedTime / 1_000)
    done()
  }
}

/**
 * Counts the requests of `instance` and of every scope that is made in it from now on: hooks are handed down when a
 * scope is made, so this comes before the relay's own scope.
 */
export function countRequests(instance: FastifyInstance): RequestCounts {
  const counts = new RequestCounts()
  instance.addHook('onResponse', counts.onResponse)
  return counts
}
