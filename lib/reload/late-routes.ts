/**
 * Floor 5. Routes of endpoints that come and go while the server runs. Fastify takes no routes then: so one is
 * registered at the start that matches every path, with a constraint that holds for a request only if the route of an
 * annex does. Requests go through the host's hooks there, and the application's for the endpoint, before the annex gets
 * them: what protects an endpoint that was there from the start protects one that came later. That works for upgrades,
 * for `inject`, and for every address that the server listens to, because it is the host's own router that decides.
 *
 * A route that was there from the start cannot be taken out: once its endpoint is gone it answers as one that is not.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { errorCodes } from 'fastify'
import type { Annex } from './annex.ts'
import type { EndpointHooks } from '../endpoint-hooks.ts'

/** An endpoint that was there from the start. */
interface Resident {
  /** `GET /ws` */
  readonly routes: Set<string>
  isGone: boolean
}

interface Match {
  readonly annex: Annex
  readonly params: Readonly<Record<string, string | undefined>>
}

type HookName = keyof EndpointHooks
type AnyHook = (request: FastifyRequest, reply: FastifyReply, done?: (error?: Error) => void) => unknown

export class LateRoutes {
  readonly #scope: FastifyInstance
  readonly #hooks: Readonly<Record<string, EndpointHooks>>
  readonly #residents = new Map<string, Resident>()
  readonly #matches = new WeakMap<IncomingMessage, Match>()
  /** The newest first. */
  #annexes: readonly Annex[] = []

  /** @param scope the relay's, before the server starts. @param hooks by the endpoint's name. */
  constructor(scope: FastifyInstance, hooks: Readonly<Record<string, EndpointHooks>>) {
    this.#scope = scope
    this.#hooks = hooks
  }

  /** Adds the route that leads to the annexes. */
  async register(): Promise<void> {
    const scope = this.#scope
    const strategy = unusedStrategy(scope)
    scope.addConstraintStrategy({
      name: strategy,
      storage: () => new Map() as never,
      deriveConstraint: (request: IncomingMessage) => this.#derive(request),
      mustMatchWhenDerived: true,
    } as never)
    await scope.register(async (inner) => {
      inner.removeAllContentTypeParsers()
      // The annex parses it.
      inner.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
      for (const url of scope.prefix === '' ? ['/*'] : ['', '/*']) {
        inner.route({
          method: [...inner.supportedMethods],
          url,
          constraints: { [strategy]: ANNEX },
          config: { araldoPassage: true },
          schema: HIDDEN,
          onRequest: async (request, reply) => {
            // The application's hooks see the parameters of the route that was asked for.
            request.params = this.#matches.get(request.raw)?.params
            await this.#run('onRequest', request, reply)
          },
          preValidation: async (request, reply) => this.#run('preValidation', request, reply),
          preHandler: async (request, reply) => {
            await this.#run('preHandler', request, reply)
            if (!reply.sent) this.#matches.get(request.raw)?.annex.handle(request, reply)
          },
          // Never called: an annex has the request by now.
          handler: (_request, reply) => reply.callNotFound(),
        })
      }
    })
  }

  /** Watches over the scope of an endpoint that is there from the start. To be called before its routes are added. */
  settle(name: string, scope: FastifyInstance): void {
    const resident: Resident = { routes: new Set(), isGone: false }
    this.#residents.set(name, resident)
    scope.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) resident.routes.add(`${each} ${url}`)
    })
    scope.addHook('onRequest', (_request, reply, done) => {
      if (resident.isGone) reply.callNotFound()
      else done()
    })
  }

  /**
   * What throws where a route cannot be added, because it is there.
   * @param staying names of endpoints that go on as they are.
   * @param made annexes that are about to be used.
   */
  claimant(staying: ReadonlySet<string>, made: readonly Annex[]): (method: string, url: string) => void {
    return (method, url) => {
      const others = [...made, ...this.#annexes.filter(({ name }) => staying.has(name))]
      const residents = [...this.#residents].filter(([name, { isGone }]) => isGone || !staying.has(name))
      const isFreed = residents.some(([, { routes }]) => routes.has(`${method} ${url}`))
      const isTaken = !isFreed && this.#scope.hasRoute({ method, url })
      if (isTaken || others.some((annex) => annex.has(method, url))) {
        throw new errorCodes.FST_ERR_DUPLICATED_ROUTE(method, url)
      }
    }
  }

  /**
   * From now on requests go to these annexes, and to the endpoints that were there from the start and stay.
   * @param staying names of these.
   */
  replace(annexes: readonly Annex[], staying: ReadonlySet<string>): void {
    this.#annexes = annexes
    for (const [name, resident] of this.#residents) if (!staying.has(name)) resident.isGone = true
  }

  #derive(request: IncomingMessage): string | undefined {
    if (this.#annexes.length === 0) return undefined
    const match = this.#match(request.method ?? '', request.url ?? '')
    if (match === undefined) return undefined
    this.#matches.set(request, match)
    return ANNEX
  }

  #match(method: string, url: string): Match | undefined {
    if (!isDecodable(url)) return undefined
    let best: Match | undefined
    for (const annex of this.#annexes) {
      const params = annex.match(method, url)
      // As in one router: the route that leaves less open wins.
      if (params !== undefined && (best === undefined || count(params) < count(best.params))) best = { annex, params }
    }
    if (best === undefined || count(best.params) === 0) return best
    return this.#isLiteral(method, url) ? undefined : best
  }

  /** The host, or an endpoint that was there from the start, has a route of exactly this path. */
  #isLiteral(method: string, url: string): boolean {
    const [path = ''] = url.split('?')
    if (/[:*]/.test(path) || !this.#scope.hasRoute({ method, url: path })) return false
    return ![...this.#residents.values()].some(({ isGone, routes }) => isGone && routes.has(`${method} ${path}`))
  }

  /** Runs the application's hooks for the endpoint, one after the other, until one has answered. */
  async #run(name: HookName, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const endpoint = this.#matches.get(request.raw)?.annex.name
    const hooks = Object.hasOwn(this.#hooks, endpoint ?? '') ? this.#hooks[endpoint as string]?.[name] : undefined
    for (const hook of [hooks ?? []].flat() as AnyHook[]) {
      if (reply.sent) return
      await runHook(hook.bind(this.#scope), request, reply)
    }
  }
}

const ANNEX = 'annex'
/** No page for @fastify/swagger. */
const HIDDEN: FastifySchema & { hide: true } = { hide: true }
/** Hooks that take this many arguments call back; others return a promise. */
const WITH_CALLBACK = 3

async function runHook(hook: AnyHook, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  if (hook.length < WITH_CALLBACK) {
    await hook(request, reply)
    return
  }
  await new Promise<void>((resolve, reject) => {
    reply.raw.once('close', resolve)
    hook(request, reply, (error) => (error === undefined || error === null ? resolve() : reject(error)))
  })
}

/** Relays in scopes of one server each have their own. It becomes a name in code that the router makes. */
function unusedStrategy(scope: FastifyInstance): string {
  let number = 0
  while (scope.hasConstraintStrategy(`araldo${number}`)) number++
  return `araldo${number}`
}

function count(params: object): number {
  return Object.keys(params).length
}

/** The router would take a path that is not for a match of its error handler. */
function isDecodable(url: string): boolean {
  try {
    decodeURI(url)
    return true
  } catch {
    return false
  }
}
