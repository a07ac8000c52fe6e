/** Floor 3. Looks for the stream and the consumer of an endpoint, and makes what is missing where it is told to. */
import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import { TimeoutError } from '@nats-io/transport-node'
import { reasonOf } from '../../../errors.ts'
import { createdSubjects, creationOf, filtersOf } from './checks.ts'
import type { JetStreamOptions } from './options.ts'

const NANOSECONDS = 1e6

/** What of a consumer the endpoint goes by. */
export interface Place {
  /** Tell a stream, and a consumer, from another of the same name. */
  readonly streamId: string
  readonly consumerId: string
  /** The consumer's own (milliseconds). */
  readonly ackWait: number
  /** Messages that all who read may have in hand at most, by the consumer's own bound. */
  readonly maxAckPending: number
  /** How many messages one request may ask for; undefined where there is no bound. */
  readonly maxBatch: number | undefined
}

/** @throws Error that says what is missing, and what to do. */
export async function requireStream(
  manager: JetStreamManager,
  stream: string,
  options: JetStreamOptions,
): Promise<StreamInfo> {
  try {
    return await manager.streams.info(stream)
  } catch (error) {
    if (!isCode(error, JetStreamApiCodes.StreamNotFound)) throw explained(error)
    if (creationOf(options) === undefined) {
      throw new Error(`there is no stream '${stream}': create it, or set 'create: true'`, { cause: error })
    }
  }
  try {
    return await manager.streams.add(streamConfig(stream, options))
  } catch (error) {
    throw new Error(`the stream '${stream}' cannot be created: ${explained(error).message}`, { cause: error })
  }
}

/**
 * @param first the sequence at which a consumer begins that must be made; as `start` says, if left out.
 * @throws Error that says what is missing or wrong, and what to do.
 */
export async function requireConsumer(
  manager: JetStreamManager,
  { config: { name: stream }, created }: StreamInfo,
  durable: string,
  options: JetStreamOptions,
  first: number | undefined,
): Promise<Place> {
  const info = await findConsumer(manager, stream, durable, options, first)
  const problem = problemOf(info, options)
  if (problem !== undefined) throw new Error(`the consumer '${durable}' of the stream '${stream}' ${problem}`)
  const { ack_wait: ackWait = 30e9, max_batch: maxBatch = 0, max_ack_pending: maxAckPending = 0 } = info.config
  return {
    streamId: created,
    consumerId: info.created,
    ackWait: ackWait / NANOSECONDS,
    maxAckPending: maxAckPending > 0 ? maxAckPending : Infinity,
    maxBatch: maxBatch > 0 ? maxBatch : undefined,
  }
}

async function findConsumer(
  manager: JetStreamManager,
  stream: string,
  durable: string,
  options: JetStreamOptions,
  first: number | undefined,
): Promise<ConsumerInfo> {
  try {
    return await manager.consumers.info(stream, durable)
  } catch (error) {
    if (!isCode(error, JetStreamApiCodes.ConsumerNotFound)) throw explained(error)
    if (creationOf(options) === undefined) {
      throw new Error(
        `the stream '${stream}' has no consumer '${durable}': create it (pull, explicit acknowledgement), or set 'create: true'`,
        { cause: error },
      )
    }
  }
  try {
    return await manager.consumers.add(stream, consumerConfig(durable, options, first))
  } catch (error) {
    throw new Error(`the consumer '${durable}' cannot be created: ${explained(error).message}`, { cause: error })
  }
}

function streamConfig(name: string, options: JetStreamOptions): Partial<StreamConfig> & { name: string } {
  const create = creationOf(options) ?? {}
  const { storage = 'file', replicas = 1, retention = 'limits' } = create
  const { 'max-age': maxAge, 'max-bytes': maxBytes, 'max-messages': maxMessages, 'duplicate-window': window } = create
  return {
    name,
    subjects: [...createdSubjects(options)],
    storage,
    num_replicas: replicas,
    retention,
    ...(maxAge === undefined ? {} : { max_age: maxAge * NANOSECONDS }),
    ...(maxBytes === undefined ? {} : { max_bytes: maxBytes }),
    ...(maxMessages === undefined ? {} : { max_msgs: maxMessages }),
    ...(window === undefined ? {} : { duplicate_window: window * NANOSECONDS }),
  }
}

function consumerConfig(
  durable: string,
  options: JetStreamOptions,
  first: number | undefined,
): Partial<ConsumerConfig> {
  const filters = filtersOf(options)
  return {
    durable_name: durable,
    ack_policy: AckPolicy.Explicit,
    ack_wait: options['ack-wait'] * NANOSECONDS,
    max_ack_pending: options['max-ack-pending'],
    ...startOf(first === undefined ? options.start : String(first)),
    ...(filters.length === 1 ? { filter_subject: filters[0] } : {}),
    ...(filters.length > 1 ? { filter_subjects: [...filters] } : {}),
  }
}

function startOf(start: string): Partial<ConsumerConfig> {
  if (start === 'all') return { deliver_policy: DeliverPolicy.All }
  if (start === 'new') return { deliver_policy: DeliverPolicy.New }
  if (start === 'last') return { deliver_policy: DeliverPolicy.Last }
  if (/^\d+$/.test(start)) return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Number(start) }
  return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: start }
}

/** Somebody else's consumer may be of another kind. */
function problemOf({ config }: ConsumerInfo, options: JetStreamOptions): string | undefined {
  const { ack_policy: policy, deliver_subject: deliver, filter_subject: one, filter_subjects: several } = config
  if (deliver !== undefined && deliver !== '') return 'is a push consumer: this needs one that is pulled from'
  if (policy !== AckPolicy.Explicit) return `acknowledges '${policy}': this needs 'explicit'`
  const wanted = filtersOf(options).toSorted()
  if (wanted.length === 0) return undefined
  const there = (several ?? (one === undefined || one === '' ? [] : [one])).toSorted()
  if (there.join() === wanted.join()) return undefined
  const shown = there.length === 0 ? 'all subjects' : there.join(', ')
  return `reads ${shown}, the config says ${wanted.join(', ')}: correct one of them, or name another 'durable'`
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code
}

function explained(error: unknown): Error {
  // The library does not export its class.
  if (error instanceof Error && /not enabled/.test(error.message)) {
    return new Error('the server has no JetStream, or this account may not use it', { cause: error })
  }
  if (error instanceof TimeoutError) {
    return new Error('JetStream does not answer: is it enabled on the server, and for this account?', { cause: error })
  }
  return error instanceof Error ? error : new Error(reasonOf(error))
}
