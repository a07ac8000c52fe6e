/** What the lanes of a relay promise, as `source>target`. */
import type { FastifyInstance } from 'fastify'

export function guaranteesOf({ araldo }: FastifyInstance): Record<string, string> {
  const all = araldo.routes.flatMap(({ source, lanes }) =>
    lanes.map(({ target, guarantee }) => [`${source}>${target}`, guarantee] as const),
  )
  return Object.fromEntries(all)
}
