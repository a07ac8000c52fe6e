/**
 * Floor 1. What a lane promises: the weakest of its source, its outbox and its target, computed from what they can do.
 *
 * - `at-least-once`: the source is acknowledged when the target has confirmed the message, and not before.
 *   With a durable buffer, the promise begins when the disk has the message: then the source is acknowledged, if it can.
 * - `at-most-once`: a message may be lost; the lane never sends again what may have reached the target.
 */
import type { OutboxBounds } from './outbox.ts'
import type { SourceCapabilities, TargetCapabilities } from '../types.ts'

export const GUARANTEES = ['at-most-once', 'at-least-once'] as const
export type Guarantee = (typeof GUARANTEES)[number]

export const OVERFLOWS = ['block', 'drop-oldest', 'drop-newest', 'disconnect'] as const
/**
 * What a full outbox does.
 * - `block`: the source is paused before it is full.
 * - `drop-oldest`, `drop-newest`: counted as dropped for `overflow`.
 * - `disconnect`: the target disconnects those of its clients that read too slowly; nothing waits for them here.
 */
export type Overflow = (typeof OVERFLOWS)[number]

export interface RetryConfig {
  /** Times that a message is sent at most; Infinity for no limit. */
  readonly attempts: number
  /** Milliseconds: the second try comes after at most this long. */
  readonly minDelay: number
  /** Milliseconds: no try waits longer. */
  readonly maxDelay: number
}

/** A buffer on disk. */
export interface DurableBuffer {
  /** Its folder: absolute, or relative to the current one. */
  readonly path: string
  /** Bytes on disk, at most. */
  readonly bytes: number
}

/** How one lane delivers: what its config says, with what it leaves out decided. */
export interface DeliveryConfig {
  readonly guarantee: Guarantee
  readonly overflow: Overflow
  /** Bounds of the outbox in memory. */
  readonly buffer: OutboxBounds
  /** What is taken in is kept on disk until it is delivered; undefined where memory is all there is. */
  readonly durable?: DurableBuffer | undefined
  /** Messages of the lane that are with the target at one time, at most. */
  readonly concurrency: number
  readonly retry: RetryConfig
  /** The endpoint that gets what cannot be delivered. */
  readonly deadLetter: string | undefined
}

export const DEFAULT_BUFFER: OutboxBounds = { messages: 10_000, bytes: 64 * 1024 * 1024 }
/** Bytes on disk. */
export const DEFAULT_DURABLE_BYTES = 1024 * 1024 * 1024
export const DEFAULT_CONCURRENCY = 64
export const DEFAULT_RETRY: RetryConfig = { attempts: Infinity, minDelay: 100, maxDelay: 30_000 }

/** What the guarantee depends on. */
export interface LaneEnds {
  readonly source: SourceCapabilities
  readonly target: TargetCapabilities
  readonly overflow: Overflow
  /** The source does not wait for the lane. */
  readonly optional?: boolean
  /** What is taken in is on disk: the promise begins there. */
  readonly durable?: boolean
  /** Of the dead-letter endpoint, where there is one. */
  readonly deadLetter?: TargetCapabilities | undefined
}

/** The part of a lane that keeps it from delivering at least once, and why. */
export interface Weakness {
  readonly part: 'source' | 'target' | 'overflow' | 'optional' | 'dead-letter'
  readonly why: string
}

/** What a lane does when its outbox is full if its config says nothing. An optional one never holds its source. */
export function defaultOverflow(
  source: SourceCapabilities,
  target: TargetCapabilities,
  { optional = false, durable = false }: { readonly optional?: boolean; readonly durable?: boolean } = {},
): Overflow {
  if (durable) return source.pause && !optional ? 'block' : 'drop-newest'
  if (target.clients === true) return 'disconnect'
  return source.pause && !optional ? 'block' : 'drop-oldest'
}

/** What keeps the lane from delivering at least once; empty where it does. */
export function weaknesses({ source, target, overflow, optional, durable, deadLetter }: LaneEnds): Weakness[] {
  const found: Weakness[] = []
  if (!source.ack && durable !== true) found.push({ part: 'source', why: 'its messages cannot be acknowledged' })
  if (!target.confirm) found.push({ part: 'target', why: 'it does not confirm what it is sent' })
  // A source that asks again for what was dropped would get it again without end: there, dropped is dropped. One that
  // is told of the failure and decides for itself loses nothing by it.
  if (source.replay && overflow !== 'block') found.push({ part: 'overflow', why: `'${overflow}' loses messages` })
  if (optional === true && durable !== true)
    found.push({ part: 'optional', why: 'lanes do not hold the acknowledgement back' })
  if (deadLetter !== undefined && !deadLetter.confirm) {
    found.push({ part: 'dead-letter', why: 'it does not confirm what it is sent' })
  }
  return found
}

/** The strongest promise that the lane can keep. */
export function guaranteeOf(ends: LaneEnds): Guarantee {
  return weaknesses(ends).length === 0 ? 'at-least-once' : 'at-most-once'
}

/** How a lane between the two delivers whose config says nothing of it. */
export function defaultDelivery(source: SourceCapabilities, target: TargetCapabilities): DeliveryConfig {
  const overflow = defaultOverflow(source, target)
  return {
    guarantee: guaranteeOf({ source, target, overflow }),
    overflow,
    buffer: DEFAULT_BUFFER,
    concurrency: DEFAULT_CONCURRENCY,
    retry: DEFAULT_RETRY,
    deadLetter: undefined,
  }
}
