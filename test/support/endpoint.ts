/** One endpoint of a real type in a bare Fastify, without a relay around it: what comes in is kept, the test sends. */
import type { AddressInfo } from 'node:net'
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Endpoint, EndpointContext, EndpointHooks, EndpointType } from '../../lib/endpoint.ts'
import { type Marshaller, Message, type MessageInit } from '../../lib/message.ts'
import { registerWebSocket } from '../../lib/upgrade.ts'
import { counting, silentLog } from './core.ts'
import type { Owner } from './process.ts'

export interface StartOptions {
  /** The test at whose end the server is closed. */
  readonly t: Owner
  readonly name?: string
  readonly marshaller?: Marshaller
  readonly hooks?: EndpointHooks
  readonly log?: FastifyBaseLogger
  readonly prefix?: string
  /** Whether a route begins at the endpoint; true if left out. */
  readonly routed?: boolean
  /** Whether the endpoint is started; true if left out. */
  readonly started?: boolean
  /** The server; a new one if left out. */
  readonly app?: FastifyInstance
}

export interface StartedEndpoint {
  readonly app: FastifyInstance
  readonly endpoint: Endpoint
  /** What came in, in order. */
  readonly received: Message[]
  /** `127.0.0.1:40123` */
  readonly host: string
  /** Sends a message as a lane would. */
  send(body: unknown, init?: Partial<MessageInit>): void
}

/** Listens, with the endpoint up. */
export async function startEndpoint<Options extends object>(
  type: EndpointType<Options>,
  options: Options,
  start: StartOptions,
): Promise<StartedEndpoint> {
  const { t, marshaller = counting(), routed = true, started = true, app = fastify({ logger: false }) } = start
  t.after(() => app.close())
  const received: Message[] = []
  const endpoint = await registerEndpoint(app, type, options, start)
  if (routed) endpoint.bind((message) => received.push(message))
  app.addHook('preClose', async () => {
    await endpoint.pause()
    await endpoint.stop()
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  if (started) {
    endpoint.start()
    await endpoint.whenUp(5_000)
  }
  const { port } = app.server.address() as AddressInfo
  return {
    app,
    endpoint,
    received,
    host: `127.0.0.1:${port}`,
    send: (body, init = {}) => endpoint.send(new Message({ source: 'test', marshaller, body, ...init })),
  }
}

/** Registers the endpoint in a scope of its own, as the relay does. Not started. */
export async function registerEndpoint<Options extends object>(
  app: FastifyInstance,
  type: EndpointType<Options>,
  options: Options,
  { name = 'endpoint', marshaller = counting(), hooks = {}, log = silentLog, prefix = '' }: Omit<StartOptions, 't'>,
): Promise<Endpoint> {
  let attached: Endpoint | undefined
  const context: EndpointContext<Options> = {
    name,
    type: type.id,
    options,
    capabilities: type.capabilities(options),
    marshaller,
    log,
    hooks,
    directory: process.cwd(),
    shared: (_key, create) => create(),
    attach: (endpoint) => {
      attached = endpoint
    },
  }
  await app.register(
    async (scope) => {
      if (type.websocket === true) await registerWebSocket(scope)
      await scope.register(async (inner) => type.plugin(inner, context))
    },
    { prefix },
  )
  if (attached === undefined) throw new Error(`${type.id} attached no endpoint`)
  return attached
}
