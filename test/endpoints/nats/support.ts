/** An endpoint of NATS without a relay around it: the test is the lanes. */
import fastify, { type FastifyBaseLogger } from 'fastify'
import type { Endpoint, EndpointType } from '../../../lib/endpoint.ts'
import { endpointNats, type NatsOptions } from '../../../lib/endpoints/nats/core/index.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { Message, type MessageInit } from '../../../lib/message.ts'
import type { Settle } from '../../../lib/types.ts'
import { registerEndpoint } from '../../support/endpoint.ts'
import type { Owner } from '../../support/process.ts'
import { until } from '../../support/wait.ts'

export const NATS_DEFAULTS: NatsOptions = {
  echo: false,
  confirm: 'none',
  headers: true,
  'allow-reserved': false,
  'ping-interval': 10_000,
}

export interface Incoming {
  readonly message: Message
  readonly text: string
  readonly settle: Settle | undefined
}

export interface Started {
  readonly endpoint: Endpoint
  /** What came in, in order. */
  readonly incoming: Incoming[]
  /** Resolves when so many have come in, with their payloads. */
  readonly texts: (count: number) => Promise<string[]>
  /** Resolves with what became of it; where the endpoint does not confirm, at once. */
  readonly send: (payload: string | Buffer, init?: Partial<MessageInit>) => Promise<Error | null>
  /** Resolves with the reason when it is down for one that matches. */
  readonly down: (reason: RegExp) => Promise<string>
  /** In order, as a relay does it. */
  readonly close: () => Promise<void>
}

export interface StartOptions {
  readonly name?: string
  readonly log?: FastifyBaseLogger
  /** Called with each that comes in. */
  readonly onIncoming?: (incoming: Incoming, endpoint: Endpoint) => void
  /** Whether it counts as started while it is not up. */
  readonly mayBeDown?: boolean
  /** Whether a route begins at it; true if left out. */
  readonly routed?: boolean
}

/** Resolves when the endpoint is up. */
export async function start<Options extends object>(
  t: Owner,
  type: EndpointType<Options>,
  options: Options,
  { name = 'orders', log, onIncoming, mayBeDown = false, routed = true }: StartOptions = {},
): Promise<Started> {
  const app = fastify({ logger: false })
  const own = log === undefined ? {} : { log }
  const endpoint = await registerEndpoint(app, type, options, { name, marshaller: raw, ...own })
  const incoming: Incoming[] = []
  if (routed) {
    endpoint.bind((message, settle) => {
      const each = { message, text: message.payload.toString(), settle }
      incoming.push(each)
      onIncoming?.(each, endpoint)
    })
  }
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
    send: (payload, init = {}) => sendTo(endpoint, payload, init),
    down: async (reason) => {
      await until(() => endpoint.state !== 'up' && reason.test(endpoint.reason ?? ''), {
        message: `a reason like ${reason.source}, not '${endpoint.reason}'`,
      })
      return endpoint.reason ?? ''
    },
    close,
  }
}

export function startNatsEndpoint(t: Owner, options: Partial<NatsOptions>, more: StartOptions = {}): Promise<Started> {
  return start(t, endpointNats, { ...NATS_DEFAULTS, ...options }, more)
}

function sendTo(endpoint: Endpoint, payload: string | Buffer, init: Partial<MessageInit>): Promise<Error | null> {
  return new Promise((resolve) => {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    const message = new Message({ source: 'test', marshaller: raw, payload: bytes, ...init })
    try {
      if (endpoint.capabilities.target?.confirm === true) endpoint.send(message, resolve)
      else {
        endpoint.send(message)
        resolve(null)
      }
    } catch (error) {
      resolve(error as Error)
    }
  })
}
