/** Relays with endpoints of HTTP, receivers that answer as the test likes, and requests with what was answered. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { request } from 'undici'
import { endpointHttp, type HttpOptions } from '../../../lib/endpoints/http/index.ts'
import type { Endpoint } from '../../../lib/endpoint.ts'
import type { Message, MessageInit } from '../../../lib/message.ts'
import { json } from '../../../lib/marshallers/json.ts'
import { Message as RelayMessage } from '../../../lib/message.ts'
import araldo, { type AraldoOptions } from '../../../lib/plugin.ts'
import type { Settle } from '../../../lib/types.ts'
import { registerEndpoint, type StartOptions } from '../../support/endpoint.ts'
import type { Owner } from '../../support/process.ts'

export const DEFAULTS: Omit<HttpOptions, 'path' | 'url'> = {
  methods: ['POST', 'PUT'],
  acknowledge: 'settled',
  'settle-timeout': 30_000,
  'max-payload': 1024 * 1024,
  'max-batch': { messages: 10_000, bytes: 16 * 1024 * 1024 },
  'max-requests': 1_000,
  'max-bytes': 64 * 1024 * 1024,
  method: 'POST',
  timeout: 30_000,
  connections: 16,
  'max-retry-after': 300_000,
  'allow-private': ['127.0.0.0/8'],
  'forward-headers': ['traceparent', 'tracestate'],
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Record<string, unknown>
}

export interface Post {
  readonly method?: 'POST' | 'PUT' | 'PATCH'
  readonly headers?: Record<string, string>
  readonly type?: string | undefined
}

/** @param url of the whole place. */
export async function post(
  url: string,
  body: string | Buffer,
  { method = 'POST', headers = {}, type }: Post = {},
): Promise<Answer> {
  const contentType: Record<string, string> =
    type === undefined ? { 'content-type': 'application/json' } : type === '' ? {} : { 'content-type': type }
  const response = await request(url, { method, headers: { ...contentType, ...headers }, body })
  const text = await response.body.text()
  return {
    status: response.statusCode,
    headers: response.headers,
    body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  }
}

export interface Incoming {
  readonly message: Message
  readonly settle: Settle | undefined
}

export interface Source {
  readonly app: FastifyInstance
  readonly endpoint: Endpoint
  /** What came in; settled by the test, unless `onIncoming` does. */
  readonly incoming: Incoming[]
  readonly url: string
}

/** An endpoint at `/in`, without a relay around it. @param onIncoming settles what comes in at once if left out. */
export async function startSource(
  t: Owner,
  options: Partial<HttpOptions> = {},
  {
    onIncoming = ({ settle }: Incoming) => settle?.(null),
    ...start
  }: { onIncoming?: (incoming: Incoming) => void } & Partial<StartOptions> = {},
): Promise<Source> {
  const app = start.app ?? Fastify({ logger: false })
  t.after(() => app.close())
  const incoming: Incoming[] = []
  const endpoint = await registerEndpoint(
    app,
    endpointHttp,
    { ...DEFAULTS, path: '/in', ...options },
    { marshaller: json, ...start },
  )
  endpoint.bind((message, settle) => {
    const each = { message, settle }
    incoming.push(each)
    onIncoming(each)
  })
  app.addHook('preClose', async () => {
    await endpoint.pause()
    await endpoint.stop()
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  if (start.started !== false) {
    endpoint.start()
    await endpoint.whenUp(5_000)
  }
  return {
    app,
    endpoint,
    incoming,
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}${options.path ?? '/in'}`,
  }
}

export interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly received: Received[]
  /** Connections that were opened to it. */
  connections: number
}

/** @param answer 204 if left out. */
export async function startReceiver(
  t: Owner,
  answer: (received: Received, response: ServerResponse) => void = (_, response) => void response.writeHead(204).end(),
): Promise<Receiver> {
  const received: Received[] = []
  const server = createServer((message, response) => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      const { method, url, headers } = message
      const each = { method, url, headers, body: Buffer.concat(chunks) }
      received.push(each)
      answer(each, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const receiver = { url: `http://127.0.0.1:${port}/hook`, port, received, connections: 0 }
  server.on('connection', () => receiver.connections++)
  return receiver
}

export interface Target {
  readonly endpoint: Endpoint
  /** Resolves with what became of it. */
  send(body: unknown, init?: Partial<MessageInit>): Promise<(Error & { code?: string; retryable?: boolean }) | null>
}

export async function startTarget(t: Owner, url: string, options: Partial<HttpOptions> = {}): Promise<Target> {
  const app = Fastify({ logger: false })
  const endpoint = await registerEndpoint(app, endpointHttp, { ...DEFAULTS, url, ...options }, { marshaller: json })
  t.after(async () => {
    await endpoint.stop()
    await app.close()
  })
  endpoint.start()
  await endpoint.whenUp(5_000)
  return {
    endpoint,
    send: (body, init = {}) =>
      new Promise((resolve) => {
        try {
          endpoint.send(new RelayMessage({ source: 'test', marshaller: json, body, ...init }), resolve)
        } catch (error) {
          resolve(error as Error)
        }
      }),
  }
}

/** A relay that listens. */
export async function startRelay(t: Owner, options: AraldoOptions): Promise<{ app: FastifyInstance; host: string }> {
  const app = Fastify({ logger: false })
  t.after(() => app.close())
  await app.register(araldo, { health: false, metrics: false, ...options })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, host: `127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}
