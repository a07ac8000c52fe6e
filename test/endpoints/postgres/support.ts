/** An endpoint of PostgreSQL without a relay around it: the test is the lanes. */
import { endpointPostgres, type PostgresOptions } from '../../../lib/endpoints/postgres/index.ts'
import { type AloneOptions, startAlone, type Started } from '../../support/alone.ts'
import type { Owner } from '../../support/process.ts'

const DEFAULTS = {
  'application-name': 'araldo',
  'statement-timeout': 10_000,
  'ping-interval': 10_000,
  'on-settled': 'delete',
  'poll-interval': 5_000,
  batch: 256,
  deduplicate: false,
  create: false,
} as const

/** Without those that a config fills in. */
export type Options = Partial<PostgresOptions>

/** As the schema fills them in. */
export function optionsOf(options: Options): PostgresOptions {
  return { ...DEFAULTS, ...options }
}

/** Resolves when the endpoint is up. */
export function startPostgresEndpoint(t: Owner, options: Options, more: AloneOptions = {}): Promise<Started> {
  return startAlone(t, endpointPostgres, optionsOf(options), more)
}

export function codeOf(error: Error | null): string | undefined {
  return (error as { code?: string } | null)?.code
}
