/** Floor 3. What the console shows once a second: endpoints with their states, lanes with their ledgers. */
import type { Figures } from '../../endpoint.ts'
import type { LedgerSnapshot } from '../../ledger.ts'
import type { EndpointState } from '../../types.ts'
import type { EndpointView, RelayView } from '../../view.ts'
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
  readonly counters: Readonly<Figures>
  readonly gauges: Readonly<Figures>
}

export interface LaneSnapshot extends LedgerSnapshot {
  readonly source: string
  readonly target: string
  readonly optional: boolean
  readonly wiretap: boolean
  readonly steps: readonly string[]
}

/** Characters of a reason. */
const MAX_REASON = 300

export function snapshotOf(relay: RelayView, show: Show): Snapshot {
  return {
    time: Date.now(),
    closing: relay.closing,
    endpoints: [...relay.endpoints.values()].map((endpoint) => endpointSnapshot(endpoint, show)),
    lanes: relay.routes.flatMap(({ source, lanes }) =>
      lanes.map(({ target, optional, wiretap, steps, ledger }) => ({
        source,
        target,
        optional,
        wiretap,
        steps,
        ...ledger,
      })),
    ),
  }
}

function endpointSnapshot(endpoint: EndpointView, show: Show): EndpointSnapshot {
  const { name, type, state, reason } = endpoint
  return {
    name,
    type,
    state,
    ...(reason === undefined ? {} : { reason: show(reason, MAX_REASON) }),
    counters: figuresOf(endpoint, 'counters'),
    gauges: figuresOf(endpoint, 'gauges'),
  }
}
