/**
 * Floor 5. A Fastify server that never listens, for one endpoint that came with a reload: nothing can be added to the
 * host's any more. Requests for the endpoint's routes are handed over by the host (late-routes.ts), after the host's own
 * hooks; here they meet the endpoint's.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RouteOptions,
} from 'fastify'
import type { Endpoint } from '../endpoint.ts'
import { errors } from '../errors.ts'
import type { RequestCounts } from '../http/requests.ts'
import { endAfterResponse, registerDetachedWebSocket, type Upgrade, upgradeOf } from '../upgrade.ts'

export interface AnnexInit {
  /** The endpoint's name. */
  readonly name: string
  /** The relay's scope of the host. */
  readonly host: FastifyInstance
  readonly requests: RequestCounts | undefined
  /** Makes the endpoint in a scope of the annex. */
  readonly build: (scope: FastifyInstance) => Promise<Endpoint>
  /** Throws where another endpoint or the host has the route already. */
  readonly claim: (method: string, url: string) => void
}

/** What a request of the host's brings along. */
interface Origin {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What a request knows of its client depends on the host's settings. */
const OF_THE_CLIENT = ['ip', 'ips', 'host', 'hostname', 'port', 'protocol'] as const

export class Annex {
  readonly name: string
  readonly endpoint: Endpoint
  readonly #fastify: FastifyInstance
  readonly #upgrade: Upgrade
  readonly #origins: WeakMap<IncomingMessage, Origin>

  private constructor(
    name: string,
    endpoint: Endpoint,
    fastify: FastifyInstance,
    upgrade: Upgrade,
    origins: WeakMap<IncomingMessage, Origin>,
  ) {
    this.name = name
    this.endpoint = endpoint
    this.#fastify = fastify
    this.#upgrade = upgrade
    this.#origins = origins
  }

  /** Leaves nothing behind where it rejects. The endpoint is not started. */
  static async create({ name, host, requests, build, claim }: AnnexInit): Promise<Annex> {
    const origins = new WeakMap<IncomingMessage, Origin>()
    const fastify = Fastify({
      ...settingsOf(host),
      loggerInstance: host.log,
      // The host logs each request, and has given it its id.
      logController: new LogController({ disableRequestLogging: true }),
      genReqId: (raw) => origins.get(raw)?.request.id ?? '',
    })
    try {
      fastify.addHook('onRoute', (route) => check(route, name, claim))
      adopt(fastify, origins)
      if (requests !== undefined) fastify.addHook('onResponse', requests.onResponse)
      const upgrade = await registerDetachedWebSocket(fastify, host)
      share(host, fastify)
      let endpoint: Endpoint | undefined
      await fastify.register(
        async (scope) => {
          endpoint = await build(scope)
        },
        { prefix: host.prefix },
      )
      await fastify.ready()
      return new Annex(name, endpoint as unknown as Endpoint, fastify, upgrade, origins)
    } catch (error) {
      await fastify.close()
      throw error
    }
  }

  /** The route's parameters; undefined where it has no route for it. */
  match(method: string, url: string): Readonly<Record<string, string | undefined>> | undefined {
    return this.#fastify.findRoute({ method, url })?.params ?? undefined
  }

  has(method: string, url: string): boolean {
    return this.#fastify.hasRoute({ method, url })
  }

  /** Takes a request of the host's over, which the host has let pass. */
  handle(request: FastifyRequest, reply: FastifyReply): void {
    reply.hijack()
    this.#origins.set(request.raw, { request, reply })
    const upgrade = upgradeOf(request.raw)
    if (upgrade === undefined) {
      this.#fastify.routing(request.raw, reply.raw)
      return
    }
    // A connection has one response at a time.
    const response = reply.raw as ServerResponse & { detachSocket(socket: unknown): void }
    response.detachSocket(upgrade.socket)
    this.#upgrade(request.raw, upgrade.socket, upgrade.head)
    endAfterResponse(upgrade.socket)
  }

  /** The endpoint has ended. Never rejects. */
  async close(): Promise<void> {
    try {
      await this.#fastify.close()
    } catch (err) {
      this.#fastify.log.warn({ err }, 'could not close what belonged to an endpoint in order')
    }
  }
}

/** What decides how the host reads requests decides it here. */
function settingsOf({ initialConfig }: FastifyInstance): object {
  const { bodyLimit, onProtoPoisoning, onConstructorPoisoning, pluginTimeout } = initialConfig
  const { caseSensitive, ignoreTrailingSlash, ignoreDuplicateSlashes, maxParamLength, useSemicolonDelimiter } =
    initialConfig
  return {
    bodyLimit,
    onProtoPoisoning,
    onConstructorPoisoning,
    pluginTimeout,
    routerOptions: {
      caseSensitive,
      ignoreTrailingSlash,
      ignoreDuplicateSlashes,
      maxParamLength,
      useSemicolonDelimiter,
    },
  }
}

function check({ method, url, constraints }: RouteOptions, name: string, claim: AnnexInit['claim']): void {
  if (Object.keys(constraints ?? {}).length > 0) {
    const what = `endpoint '${name}': a route with constraints (${url}) can be added at a start only: restart`
    throw new errors.RELOAD_REFUSED(what)
  }
  for (const each of [method].flat()) claim(each, url)
}

/** A request looks as it did to the host, and its answer has the headers that the host's hooks have set. */
function adopt(fastify: FastifyInstance, origins: WeakMap<IncomingMessage, Origin>): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const origin = origins.get(request.raw)
    if (origin !== undefined) {
      const properties = OF_THE_CLIENT.map((key) => [key, { value: origin.request[key] }])
      Object.defineProperties(request, Object.fromEntries(properties) as PropertyDescriptorMap)
      reply.headers(origin.reply.getHeaders())
    }
    done()
  })
  // What the host's hooks have made of the body: unzipped it, for instance.
  fastify.addHook('preParsing', (request, _reply, payload, done) => {
    const body = origins.get(request.raw)?.request.body
    done(null, body instanceof Object && 'pipe' in body ? (body as typeof payload) : payload)
  })
}

/** What the host and its plugins have decorated the server with is there for the endpoint's type. */
function share(host: FastifyInstance, annex: FastifyInstance): void {
  const decorated = host as unknown as Readonly<Record<string, unknown>>
  // Those of the host's parents, too.
  for (const key in decorated) {
    if (!(key in annex)) annex.decorate(key, { getter: () => decorated[key] })
  }
}
