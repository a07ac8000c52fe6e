/**
 * Floor 5. Puts another config to work while the relay runs.
 *
 * In this order: the config is loaded; what it changes is made beside what runs (marshallers, endpoints in annexes,
 * lanes) and started, as far as it can run beside what it replaces; then, within one turn, messages and requests change
 * over; then what was replaced delivers what it holds, and ends. Whatever fails, fails before the turn, and is taken
 * back. One reload at a time, and none before the last one's leftovers have ended: what waits stays bounded.
 *
 * A source whose peer keeps what nobody fetches (a stream, a queue) is started only when the endpoint that it replaces
 * has settled what it had in hand and has ended: both may be one consumer to their peer, and none is to take for its own
 * what the other is at.
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { Annex } from './annex.ts'
import type { Config, EndpointConfig } from '../config.ts'
import { abortable } from '../deadline.ts'
import { type ConfigDiff, describeDiff, diffConfigs, isSameEndpoint } from './diff.ts'
import type { Endpoint } from '../endpoint.ts'
import { errors, reasonOf } from '../errors.ts'
import type { EndpointFactory } from '../factory.ts'
import { configHash } from './fingerprint.ts'
import type { RequestCounts } from '../http/requests.ts'
import type { LateRoutes } from './late-routes.ts'
import type { Relay, Reloaded } from '../relay.ts'
import type { RoutePlan } from '../router.ts'

/** Milliseconds. */
export interface Timeouts {
  /** For required endpoints to come up. */
  readonly start: number
  /** For what is to end. */
  readonly close: number
}

export interface ReloaderInit {
  readonly relay: Relay
  readonly factory: EndpointFactory
  readonly routes: LateRoutes
  /** The relay's scope of the host. */
  readonly host: FastifyInstance
  readonly log: FastifyBaseLogger
  readonly requests: RequestCounts | undefined
  readonly timeouts: Timeouts
  /** @throws ConfigError */
  readonly load: (input: string | object | undefined) => Promise<Config>
  /** What was made is about to be used. */
  readonly onSwitch: (config: Config) => void
}

/** How long the old goes on while the new connects (milliseconds). */
const PATIENCE = 5_000

/** What is made for a reload, and has to be taken back where it fails. */
interface Draft {
  readonly annexes: Annex[]
  plan: RoutePlan | undefined
}

export class Reloader {
  readonly #init: ReloaderInit
  /** Of the endpoints that a reload has made, by name. */
  #annexes = new Map<string, Annex>()
  /** Settles when what the last reload has replaced has ended. */
  #drained: Promise<void> = Promise.resolve()

  constructor(init: ReloaderInit) {
    this.#init = init
  }

