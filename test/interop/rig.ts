/** One relay in this process with every end in it, twice: once as a source, once as a target. */
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import araldo, { type ConfigObject } from '../../lib/plugin.ts'
import type { LaneView } from '../../lib/view.ts'
import type { InteropPeer } from '../peers/peer.ts'
import { until } from '../support/wait.ts'
import type { Brokers } from './brokers.ts'
import { type End, ENDS } from './ends.ts'

/** An end with its client and its endpoint in the relay. */
export interface Placed {
  readonly end: End
  readonly endpoint: string
  readonly peer: InteropPeer
}

export const LETTERS = 'letters'
const PATIENCE = 20_000

export class InteropRig {
  readonly sources: readonly Placed[]
  readonly targets: readonly Placed[]
  readonly server: FastifyInstance
  /** Warnings and errors that were logged. */
  readonly log: string[] = []
  readonly #letters: { readonly name: string; readonly id: string; readonly [option: string]: unknown }

  private constructor(sources: readonly Placed[], targets: readonly Placed[], letters: string) {
    this.#letters = { name: LETTERS, id: 'endpoint-redis-stream', url: letters, topic: LETTERS, marshalling: 'bytes' }
    this.sources = sources
    this.targets = targets
    this.server = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => void this.log.push(line) } } })
  }

  /** Every source leads to every target. Resolves when all of them are up. */
  static async start(brokers: Brokers): Promise<InteropRig> {
    const place = async (end: End, role: 'from' | 'to'): Promise<Placed> => {
      const endpoint = `${role}-${ENDS.indexOf(end)}`
      return { end, endpoint, peer: await end.peer(brokers) }
    }
    const sources = await Promise.all(ENDS.filter(({ source }) => source !== null).map((end) => place(end, 'from')))
    const targets = await Promise.all(ENDS.filter(({ target }) => target !== null).map((end) => place(end, 'to')))
    const rig = new InteropRig(sources, targets, brokers.pubSub.url)
    await rig.#start()
    return rig
  }

  /** @param options of every lane. */
  config(options: object = {}, sources = this.sources): ConfigObject {
    const { targets } = this
    const route = targets.map(({ endpoint }) => ({ to: endpoint, 'dead-letter': LETTERS, ...options }))
    return {
      plugins: {
        'araldo.marshalling': [{ name: 'bytes', id: 'marshal-raw' }],
        'araldo.endpoints.endpoint': [...sources.map(declare), ...targets.map(declare), this.#letters],
      },
      routes: Object.fromEntries(sources.map(({ endpoint }) => [endpoint, route])),
    }
  }

  async #start(): Promise<void> {
    const { server, sources, targets } = this
    await server.register(araldo, { config: this.config() })
    await server.listen({ host: '127.0.0.1', port: 0 })
    const { endpoints } = server.araldo
    await until(() => [...endpoints.values()].every(({ state }) => state === 'up'), {
      timeout: PATIENCE,
      message: 'every endpoint to be up',
    })
    const { port } = server.server.address() as AddressInfo
    for (const { peer, endpoint } of [...sources, ...targets]) {
      await peer.open?.({ server, endpoint, host: `127.0.0.1:${port}`, binary: true })
    }
  }

  lane(source: Placed, target: Placed): LaneView {
    const route = this.server.araldo.routes.find((each) => each.source === source.endpoint)
    const lane = route?.lanes.find((each) => each.target === target.endpoint)
    if (lane === undefined) throw new Error(`no lane leads from ${source.end.name} to ${target.end.name}`)
    return lane
  }

  /** Waits until every lane of the source has had so many messages, and has come to an end with them. */
  async settled(source: Placed, count: number): Promise<void> {
    const isSettled = (target: Placed): boolean => {
      const { received, waiting } = this.lane(source, target).ledger
      return received >= count && waiting === 0
    }
    const left = (): Placed[] => this.targets.filter((target) => !isSettled(target))
    await until(() => left().length === 0, { timeout: PATIENCE }).catch((cause: unknown) => {
      const lanes = left().map((target) => `${target.end.name} ${JSON.stringify(this.lane(source, target).ledger)}`)
      throw new Error(`from ${source.end.name}, ${count} messages have not come to their end: ${lanes.join(', ')}`, {
        cause,
      })
    })
  }

  async close(): Promise<void> {
    await this.server.close()
    for (const { peer } of [...this.sources, ...this.targets]) await peer.close?.()
  }
}

/** A target sends to the place that its client reads, whatever the topic of the message. */
function declare({ end, endpoint, peer }: Placed): { readonly name: string } {
  const topic = endpoint.startsWith('to-') && 'topic' in peer.options ? { topic: peer.topic } : {}
  return { ...peer.options, ...topic, name: endpoint, ...{ id: end.type, marshalling: 'bytes' } }
}
