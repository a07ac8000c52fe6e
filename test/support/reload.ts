/** What tests of reloading need: endpoint types whose every move the test makes, and a server that listens. */
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { defineEndpoint, type EndpointType } from '../../lib/endpoint.ts'
import araldo, { type AraldoOptions } from '../../lib/plugin.ts'
import { type LogLine, recordingLog, TestEndpoint } from './core.ts'
import type { Owner } from './process.ts'

export interface VersionedOptions {
  /** Another one makes it another endpoint. */
  readonly version?: number
}

/** Endpoints that were made, the newest last. */
export interface Made {
  readonly type: EndpointType<VersionedOptions>
  readonly made: TestEndpoint[]
  /** The newest of a name. */
  last(name: string): TestEndpoint
  /** What the type's plugin does before it attaches. */
  onPlugin: ((scope: FastifyInstance, name: string) => void | Promise<void>) | undefined
}

export interface TypeSettings {
  readonly id?: string
  readonly confirm?: boolean
  /** Its peer keeps what it does not fetch. */
  readonly replay?: boolean
  readonly onMade?: (endpoint: TestEndpoint) => void
}

/** A type of {@link TestEndpoint}s. */
export function versionedType({
  id = 'endpoint-test',
  confirm = false,
  replay = false,
  onMade,
}: TypeSettings = {}): Made {
  const made: TestEndpoint[] = []
  const kit: Made = {
    made,
    onPlugin: undefined,
    last: (name) => made.findLast((endpoint) => endpoint.name === name) as TestEndpoint,
    type: defineEndpoint<VersionedOptions>({
      id,
      schema: { type: 'object', properties: { version: { type: 'integer' }, secret: { type: 'string' } } },
      capabilities: () => ({
        source: { ack: true, pause: replay, replay, headers: true, topics: true },
        target: { confirm, headers: true, topics: true, echo: false },
      }),
      plugin: async (scope, context) => {
        await kit.onPlugin?.(scope, context.name)
        const endpoint = new TestEndpoint(context)
        onMade?.(endpoint)
        made.push(endpoint)
        context.attach(endpoint)
      },
    }),
  }
  return kit
}

export interface Listening {
  readonly app: FastifyInstance
  /** `127.0.0.1:40123` */
  readonly host: string
  readonly lines: LogLine[]
}

/** A server with a relay that listens, until the test ends. */
export async function listening(
  t: Owner,
  options: AraldoOptions,
  { prepare, ...settings }: FastifyServerOptions & { prepare?: (app: FastifyInstance) => void | Promise<void> } = {},
): Promise<Listening> {
  const { log, lines } = recordingLog()
  const app = Fastify({ forceCloseConnections: true, ...settings, loggerInstance: log }) as unknown as FastifyInstance
  t.after(() => app.close())
  await prepare?.(app)
  await app.register(araldo, options)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, lines, host: `127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}
