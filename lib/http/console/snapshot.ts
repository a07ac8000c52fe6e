/** Floor 3. What the console shows once a second: endpoints with their states, lanes with their ledgers. */
import type { Figures } from '../../endpoint.ts'
import type { Guarantee } from '../../delivery/guarantee.ts'
import type { OutboxView } from '../../delivery/outbox.ts'
import type { LedgerSnapshot } from '../../ledger.ts'
import type { EndpointState } from '../../types.ts'
import type { EndpointView, LaneView, RelayView } from '../../view.ts'
import { figuresOf } from '../figures.ts'
import type { Show } from '../text.ts'

export interface Snapshot {
  /** Milliseconds since the epoch: rates are differences between two snapshots. */
  readonly time: number
  readonly closing: boolean
  readonly endpoints: readonly EndpointSnapshot[]
  readonly lanes: readonly LaneSnapshot[]
}

export interface EndpointSnapshot {
  readonly name: string
  readonly type: string
  readonly state: EndpointState
  readonly reason?: string
  readonly suspended: boolean
  readonly counters: Readonly<Figures>
  readonly gauges: Readonly<Figures>
}

export interface LaneSnapshot
  extends LedgerSnapshot, Pick<LaneView, 'optional' | 'wiretap' | 'steps' | 'retries' | 'looped'> {
  readonly source: string
  readonly target: string
  readonly guarantee: Guarantee
  readonly outbox: Omit<OutboxView, 'oldest' | 'disk'> & {
    /** Milliseconds that the lane has held its oldest message, by the message's own time. */
    readonly age: number
  }
}

/** Characters of a reason. */
const MAX_REASON = 300

export function snapshotOf(relay: RelayView, show: Show): Snapshot {
  const time = Date.now()
  return {
    time,
    closing: relay.closing,
    endpoints: [...relay.endpoints.values()].map((endpoint) => endpointSnapshot(endpoint, show)),
    lanes: relay.routes.flatMap(({ source, lanes }) => lanes.map((lane) => laneSnapshot(source, lane, time))),
  }
}

function laneSnapshot(source: string, lane: LaneView, time: number): LaneSnapshot {
  const { target, optional, wiretap, steps, guarantee, ledger, retries, looped, outbox } = lane
  const { oldest = time, disk: _disk, ...held } = outbox
  const figures = { outbox: { ...held, age: Math.max(0, time - oldest) }, retries, looped }
  return { source, target, optional, wiretap, steps, guarantee, ...ledger, ...figures }
}

function endpointSnapshot(endpoint: EndpointView, show: Show): EndpointSnapshot {
  const { name, type, state, reason, suspended } = endpoint
  return {
    name,
    type,
    state,
    suspended,
    ...(reason === undefined ? {} : { reason: show(reason, MAX_REASON) }),
    counters: figuresOf(endpoint, 'counters'),
    gauges: figuresOf(endpoint, 'gauges'),
  }
}
