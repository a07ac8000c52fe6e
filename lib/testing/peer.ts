/**
 * Floor 6. What an author tells the conformance suite: the endpoint type, and how to make the world on its other side.
 */
import type { FastifyInstance } from 'fastify'
import type { EndpointType } from '../endpoint.ts'
import type { ConfigObject } from '../plugin.ts'
import type { Headers } from '../types.ts'

/** The part of node:test's context that the suite needs. */
export interface Owner {
  after(end: () => void | Promise<void>): void
  skip(reason: string): void
}

export interface EndpointTest {
  /** The type under test. */
  readonly type: EndpointType
  /**
   * Makes a new world on the other side of the endpoint: a file, a channel of a broker, a client. Called anew for each
   * test, sometimes twice for one test: two peers must not hear each other (another file, another channel).
   * @param t the test's context, for `t.after`; what a whole test file shares belongs into node:test's `before`.
   */
  createPeer(t: Owner): Peer | Promise<Peer>
  /** How long the suite waits for something that should happen at once (milliseconds); 5,000 if left out. */
  readonly patience?: number
}

/** The world on the other side of one endpoint. What it does not have, is not tested: the test says so and is skipped. */
export interface Peer {
  /** The endpoint's own parameters, as they would stand in the config. */
  readonly options: Readonly<Record<string, unknown>>
  /**
   * Sends one payload to the endpoint, as the outside world would; resolves when it is on its way. Needed for a type
   * with a source. Where the endpoint cut the connection (a payload was not to its liking), it connects anew.
   * @returns what the relay should know of the message beside its payload, as far as the peer decides it.
   */
  emit?(payload: Buffer): Emitted | void | Promise<Emitted | void>
  /** All that the outside world got from the endpoint so far, in order. Needed for a type with a target. */
  received?(): readonly Received[] | Promise<readonly Received[]>
  /**
   * How many of the messages that it {@link emit}ted the endpoint has not acknowledged: what the broker would give out
   * again. For a type with `source.ack`.
   */
  pending?(): number | Promise<number>
  /** Whether the protocol can carry the payload: lines cannot hold line ends. Everything, if left out. */
  carries?(payload: Buffer): boolean
  /** A topic that the endpoint can send to and whose messages are in {@link received}: all that is sent goes there. */
  readonly topic?: string
  /** For a peer that can go away and come back. */
  readonly outage?: Outage
  /** Called when the relay listens, before anything is sent: for peers that connect to the endpoint. */
  open?(relay: OpenRelay): void | Promise<void>
  /** Called when the test is over and the relay is closed. */
  close?(): void | Promise<void>
  /** Changes the config of the relay under test, for a peer that is made of endpoints itself. */
  configure?(config: ConfigObject): ConfigObject
}

export interface Emitted {
  readonly topic?: string
  readonly key?: string
  readonly headers?: Headers
}

export interface Received {
  readonly payload: Buffer
  readonly topic?: string
  readonly headers?: Headers
}

/** All resolve when it has happened: a broker has exited; it takes connections again. */
export interface Outage {
  stop(): void | Promise<void>
  start(): void | Promise<void>
  /** Keeps its connections and answers nothing any more (SIGSTOP); for peers that can hang. */
  freeze?(): void | Promise<void>
  thaw?(): void | Promise<void>
}

/** The relay under test, listening. */
export interface OpenRelay {
  /** Its server; `server.araldo` is the relay. */
  readonly server: FastifyInstance
  /** The endpoint's name in it. */
  readonly endpoint: string
  /** `127.0.0.1:40123` */
  readonly host: string
  /** Whether its marshaller is a binary one, for protocols that know text and bytes. */
  readonly binary: boolean
}
