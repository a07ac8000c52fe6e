/** Floor 6. The endpoint under test, its peer, and all that was seen of them. */
import type { FastifyInstance } from 'fastify'
import { Endpoint } from '../endpoint.ts'
import type { LedgerSnapshot } from '../ledger.ts'
import type { Message } from '../message.ts'
import type { PublishOptions } from '../relay.ts'
import type { EndpointState, Settle } from '../types.ts'
import { expect, fail, until } from './expect.ts'
import { probe } from './payloads.ts'
import type { Emitted, Peer, Received } from './peer.ts'

/** One call of the endpoint's `receive`. */
export interface Incoming {
  readonly message: Message
  readonly settle: Settle | undefined
}

/** One call of the endpoint's `send`. */
export interface Outgoing {
  readonly message: Message
  /** Whether it was given a `settle` to call. */
  readonly confirms: boolean
  /** What it called settle with. */
  readonly settled: (Error | null)[]
  returned: unknown
  threw: boolean
}

/** The two methods that the rig listens at. */
interface Spied {
  receive(message: Message, settle?: Settle): void
  send(message: Message, settle?: Settle): void
}

/** Between two probes (milliseconds): each must have its chance. */
const PROBE_INTERVAL = 50

/** The endpoint under test, its peer, and all that was seen of them. */
export class Subject {
  readonly name: string
  readonly peer: Peer
  /** Every state that it was in, beginning with that before the start. */
  readonly states: EndpointState[] = []
  readonly incoming: Incoming[] = []
  readonly outgoing: Outgoing[] = []
  /** What came through the relay from the endpoint. */
  readonly arrived: Message[] = []
  readonly patience: number
  /** Takes what comes in, in place of the relay, where the test sets it: it settles, or does not. */
  taker: ((incoming: Incoming) => void) | undefined
  /** Whether its class has a `send` of its own. */
  sends = false
  #endpoint: Endpoint | undefined
  #server: FastifyInstance | undefined
  #probes = 0

  constructor(name: string, peer: Peer, patience: number) {
    this.name = name
    this.peer = peer
    this.patience = patience
  }

  get endpoint(): Endpoint {
    return this.#endpoint ?? fail('the relay was not built')
  }

  get isSource(): boolean {
    return this.endpoint.capabilities.source !== null
  }

  get isTarget(): boolean {
    return this.endpoint.capabilities.target !== null
  }

  /** The figures of the lane that leads to it. */
  get ledger(): LedgerSnapshot {
    const route = this.#server?.araldo.routes.find(({ source }) => source === `into-${this.name}`)
    return route?.lanes[0]?.ledger ?? fail('no route leads to the endpoint')
  }

  /** ` (down: refused)` while it is not up. */
  get trouble(): string {
    const { state, reason } = this.endpoint
    return state === 'up' ? '' : ` (the endpoint is ${state}: ${reason})`
  }

  /** Called once, when the relay is built and nothing has started. */
  watch(server: FastifyInstance): void {
    const endpoint: unknown = server.araldo.endpoints.get(this.name)
    expect(
      endpoint instanceof Endpoint,
      "the plugin attached something that does not extend araldo's Endpoint: is araldo installed twice? " +
        'A package with an endpoint type has it in its peerDependencies',
    )
    this.#server = server
    this.#endpoint = endpoint
    this.states.push(endpoint.state)
    endpoint.onState((state) => this.states.push(state))
    const spied = endpoint as unknown as Spied
    const receive = spied.receive.bind(endpoint)
    const send = spied.send.bind(endpoint)
    this.sends = endpoint.send !== Endpoint.prototype.send
    spied.receive = (message, settle) => {
      const incoming = { message, settle }
      this.incoming.push(incoming)
      if (this.taker === undefined) receive(message, settle)
      else this.taker(incoming)
    }
    spied.send = (message, settle) => this.#send(send, message, settle)
    server.araldo.subscribe(`from-${this.name}`, (message) => void this.arrived.push(message))
  }

