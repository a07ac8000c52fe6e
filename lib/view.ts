/**
 * Floor 2. What can be seen of a running relay: by the application, by monitors, by the console.
 */
import type { Figures } from './endpoint.ts'
import type { Guarantee, Overflow } from './delivery/guarantee.ts'
import type { Trace } from './delivery/lane.ts'
import type { LedgerSnapshot } from './ledger.ts'
import type { OutboxView } from './delivery/outbox.ts'
import type { Capabilities, EndpointState } from './types.ts'

/** What can be seen of an endpoint. Live: read again for newer figures. */
export interface EndpointView {
  readonly name: string
  readonly type: string
  readonly state: EndpointState
  /** Why it is not up; undefined while it is. */
  readonly reason: string | undefined
  /** The relay has asked it to take nothing in for a while: a lane is nearly full. */
  readonly suspended: boolean
  readonly capabilities: Capabilities
  /** Only ever grow. */
  readonly counters: Readonly<Figures>
  /** Come and go. */
  readonly gauges: Readonly<Figures>
}

export interface LaneView {
  readonly target: string
  readonly optional: boolean
  /** It is a copy that affects nothing else. */
  readonly wiretap: boolean
  /** What the lane promises. */
  readonly guarantee: Guarantee
  /** What it does when its outbox is full. */
  readonly overflow: Overflow
  readonly steps: readonly string[]
  readonly ledger: LedgerSnapshot
  readonly outbox: OutboxView
  /** Times that a message which had failed was sent again. */
  readonly retries: number
  /** Of the messages that were filtered: those that came round, and had been delivered to the target before. */
  readonly looped: number
}

/** A route and its counters at the moment of asking. */
export interface RouteView {
  readonly source: string
  readonly lanes: readonly LaneView[]
}

/** The config that holds. */
export interface ConfigurationView {
  /** The same for configs that do the same; says nothing of what is in them. */
  readonly hash: string
  /** Milliseconds since the epoch. */
  readonly loadedAt: number
  readonly reloads: { readonly applied: number; readonly refused: number }
}

export interface RelayView {
  readonly configuration: ConfigurationView
  /** By name, in the order of the config. */
  readonly endpoints: ReadonlyMap<string, EndpointView>
  /** In the order of the config. */
  readonly routes: readonly RouteView[]
  /** It has begun to end, or has ended: nothing new is taken in. */
  readonly closing: boolean
  /** Shows every message that ends in a lane, until the returned function is called. For consoles, not for work. */
  watch(trace: Trace): () => void
}
