/** An endpoint of PostgreSQL without a relay around it: the test is the lanes. */
import fastify, { type FastifyBaseLogger } from 'fastify'
import type { Endpoint } from '../../../lib/endpoint.ts'
import { endpointPostgres, type PostgresOptions } from '../../../lib/endpoints/postgres/index.ts'
import { raw } from '../../../lib/marshallers/raw.ts'
import { type Marshaller, Message, type MessageInit } from '../../../lib/message.ts'
import type { Settle } from '../../../lib/types.ts'
import { registerEndpoint } from '../../support/endpoint.ts'
import type { Owner } from '../../support/process.ts'
import { until } from '../../support/wait.ts'

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

export interface Incoming {
  readonly message: Message
  readonly text: string
  readonly settle: Settle
}

export interface StartedPostgres {
  readonly endpoint: Endpoint
  /** What came in, in order; settled by the test. */
  readonly incoming: Incoming[]
  /** Resolves when so many have come in, with their payloads. */
  readonly texts: (count: number) => Promise<string[]>
  /** Resolves with what became of it. */
  readonly send: (payload: string | Buffer, init?: Partial<MessageInit>) => Promise<Error | null>
  /** In order, as a relay does it. */
  readonly close: () => Promise<void>
}

export interface StartOptions {
  readonly name?: string
  readonly marshaller?: Marshaller
  readonly log?: FastifyBaseLogger
  /** Called with each that comes in. */
  readonly onIncoming?: (incoming: Incoming) => void
  /** Whether it counts as started while it is not up. */
  readonly mayBeDown?: boolean
  /** Whether a route begins at it; true if left out. */
  readonly routed?: boolean
}

/** Resolves when the endpoint is up. */
export async function startPostgresEndpoint(
  t: Owner,
  options: Options,
  start: StartOptions = {},
): Promise<StartedPostgres> {
  const { name = 'orders', marshaller = raw, onIncoming, mayBeDown = false, routed = true, log } = start
  const app = fastify({ logger: false })
  const endpoint = await registerEndpoint(app, endpointPostgres, optionsOf(options), {
    name,
    marshaller,
    ...(log === undefined ? {} : { log }),
  })
  const incoming: Incoming[] = []
  if (routed) {
    endpoint.bind((message, settle) => {
      const each = { message, text: message.payload.toString(), settle: settle ?? (() => {}) }
      incoming.push(each)
      onIncoming?.(each)
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
      await until(() => incoming.length >= count, { message: `${count} messages, got ${incoming.length}` })
      return incoming.map(({ text }) => text)
    },
    send: (payload, init = {}) =>
      new Promise((resolve) => {
        const message = new Message({ source: 'test', marshaller, payload: Buffer.from(payload as string), ...init })
        try {
          endpoint.send(message, resolve)
        } catch (error) {
          resolve(error as Error)
        }
      }),
    close,
  }
}

export function codeOf(error: Error | null): string | undefined {
  return (error as { code?: string } | null)?.code
}