  #send(send: Spied['send'], message: Message, settle: Settle | undefined): void {
    const call: Outgoing = { message, confirms: settle !== undefined, settled: [], returned: undefined, threw: false }
    this.outgoing.push(call)
    const heard: Settle | undefined =
      settle &&
      ((error) => {
        call.settled.push(error)
        settle(error)
      })
    try {
      call.returned = send(message, heard)
    } catch (error) {
      call.threw = true
      throw error
    }
    return call.returned as void
  }

  /** Sends a payload through the relay to the endpoint; resolves when it is settled. */
  async publish(payload: Buffer, options: PublishOptions = {}): Promise<void> {
    const { topic } = this.peer
    await (this.#server as FastifyInstance).araldo.publish(
      `into-${this.name}`,
      payload,
      topic === undefined ? options : { topic, ...options },
    )
  }

  /** The peer sends a payload; resolves to what the relay should know of it. */
  async emit(payload: Buffer): Promise<Emitted> {
    if (this.peer.emit === undefined)
      fail(`${this.endpoint.type} has a source: give its peer an 'emit' to test it with`)
    return (await this.peer.emit(payload)) ?? {}
  }

  /** What the peer has got. */
  async received(): Promise<readonly Received[]> {
    const { peer } = this
    if (peer.received === undefined)
      fail(`${this.endpoint.type} has a target: give its peer a 'received' to test it with`)
    return peer.received()
  }

  /** Waits until the endpoint is in the state. */
  async reaches(state: EndpointState, why: string): Promise<void> {
    const { endpoint } = this
    await until(
      () => endpoint.state === state,
      this.patience,
      () =>
        `${endpoint.type} should be ${state}, and is ${endpoint.state}${endpoint.reason === undefined ? '' : ` (${endpoint.reason})`}: ${why}`,
    )
  }

  /** Waits until so many messages have come through the relay. */
  async arrives(count: number): Promise<void> {
    await until(
      () => this.arrived.length >= count,
      this.patience,
      () =>
        `${this.arrived.length} of the ${count} messages that the peer sent have arrived` +
        `${this.trouble}: what comes in goes to this.receive()`,
    )
  }

  /** Waits until the peer has got so many messages. */
  async delivers(count: number): Promise<void> {
    let there = 0
    await until(
      async () => (there = (await this.received()).length) >= count,
      this.patience,
      () => `the peer has ${there} of the ${count} messages that it was sent${this.trouble}`,
    )
  }

  /** Both ends of it work: a message comes in, and one goes out. Tries until they do: what an outage took is gone. */
  async works(when: string): Promise<void> {
    if (this.isSource) {
      await this.#probe(
        (payload) => this.emit(payload),
        (payload) => this.arrived.some((message) => message.payload.equals(payload)),
        `nothing that the peer sends comes in ${when}: whatever a link needs (subscriptions, say) is made by connect()`,
      )
    }
    if (this.isTarget) {
      await this.#probe(
        (payload) => this.publish(payload),
        async (payload) => (await this.received()).some((received) => received.payload.equals(payload)),
        `nothing that is sent reaches the peer ${when}`,
      )
    }
  }

  async #probe(
    send: (payload: Buffer) => Promise<unknown>,
    isThere: (payload: Buffer) => boolean | Promise<boolean>,
    message: string,
  ): Promise<void> {
    const sent: Buffer[] = []
    let next = 0
    await until(
      async () => {
        for (const payload of sent) if (await isThere(payload)) return true
        // Not each time: a probe must have its chance before the next is sent.
        if (performance.now() < next) return false
        next = performance.now() + PROBE_INTERVAL
        const payload = probe(this.name, this.#probes++)
        sent.push(payload)
        await send(payload)
        return false
      },
      this.patience,
      () => `${message}${this.trouble}`,
    )
  }
}
