/** An endpoint of a real type without a relay around it, and without a server that listens: the test is the lanes. */
import fastify, { type FastifyBaseLogger } from 'fastify'
import type { Endpoint, EndpointType } from '../../lib/endpoint.ts'
import { raw } from '../../lib/marshallers/raw.ts'
import { type Marshaller, Message, type MessageInit } from '../../lib/message.ts'
import type { Settle } from '../../lib/types.ts'
import { registerEndpoint } from './endpoint.ts'
import type { Owner } from './process.ts'
import { until } from './wait.ts'

export interface Incoming {
  readonly message: Message
  readonly text: string
  /** Whether the endpoint wants to know what becomes of it. */
  readonly asks: boolean
  readonly settle: Settle
}

export interface Started {
  readonly endpoint: Endpoint
  /** What came in, in order; settled by the test. */
  readonly incoming: Incoming[]
  /** Resolves when so many have come in, with the payloads of all. */
  readonly texts: (count: number) => Promise<string[]>
  /** Resolves with what became of it; where the endpoint does not confirm, at once. */
  readonly send: (payload: string | Buffer, init?: Partial<MessageInit>) => Promise<Error | null>
  /** Resolves with the reason when it is not up for one that matches. */
  readonly down: (reason: RegExp, timeout?: number) => Promise<string>
  /** In order, as a relay does it. */
  readonly close: () => Promise<void>
}

export interface AloneOptions {
  readonly name?: string
  readonly marshaller?: Marshaller
  readonly log?: FastifyBaseLogger
  /** Called with each that comes in. */
  readonly onIncoming?: (incoming: Incoming, endpoint: Endpoint) => void
  /** Whether it counts as started while it is not up. */
  readonly mayBeDown?: boolean
  /** Whether a route begins at it; true if left out. */
  readonly routed?: boolean
  /** How long to wait for what should happen at once (milliseconds). */
  readonly patience?: number
}

/** Resolves when the endpoint is up. */
export async function startAlone<Options extends object>(
  t: Owner,
  type: EndpointType<Options>,
  options: Options,
  start: AloneOptions = {},
): Promise<Started> {
  const { name = 'orders', marshaller = raw, log, onIncoming, mayBeDown = false, routed = true } = start
  const { patience = 5_000 } = start
  const app = fastify({ logger: false })
  const given = log === undefined ? { name, marshaller } : { name, marshaller, log }
  const endpoint = await registerEndpoint(app, type, options, given)
  const incoming: Incoming[] = []
  if (routed) {
    endpoint.bind((message, settle) => {
      const asks = settle !== undefined
      const each = { message, text: message.payload.toString(), asks, settle: settle ?? (() => {}) }
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
  if (!mayBeDown) await endpoint.whenUp(patience)
  return {
    endpoint,
    incoming,
    texts: async (count) => {
      const message = `${count} messages`
      await until(() => incoming.length >= count, { timeout: patience, message })
      return incoming.map(({ text }) => text)
    },
    send: (payload, init = {}) => {
      const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
      return send(endpoint, new Message({ source: 'test', marshaller, payload: bytes, ...init }))
    },
    down: async (reason, timeout = patience) => {
      const message = `it to be down for ${reason}`
      await until(() => endpoint.state !== 'up' && reason.test(endpoint.reason ?? ''), { timeout, message })
      return endpoint.reason ?? ''
    },
    close,
  }
}

function send(endpoint: Endpoint, message: Message): Promise<Error | null> {
  return new Promise((resolve) => {
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
