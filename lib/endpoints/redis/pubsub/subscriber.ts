/**
 * Floor 3. Subscribes on one connection, for all the endpoints that share it: a channel that two of them want is
 * subscribed to once, and until the last of them has left.
 */
import type { EventEmitter } from 'node:events'
import type { Client } from '../client.ts'
import { Connection, type ConnectionInit } from '../connection.ts'

/** What an endpoint wants to hear. */
export interface Interest {
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
  /** Whether the channels are those of sharded Pub/Sub, which are others than the plain ones of the same name. */
  readonly sharded: boolean
  /** Called with each message. The payload is handed over. Must not throw. */
  readonly listener: Listener
}

export type Listener = (topic: string, payload: Buffer) => void

type Kind = 'subscribe' | 'psubscribe' | 'ssubscribe'

const UNSUBSCRIBE = { subscribe: 'unsubscribe', psubscribe: 'punsubscribe', ssubscribe: 'sunsubscribe' } as const

interface Subscription {
  /** Replaced, not changed: a listener may leave while a message is being delivered. */
  listeners: readonly Listener[]
  /** Resolves when the server has confirmed it. */
  readonly confirmed: Promise<unknown>
}

export class Subscriber extends Connection {
  readonly #subscriptions: Readonly<Record<Kind, Map<string, Subscription>>> = {
    subscribe: new Map(),
    psubscribe: new Map(),
    ssubscribe: new Map(),
  }
  /** SSUBSCRIBEs that the server has not answered. */
  #pendingShards = 0

  constructor(init: ConnectionInit) {
    super('subscriber', init)
  }

  protected override attach(client: Client): void {
    this.#listen(client, 'on')
  }

  protected override detach(client: Client): void {
    this.#listen(client, 'off')
  }

  /**
   * The connection must be open. Resolves when the server has confirmed all of it.
   * @throws Error with the server's words when it refuses a part; the interest is still to be withdrawn then.
   */
  async subscribe({ channels, patterns, sharded, listener }: Interest): Promise<void> {
    await Promise.all([
      this.#add(sharded ? 'ssubscribe' : 'subscribe', channels, listener),
      this.#add('psubscribe', patterns, listener),
    ])
  }

  /** The listener is not called any more from now on. Resolves when the server has confirmed it. Never rejects. */
  async unsubscribe({ channels, patterns, sharded, listener }: Interest): Promise<void> {
    await Promise.allSettled([
      this.#remove(sharded ? 'ssubscribe' : 'subscribe', channels, listener),
      this.#remove('psubscribe', patterns, listener),
    ])
  }

  async #add(kind: Kind, names: readonly string[], listener: Listener): Promise<void> {
    const subscriptions = this.#subscriptions[kind]
    const missing = names.filter((name) => !subscriptions.has(name))
    const confirmed = this.#send(kind, missing)
    for (const name of missing) subscriptions.set(name, { listeners: [], confirmed })
    confirmed.catch(() => {
      for (const name of missing) if (subscriptions.get(name)?.confirmed === confirmed) subscriptions.delete(name)
    })
    const wanted = names.map((name) => subscriptions.get(name) as Subscription)
    for (const subscription of wanted) subscription.listeners = [...subscription.listeners, listener]
    await Promise.all(new Set(wanted.map((subscription) => subscription.confirmed)))
  }

  async #remove(kind: Kind, names: readonly string[], listener: Listener): Promise<void> {
    const subscriptions = this.#subscriptions[kind]
    const unwanted: string[] = []
    for (const name of names) {
      const subscription = subscriptions.get(name)
      if (subscription === undefined || !subscription.listeners.includes(listener)) continue
      subscription.listeners = subscription.listeners.filter((each) => each !== listener)
      if (subscription.listeners.length > 0) continue
      subscriptions.delete(name)
      unwanted.push(name)
    }
    await this.#send(UNSUBSCRIBE[kind], unwanted)
  }

  /** The server answers in the order in which it was asked: what was subscribed to last is what holds. */
  async #send(command: Kind | (typeof UNSUBSCRIBE)[Kind], names: readonly string[]): Promise<void> {
    const { client } = this
    if (names.length === 0) return
    if (client === undefined) throw new Error('the connection is not open')
    if (command !== 'ssubscribe' && command !== 'sunsubscribe') {
      await client[command](...names)
      return
    }
    // In a cluster, the channels of one command must be of one slot.
    this.#pendingShards += names.length
    const answers = names.map((name) => client[command](name).finally(() => this.#pendingShards--))
    await Promise.all(answers)
  }

  #deliver(kind: Kind, name: string, topic: string, payload: Buffer): void {
    const listeners = this.#subscriptions[kind].get(name)?.listeners
    if (listeners === undefined) return
    for (let index = 0; index < listeners.length; index++) (listeners[index] as Listener)(topic, payload)
  }

  readonly #onMessage = (channel: Buffer, payload: Buffer): void => {
    const topic = channel.toString()
    this.#deliver('subscribe', topic, topic, payload)
  }

  readonly #onPatternMessage = (pattern: string, channel: Buffer, payload: Buffer): void => {
    this.#deliver('psubscribe', pattern, channel.toString(), payload)
  }

  readonly #onShardMessage = (channel: Buffer, payload: Buffer): void => {
    const topic = channel.toString()
    this.#deliver('ssubscribe', topic, topic, payload)
  }

  readonly #onMoved = (): void => {
    // An SSUBSCRIBE to the wrong node is one endpoint's mistake, and rejected there.
    if (this.#pendingShards === 0) this.fail(new Error('channels have moved to other nodes'))
  }

  #listen(client: Client, action: 'on' | 'off'): void {
    const emitter: EventEmitter = client
    emitter[action]('messageBuffer', this.#onMessage)
    emitter[action]('pmessageBuffer', this.#onPatternMessage)
    emitter[action]('smessageBuffer', this.#onShardMessage)
    // Shard channels have left a node, or their node the cluster. ioredis may subscribe anew by itself, but keeps to
    // itself whether it did: better to begin again, and have it confirmed.
    emitter[action]('moved', this.#onMoved)
    emitter[action]('-node', this.#onMoved)
  }
}
