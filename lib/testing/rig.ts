/**
 * Floor 6. The relay under test: a real server with the endpoint in it, between two endpoints of the application. What
 * goes into and comes out of the endpoint is written down.
 *
 *     into-subject -> subject -> the peer -> subject -> from-subject
 */
import fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import { loadConfig } from '../config.ts'
import type { EndpointType } from '../endpoint.ts'
import araldo, { type ConfigObject, createRegistries } from '../plugin.ts'
import type { Capabilities } from '../types.ts'
import { inTime } from './expect.ts'
import type { EndpointTest, Owner } from './peer.ts'
import { Subject } from './subject.ts'

/** How long the suite waits for what should happen at once, where the author says nothing (milliseconds). */
const DEFAULT_PATIENCE = 5_000
/** Building and closing a relay may take a busy machine so long (milliseconds), however little patience there is. */
const BUSY = 3_000
/** The last lines of the log, for a failure. */
const MAX_LINES = 20

export interface RigOptions {
  /** How many endpoints of the type, each with a peer of its own; 1 if left out. */
  readonly count?: 1 | 2
  /** The id of the endpoint's marshaller; `marshal-raw` if left out. */
  readonly marshalling?: string
}

export class Rig {
  readonly type: EndpointType
  readonly patience: number
  readonly subjects: Subject[] = []
  readonly server: FastifyInstance
  /** Warnings and errors that were logged. */
  readonly lines: string[] = []
  #closed: Promise<void> | undefined

  private constructor({ type, patience = DEFAULT_PATIENCE }: EndpointTest) {
    this.type = type
    this.patience = patience
    const write = (line: string): void => {
      this.lines.push(line)
      if (this.lines.length > MAX_LINES) this.lines.shift()
    }
    const pluginTimeout = Math.max(patience, BUSY)
    this.server = fastify({ logger: { level: 'warn', stream: { write } }, pluginTimeout })
  }

  /** Makes peers and builds a relay around the type: neither ready nor listening. */
  static async create(test: EndpointTest, t: Owner, options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(test)
    // Whoever closed it before has heard of what went wrong.
    t.after(() => rig.close().catch(() => {}))
    const { type, patience, subjects, server } = rig
    const { count = 1, marshalling = 'marshal-raw' } = options
    for (let number = 1; number <= count; number++) {
      subjects.push(new Subject(`subject-${number}`, await test.createPeer(t), patience))
    }
    await server.register(araldo, {
      config: await rig.#config(marshalling),
      types: [type],
      health: false,
      metrics: false,
    })
    for (const subject of subjects) subject.watch(server)
    return rig
  }

  /** The first endpoint; most tests have no other. */
  get subject(): Subject {
    return this.subjects[0] as Subject
  }

  /** Listens. Does not wait for the endpoint to be up. @param open whether the peers connect. */
  async listen({ open = true } = {}): Promise<void> {
    const listening = this.server.listen({ host: '127.0.0.1', port: 0 })
    await inTime(
      listening,
      this.patience,
      `the server should listen whether or not the peer of ${this.type.id} is there: its plugin must not wait for it`,
    )
    if (!open) return
    const { port } = this.server.server.address() as AddressInfo
    for (const { name, peer, endpoint } of this.subjects) {
      const { binary } = endpoint.marshaller
      await peer.open?.({ server: this.server, endpoint: name, host: `127.0.0.1:${port}`, binary })
    }
  }

  /** Listens, with every endpoint up. */
  async start(): Promise<void> {
    await this.listen()
    for (const subject of this.subjects) {
      await subject.reaches('up', 'connect() resolves when messages can go both ways')
    }
  }

  /** Closes the relay and the peers. The second call waits for the first. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    try {
      await inTime(this.server.close(), Math.max(this.patience, BUSY), 'the server should close')
    } finally {
      for (const { peer } of this.subjects) await peer.close?.()
    }
  }

  async #config(marshalling: string): Promise<ConfigObject> {
    const declared = this.subjects.flatMap(({ name, peer }) => [
      { ...peer.options, name, id: this.type.id, marshalling: 'suite' },
      { name: `into-${name}`, id: 'endpoint-app', marshalling: 'suite' },
      { name: `from-${name}`, id: 'endpoint-app', marshalling: 'suite' },
    ])
    const plugins = {
      'araldo.marshalling': [{ name: 'suite', id: marshalling }],
      'araldo.endpoints.endpoint': declared,
    }
    const { source, target } = await capabilitiesOf(this.type, { plugins })
    const routes: Record<string, string[]> = {}
    for (const { name } of this.subjects) {
      if (target !== null) routes[`into-${name}`] = [name]
      if (source !== null) routes[name] = [`from-${name}`]
    }
    let config: ConfigObject = { plugins, routes }
    for (const { peer } of this.subjects) config = peer.configure?.(config) ?? config
    return config
  }
}

/** What the type says that an endpoint with these options can do. The options are frozen: it must not change them. */
async function capabilitiesOf(type: EndpointType, config: ConfigObject): Promise<Capabilities> {
  const { endpoints } = await loadConfig(config, createRegistries([type]))
  const options = endpoints.find((endpoint) => endpoint.type === type)?.options ?? {}
  return type.capabilities(Object.freeze(options))
}
