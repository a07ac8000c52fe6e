/** An endpoint of NATS without a relay around it: the test is the lanes. */
import { endpointNats, type NatsOptions } from '../../../lib/endpoints/nats/core/index.ts'
import { type AloneOptions, startAlone, type Started } from '../../support/alone.ts'
import type { Owner } from '../../support/process.ts'

export const NATS_DEFAULTS: NatsOptions = {
  echo: false,
  confirm: 'none',
  headers: true,
  'allow-reserved': false,
  'ping-interval': 10_000,
}

/** Resolves when the endpoint is up. */
export function startNatsEndpoint(t: Owner, options: Partial<NatsOptions>, more: AloneOptions = {}): Promise<Started> {
  return startAlone(t, endpointNats, { ...NATS_DEFAULTS, ...options }, more)
}
