/**
 * Floor 3. The metrics of a relay, as data: a name without prefix, a help text, labels, and how the values are read
 * from the relay when somebody asks. `docs/metrics.md` lists them; a test keeps the two together.
 */
import { DROP_REASONS, type EndpointState } from '../types.ts'
import type { EndpointView, LaneView, RelayView } from '../view.ts'
import { figuresOf } from './figures.ts'
import type { RequestCounts } from './requests.ts'

/** One relay in a registry. */
export interface Member {
  readonly relay: RelayView
  /** What tells relays that share a registry apart: `{ relay: '/a' }`; empty for a relay without prefix. */
  readonly labels: { readonly relay?: string }
  readonly requests: RequestCounts
}

export type Emit = (labels: Readonly<Record<string, string>>, value: number) => void

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly labels: readonly string[]
  /** Emits the values of one relay. Two values with the same labels add up. */
  readonly read: (member: Member, emit: Emit) => void
}

const STATES: readonly EndpointState[] = ['connecting', 'up', 'down', 'closing', 'closed']

type ReadLane = (lane: LaneView, emit: (value: number, labels?: Readonly<Record<string, string>>) => void) => void

function laneFamily(
  name: string,
  type: Family['type'],
  help: string,
  readLane: ReadLane,
  labels: string[] = [],
): Family {
  return {
    name: `lane_${name}`,
    help,
    type,
    labels: ['source', 'target', ...labels],
    read: ({ relay }, emit) => {
      for (const { source, lanes } of relay.routes) {
        for (const lane of lanes) {
          readLane(lane, (value, more) => emit({ source, target: lane.target, ...more }, value))
        }
      }
    },
  }
}

const LANES: readonly Family[] = [
  laneFamily('messages_received_total', 'counter', 'Messages that came into the lane.', ({ ledger }, emit) =>
    emit(ledger.received),
  ),
  laneFamily('messages_delivered_total', 'counter', 'Messages that the target took.', ({ ledger }, emit) =>
    emit(ledger.delivered),
  ),
  laneFamily(
    'messages_filtered_total',
    'counter',
    'Messages that a step let not pass, or that the target had been given before.',
    ({ ledger }, emit) => emit(ledger.filtered),
  ),
  laneFamily(
    'messages_dropped_total',
    'counter',
    'Messages that were given up, by reason.',
    ({ ledger }, emit) => {
      for (const reason of DROP_REASONS) emit(ledger.dropped[reason], { reason })
    },
    ['reason'],
  ),
  laneFamily('messages_dead_lettered_total', 'counter', 'Messages that went to the dead letters.', ({ ledger }, emit) =>
    emit(ledger.deadLettered),
  ),
  laneFamily('messages_waiting', 'gauge', 'Messages in the lane that have not come to their end.', ({ ledger }, emit) =>
    emit(ledger.waiting),
  ),
  laneFamily('waiting_bytes', 'gauge', 'Bytes of the waiting messages.', ({ outbox }, emit) => emit(outbox.bytes)),
  laneFamily('waiting_limit', 'gauge', 'Messages that wait in the lane at most.', ({ outbox }, emit) =>
    emit(outbox.limit.messages),
  ),
  laneFamily('waiting_limit_bytes', 'gauge', 'Payload bytes that wait in the lane at most.', ({ outbox }, emit) =>
    emit(outbox.limit.bytes),
  ),
  laneFamily('disk_bytes', 'gauge', 'Bytes of the files of a durable buffer.', ({ outbox: { disk } }, emit) => {
    if (disk !== undefined) emit(disk.bytes)
  }),
  laneFamily('disk_failed', 'gauge', '1 while the disk of a durable buffer takes nothing in.', ({ outbox }, emit) => {
    if (outbox.disk !== undefined) emit(outbox.disk.failure === undefined ? 0 : 1)
  }),
  laneFamily('oldest_waiting_seconds', 'gauge', 'Age of the message that has waited longest.', ({ outbox }, emit) =>
    emit(outbox.oldest === undefined ? 0 : Math.max(0, (Date.now() - outbox.oldest) / 1_000)),
  ),
  laneFamily('holding_source', 'gauge', '1 while the lane keeps its source from taking anything in.', (lane, emit) =>
    emit(lane.outbox.isHolding ? 1 : 0),
  ),
  laneFamily(
    'info',
    'gauge',
    'What the lane promises, and what it does when it is full; always 1.',
    ({ guarantee, overflow }, emit) => emit(1, { guarantee, overflow }),
    ['guarantee', 'overflow'],
  ),
  laneFamily('retries_total', 'counter', 'Times that a message was tried again.', ({ retries }, emit) => emit(retries)),
  laneFamily(
    'messages_looped_total',
    'counter',
    'Messages that came round; they are counted as filtered, too.',
    ({ looped }, emit) => emit(looped),
  ),
  laneFamily('delivered_bytes_total', 'counter', 'Payload bytes of the delivered messages.', ({ ledger }, emit) =>
    emit(ledger.bytes),
  ),
]

