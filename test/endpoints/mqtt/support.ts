/** An endpoint of MQTT without a relay around it: the test is the lanes. */
import { readFileSync } from 'node:fs'
import { endpointMqtt, type MqttOptions } from '../../../lib/endpoints/mqtt/index.ts'
import { type AloneOptions, startAlone, type Started } from '../../support/alone.ts'
import type { MosquittoServer } from '../../support/mosquitto.ts'
import { type Owner, runOrThrow } from '../../support/process.ts'
import { find } from '../../support/require.ts'
import type { Server } from '../../support/server.ts'

export const DEFAULTS = {
  version: 5,
  keepalive: 10_000,
  qos: 1,
  'max-packet-size': 16 * 1024 * 1024,
  echo: false,
  retain: false,
  'confirm-timeout': 30_000,
  'allow-reserved': false,
} as const satisfies Partial<MqttOptions>

/** Resolves when the endpoint is up. */
export function startMqtt(
  t: Owner,
  options: Partial<MqttOptions> & { readonly url: string },
  more: AloneOptions = {},
): Promise<Started> {
  return startAlone(t, endpointMqtt, { ...DEFAULTS, ...options }, more)
}

/** Publishes with mosquitto_pub; resolves when the broker has confirmed it. */
export async function publish(server: Server, topic: string, payload: string, ...args: string[]): Promise<void> {
  const qos = args.includes('-q') ? [] : ['-q', '1']
  await runOrThrow(find('mosquitto_pub'), [
    ...['-V', 'mqttv5', '-h', server.host, '-p', String(server.port), '-t', topic, '-m', payload],
    ...qos,
    ...args,
  ])
}

/** Packet identifiers of the acknowledgements that the broker has got of a client, in order; from its log. */
export function acknowledgements({ logFile }: MosquittoServer, clientId: string): number[] {
  if (logFile === undefined) throw new Error('the broker writes no log: start it with one')
  const pattern = new RegExp(`Received (?:PUBACK|PUBREC) from ${clientId} \\(Mid: (\\d+)`, 'g')
  return Array.from(readFileSync(logFile, 'latin1').matchAll(pattern), ([, id]) => Number(id))
}
