/** An endpoint of MQTT without a relay around it: the test is the lanes. */
import { readFileSync } from 'node:fs'
import fastify from 'fastify'
import type { Endpoint } from '../../../lib/endpoint.ts'
import { endpointMqtt, type MqttOptions } from '../../../lib/endpoints/mqtt/index.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { type Marshaller, Message, type MessageInit } from '../../../lib/message.ts'
import type { Settle } from '../../../lib/types.ts'
import { registerEndpoint } from '../../support/endpoint.ts'
import type { MosquittoServer } from '../../support/mosquitto.ts'
import { type Owner, runOrThrow } from '../../support/process.ts'
import { find } from '../../support/require.ts'
import type { Server } from '../../support/server.ts'
import { until } from '../../support/wait.ts'

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

export interface Incoming {
  readonly message: Message
  readonly text: string
  readonly settle: Settle | undefined
}

export interface Started {
  readonly endpoint: Endpoint
  /** What came in, in order; settled by the test. */
  readonly incoming: Incoming[]
  /** Resolves when so many have come in, with their payloads. */
  readonly texts: (count: number) => Promise<string[]>
  /** Resolves with what became of it; at QoS 0, at once. */
  readonly send: (payload: string | Buffer, init?: Partial<MessageInit>) => Promise<Error | null>
  /** Resolves with the reason when it is not up for one that matches. */
  readonly down: (reason: RegExp, timeout?: number) => Promise<string>
  /** In order, as a relay does it. */
  readonly close: () => Promise<void>
}

export interface StartOptions {
  readonly name?: string
  /** Called with each that comes in. */
  readonly onIncoming?: (incoming: Incoming) => void
  /** Whether it counts as started while it is not up. */
  readonly mayBeDown?: boolean
  readonly marshaller?: Marshaller
}

/** Resolves when the endpoint is up. */
export async function startMqtt(
  t: Owner,
  options: Partial<MqttOptions> & { readonly url: string },
  { name = 'orders', onIncoming, mayBeDown = false, marshaller = raw }: StartOptions = {},
): Promise<Started> {
  const app = fastify({ logger: false })
  const endpoint = await registerEndpoint(app, endpointMqtt, { ...DEFAULTS, ...options }, { name, marshaller })
  const incoming: Incoming[] = []
  endpoint.bind((message, settle) => {
    const each = { message, text: message.payload.toString(), settle }
    incoming.push(each)
    onIncoming?.(each)
  })
  const close = async (): Promise<void> => {
    await endpoint.pause()
    await endpoint.stop()
    await app.close()
  }
  t.after(close)
  endpoint.start()
  if (!mayBeDown) await endpoint.whenUp(5_000)
  return {
    endpoint,
    incoming,
    texts: async (count) => {
      await until(() => incoming.length >= count, { message: `${count} messages` })
      return incoming.map(({ text }) => text)
    },
    send: (payload, init = {}) =>
      new Promise((resolve) => {
        const message = new Message({ source: 'test', marshaller, payload: Buffer.from(payload as string), ...init })
        try {
          const confirms = endpoint.capabilities.target?.confirm === true
          endpoint.send(message, confirms ? resolve : undefined)
          if (!confirms) resolve(null)
        } catch (error) {
          resolve(error as Error)
        }
      }),
    down: async (reason, timeout = 5_000) => {
      await until(() => endpoint.state !== 'up' && reason.test(endpoint.reason ?? ''), {
        timeout,
        message: `it to be down for ${reason}`,
      })
      return endpoint.reason ?? ''
    },
    close,
  }
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