  /** To be called once at a time. Where it rejects, nothing has changed. */
  async reload(input: string | object | undefined): Promise<Reloaded> {
    const { relay, load, log } = this.#init
    const config = await load(input)
    const hash = await configHash(config)
    const diff = diffConfigs(relay.config, config)
    if (diff.same && config.directory === relay.config.directory) {
      log.info({ config: hash }, 'the config is as it was: nothing to reload')
      return { hash, diff, drained: Promise.resolve() }
    }
    await this.#drained
    const draft: Draft = { annexes: [], plan: undefined }
    try {
      const endpoints = await this.#make(config, draft)
      await abortable(this.#startEarly(config, draft), relay.ending)
      // From here to the end of the switch nothing is awaited.
      if (relay.closing) throw new errors.CLOSING()
      this.#switch({ config, hash, endpoints, draft })
    } catch (error) {
      await this.#discard(draft)
      throw error
    }
    this.#report(config, hash, diff)
    return { hash, diff, drained: this.#drained }
  }

  /** Closes the annexes of endpoints that have ended. Never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.#drained, ...[...this.#annexes.values()].map((annex) => annex.close())])
  }

  /** All endpoints of the config: those that run and stay, and new ones, which are not started. */
  async #make(config: Config, draft: Draft): Promise<Map<string, Endpoint>> {
    const { relay, factory, routes } = this.#init
    const staying = new Set(config.endpoints.map(({ name }) => name).filter((name) => this.#stays(name, config)))
    const claim = routes.claimant(staying, draft.annexes)
    const marshallers = await factory.marshallers(config)
    const endpoints = new Map<string, Endpoint>()
    for (const declared of config.endpoints) {
      const { name } = declared
      if (staying.has(name)) endpoints.set(name, relay.endpoints.get(name) as Endpoint)
      else {
        const build = async (scope: FastifyInstance): Promise<Endpoint> =>
          factory.build(scope, declared, { config, marshallers, hooks: {} })
        const annex = await this.#annex(declared, build, claim)
        draft.annexes.push(annex)
        endpoints.set(name, annex.endpoint)
      }
      if (relay.closing) throw new errors.CLOSING()
    }
    draft.plan = relay.router.plan(endpoints, config.routes)
    await relay.router.open(draft.plan)
    return endpoints
  }

  /** Whether the endpoint that runs under this name is the one that the config asks for. */
  #stays(name: string, config: Config): boolean {
    const { relay } = this.#init
    const running = relay.endpoints.get(name)
    if (running === undefined || !isSameEndpoint(relay.config, config, name)) return false
    const { type } = config.endpoints.find((each) => each.name === name) as EndpointConfig
    const isSource = config.routes.some(({ source }) => source === name)
    return type.adoptsRoutes === true || isSource === running.hasRoute
  }

  async #annex(
    { name }: EndpointConfig,
    build: (scope: FastifyInstance) => Promise<Endpoint>,
    claim: (method: string, url: string) => void,
  ): Promise<Annex> {
    const { host, requests } = this.#init
    try {
      return await Annex.create({ name, host, requests, build, claim })
    } catch (cause) {
      if (cause instanceof errors.CONFIG || cause instanceof errors.RELOAD_REFUSED) throw cause
      throw new errors.RELOAD_REFUSED(`endpoint '${name}': ${reasonOf(cause)}`, { cause })
    }
  }

  /** Starts what can run beside what it replaces, and gives it time to connect. */
  async #startEarly(config: Config, { annexes }: Draft): Promise<void> {
    const { relay, timeouts } = this.#init
    const early = annexes.map(({ endpoint }) => endpoint).filter((endpoint) => !fetches(endpoint))
    await relay.startThese(early, PATIENCE)
    const required = config.endpoints.filter((declared) => declared.required)
    await Promise.all(
      early
        .filter(({ name }) => required.some((declared) => declared.name === name))
        .map((endpoint) => endpoint.whenUp(timeouts.start)),
    )
  }

  #switch({ config, hash, endpoints, draft }: Switch): void {
    const { relay, routes, timeouts, onSwitch } = this.#init
    const made = new Map(draft.annexes.map((annex) => [annex.name, annex]))
    const leaving = [...this.#annexes.values()].filter(({ name, endpoint }) => endpoints.get(name) !== endpoint)
    const annexes = [...this.#annexes.values()].filter((annex) => !leaving.includes(annex))
    this.#annexes = new Map([...made.values(), ...annexes].map((annex) => [annex.name, annex]))
    const residents = [...endpoints.keys()].filter((name) => !this.#annexes.has(name))

    onSwitch(config)
    const leftover = relay.replace({ config, hash, endpoints, plan: draft.plan as RoutePlan })
    routes.replace([...this.#annexes.values()], new Set(residents))

    const fresh = draft.annexes.map(({ endpoint }) => endpoint)
    const isLate = (endpoint: Endpoint): boolean =>
      fetches(endpoint) && leftover.endpoints.some((old) => old.type === endpoint.type && fetches(old))
    for (const endpoint of fresh) if (!isLate(endpoint)) begin(endpoint)
    this.#drained = relay.retire(leftover, timeouts.close).then(async () => {
      for (const endpoint of fresh) if (isLate(endpoint)) begin(endpoint)
      await Promise.all(leaving.map((annex) => annex.close()))
    })
  }

  async #discard({ annexes, plan }: Draft): Promise<void> {
    if (plan !== undefined) await this.#init.relay.router.discard(plan)
    await Promise.all(
      annexes.map(async (annex) => {
        await annex.endpoint.stop()
        await annex.close()
      }),
    )
  }

  #report(config: Config, hash: string, diff: ConfigDiff): void {
    const { log } = this.#init
    for (const warning of config.warnings) log.warn({ line: warning.line }, warning.message)
    if (diff.restart.length > 0) {
      log.warn({ settings: diff.restart }, 'these settings hold from the next start on: they need a restart')
    }
    log.info({ config: hash, changes: describeDiff(diff) }, 'reloaded')
  }
}

interface Switch {
  readonly config: Config
  readonly hash: string
  readonly endpoints: ReadonlyMap<string, Endpoint>
  readonly draft: Draft
}

/** It takes from its peer what the peer keeps until it is acknowledged. */
function fetches({ capabilities, hasRoute }: Endpoint): boolean {
  return hasRoute && capabilities.source?.replay === true
}

function begin(endpoint: Endpoint): void {
  endpoint.start()
  endpoint.announceBegin()
}
