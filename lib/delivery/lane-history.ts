/**
 * Floor 2. The figures of lanes that a reload has replaced: they go on in those of the lane that has their place, between
 * endpoints of the same names, so that no drop goes uncounted and no counter falls.
 */
import type { Lane } from './lane.ts'
import type { LedgerSnapshot } from '../ledger.ts'
import type { OutboxView } from './outbox.ts'
import type { DropReason } from '../types.ts'

/** What a lane shows of itself, and what the lanes before it have left. */
export interface LaneFigures {
  readonly ledger: LedgerSnapshot
  readonly outbox: OutboxView
  readonly retries: number
  readonly looped: number
}

interface Past {
  /** Still with messages of their own. */
  readonly lanes: Set<Lane>
  /** Of those that have ended. */
  sum: LaneFigures | undefined
}

export class LaneHistory {
  readonly #past = new Map<string, Past>()

  /** The lane is replaced, or gone. */
  add(lane: Lane): void {
    const key = keyOf(lane)
    const past = this.#past.get(key) ?? { lanes: new Set(), sum: undefined }
    this.#past.set(key, past)
    past.lanes.add(lane)
  }

  /** The lane has ended: its figures stay, the lane does not. */
  end(lane: Lane): void {
    const past = this.#past.get(keyOf(lane))
    if (past?.lanes.delete(lane) !== true) return
    past.sum = past.sum === undefined ? figuresOf(lane) : add(past.sum, figuresOf(lane))
  }

  /** Forgets what has no place any more. @param lanes those that there are. */
  keep(lanes: Iterable<Lane>): void {
    const keys = new Set([...lanes].map(keyOf))
    for (const [key, { lanes: left }] of this.#past) if (left.size === 0 && !keys.has(key)) this.#past.delete(key)
  }

  /** The lane's figures, on top of those that it has inherited. */
  of(lane: Lane): LaneFigures {
    const past = this.#past.get(keyOf(lane))
    if (past === undefined) return figuresOf(lane)
    const all = [figuresOf(lane), ...[...past.lanes].map(figuresOf), ...(past.sum === undefined ? [] : [past.sum])]
    return all.reduce(add)
  }
}

function keyOf({ source, target }: Lane): string {
  return `${source}\n${target.name}`
}

function figuresOf({ ledger, outbox, retries, looped }: Lane): LaneFigures {
  return { ledger: ledger.snapshot(), outbox, retries, looped }
}

function add(one: LaneFigures, other: LaneFigures): LaneFigures {
  return {
    ledger: addLedgers(one.ledger, other.ledger),
    outbox: addOutboxes(one.outbox, other.outbox),
    retries: one.retries + other.retries,
    looped: one.looped + other.looped,
  }
}

/** The limit is the first one's: what there was before it does not come back. */
function addOutboxes(one: OutboxView, other: OutboxView): OutboxView {
  const times = [one.oldest, other.oldest].filter((time) => time !== undefined)
  return {
    messages: one.messages + other.messages,
    bytes: one.bytes + other.bytes,
    limit: one.limit,
    oldest: times.length === 0 ? undefined : Math.min(...times),
    isHolding: one.isHolding || other.isHolding,
    disk: one.disk ?? other.disk,
  }
}

function addLedgers(one: LedgerSnapshot, other: LedgerSnapshot): LedgerSnapshot {
  const dropped = { ...one.dropped }
  for (const reason of Object.keys(dropped) as DropReason[]) dropped[reason] += other.dropped[reason]
  return {
    received: one.received + other.received,
    delivered: one.delivered + other.delivered,
    filtered: one.filtered + other.filtered,
    dropped,
    deadLettered: one.deadLettered + other.deadLettered,
    waiting: one.waiting + other.waiting,
    bytes: one.bytes + other.bytes,
  }
}