const ENDPOINTS: readonly Family[] = [
  {
    name: 'endpoint_state',
    help: 'The endpoint’s state: 1 for the one that it is in, 0 for the others.',
    type: 'gauge',
    labels: ['endpoint', 'type', 'state'],
    read: ({ relay }, emit) => {
      for (const { name, type, state: current } of relay.endpoints.values()) {
        for (const state of STATES) emit({ endpoint: name, type, state }, state === current ? 1 : 0)
      }
    },
  },
  {
    name: 'endpoint_suspended',
    help: '1 while the relay has asked the endpoint to take nothing in.',
    type: 'gauge',
    labels: ['endpoint', 'type'],
    read: ({ relay }, emit) => {
      for (const { name, type, suspended } of relay.endpoints.values()) {
        emit({ endpoint: name, type }, suspended ? 1 : 0)
      }
    },
  },
  {
    name: 'endpoint_reconnects_total',
    help: 'Connections that were made after the first one.',
    type: 'counter',
    labels: ['endpoint', 'type'],
    read: ({ relay }, emit) => {
      for (const { name, type, counters } of relay.endpoints.values()) {
        emit({ endpoint: name, type }, Math.max(0, (counters.connects ?? 0) - 1))
      }
    },
  },
]

const CONFIG: readonly Family[] = [
  {
    name: 'config_info',
    help: 'The config that holds, by its hash; always 1.',
    type: 'gauge',
    labels: ['hash'],
    read: ({ relay }, emit) => emit({ hash: relay.configuration.hash }, 1),
  },
  {
    name: 'config_loaded_timestamp_seconds',
    help: 'When the config that holds was loaded, at the start or by a reload.',
    type: 'gauge',
    labels: [],
    read: ({ relay }, emit) => emit({}, relay.configuration.loadedAt / 1_000),
  },
  {
    name: 'config_reloads_total',
    help: 'Reloads, by result: applied or refused.',
    type: 'counter',
    labels: ['result'],
    read: ({ relay }, emit) => {
      for (const [result, count] of Object.entries(relay.configuration.reloads)) emit({ result }, count)
    },
  },
]

const REQUESTS: readonly Family[] = [
  {
    name: 'http_requests_total',
    help: 'HTTP requests that were answered, by method, route and class of the status.',
    type: 'counter',
    labels: ['method', 'route', 'status'],
    read: ({ requests }, emit) => {
      for (const { method, route, status, count } of requests) emit({ method, route, status }, count)
    },
  },
]

/** Every metric whose values are read from a relay, but for the endpoints' own figures. */
export const FAMILIES: readonly Family[] = [...LANES, ...ENDPOINTS, ...CONFIG, ...REQUESTS]

/** A key of an endpoint's figures that can be part of a metric's name. */
const KEY = /^[a-z][A-Za-z0-9]{0,63}$/
/** Between the words of `receivedBytes`; `HTTP` in `bytesInHTTPBuffers` is one. */
const WORD_START = /(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g

/** The metrics that endpoints bring along: one per key of their counters and of their gauges. */
export function figureFamilies(endpoints: Iterable<EndpointView>): Family[] {
  const families = new Map<string, Family>()
  for (const endpoint of endpoints) {
    for (const kind of ['counters', 'gauges'] as const) {
      for (const key of Object.keys(figuresOf(endpoint, kind))) {
        const family = figureFamily(kind, key)
        if (family !== undefined) families.set(family.name, family)
      }
    }
  }
  return [...families.values()]
}

function figureFamily(kind: 'counters' | 'gauges', key: string): Family | undefined {
  if (!KEY.test(key)) return undefined
  const words = key.replace(WORD_START, '_').toLowerCase()
  return {
    name: kind === 'counters' ? `endpoint_${words}_total` : `endpoint_${words}`,
    help: `The endpoint’s own ${kind === 'counters' ? 'count' : 'figure'}: ${words.replaceAll('_', ' ')}.`,
    type: kind === 'counters' ? 'counter' : 'gauge',
    labels: ['endpoint', 'type'],
    read: ({ relay }, emit) => {
      for (const endpoint of relay.endpoints.values()) {
        const value = figuresOf(endpoint, kind)[key]
        if (value !== undefined) emit({ endpoint: endpoint.name, type: endpoint.type }, value)
      }
    },
  }
}
