/** An endpoint of Redis Streams without a relay around it: the test is the lanes. */
import fastify from 'fastify'
import type { Endpoint } from '../../../../lib/endpoint.ts'
import { endpointRedisStream, type StreamOptions } from '../../../../lib/endpoints/redis/stream/index.ts'
import { raw } from '../../../../lib/marshallers/raw.ts'
import { Message, type MessageInit } from '../../../../lib/message.ts'
import type { Settle } from '../../../../lib/types.ts'
import { registerEndpoint } from '../../../support/endpoint.ts'
import type { Owner } from '../../../support/process.ts'
import type { RedisServer } from '../../../support/redis.ts'
import { until } from '../../../support/wait.ts'

const DEFAULTS = {
  group: 'araldo',
  start: '0',
  'claim-after': 60_000,
  batch: 256,
  'payload-field': 'payload',
  'ping-interval': 10_000,
}

export interface Incoming {
  readonly message: Message
  readonly text: string
  readonly settle: Settle
}

export interface StartedStream {
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
  /** Called with each that comes in. */
  readonly onIncoming?: (incoming: Incoming, endpoint: Endpoint) => void
  /** Whether it counts as started while it is not up. */
  readonly mayBeDown?: boolean
}

/** Resolves when the endpoint is up. */
export async function startStream(
  t: Owner,
  options: Partial<StreamOptions>,
  { name = 'orders', onIncoming, mayBeDown = false }: StartOptions = {},
): Promise<StartedStream> {
  const app = fastify({ logger: false })
  const endpoint = await registerEndpoint(
    app,
    endpointRedisStream,
    { ...DEFAULTS, ...options },
    { name, marshaller: raw },
  )
  const incoming: Incoming[] = []
  endpoint.bind((message, settle) => {
    const each = { message, text: message.payload.toString(), settle: settle as Settle }
    incoming.push(each)
    onIncoming?.(each, endpoint)
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
        const message = new Message({
          source: 'test',
          marshaller: raw,
          payload: Buffer.from(payload as string),
          ...init,
        })
        try {
          endpoint.send(message, resolve)
        } catch (error) {
          resolve(error as Error)
        }
      }),
    close,
  }
}

/** How many entries of a group are pending. */
export async function pendingOf(redis: RedisServer, stream: string, group = 'araldo'): Promise<number> {
  return Number((await redis.cli('XPENDING', stream, group)).split('\n')[0])
}

/** How often the server was sent a command. */
export async function callsOf(redis: RedisServer, command: string): Promise<number> {
  const [, calls] = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.cli('INFO', 'commandstats')) ?? []
  return Number(calls ?? 0)
}
