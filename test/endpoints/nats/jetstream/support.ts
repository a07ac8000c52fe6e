/** An endpoint of JetStream without a relay around it, and what its tests need of a server. */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { endpointJetStream, type JetStreamOptions } from '../../../../lib/endpoints/nats/jetstream/index.ts'
import { type AloneOptions, startAlone, type Started } from '../../../support/alone.ts'
import type { NatsServer } from '../../../support/nats.ts'
import type { Owner } from '../../../support/process.ts'

export const JETSTREAM_DEFAULTS: JetStreamOptions = {
  start: 'all',
  batch: 256,
  'max-ack-pending': 1_000,
  'max-pending-bytes': 64 * 1024 * 1024,
  'ack-wait': 30_000,
  deduplicate: true,
  'allow-reserved': false,
  'ping-interval': 10_000,
}

export function startJetStream(
  t: Owner,
  options: Partial<JetStreamOptions>,
  more: AloneOptions = {},
): Promise<Started> {
  return startAlone(t, endpointJetStream, { ...JETSTREAM_DEFAULTS, ...options }, more)
}

let places = 0

/** Another client of the server, and a name for a stream of the test's own. */
export async function outside(
  t: Owner,
  nats: NatsServer,
): Promise<{ name: string; client: NatsConnection; manager: JetStreamManager }> {
  const client = await connect({
    servers: nats.url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
    reconnectJitter: 0,
  })
  t.after(() => client.close())
  return { name: `stream${places++}`, client, manager: await jetstreamManager(client) }
}

export const numbers = (count: number): string[] => Array.from({ length: count }, (_, number) => String(number))
