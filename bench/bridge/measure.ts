/** One relay on one bridge: its messages a second, and its processor time for each of them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ManagedProcess } from '../../test/support/process.ts'
import { until } from '../../test/support/wait.ts'
import { cpuNanoseconds } from '../measure.ts'
import type { Bridge, Relay } from './relays.ts'

export interface Amounts {
  /** Messages that are moved before the measured ones: code that has just been loaded is slow. */
  readonly warmUp: number
  readonly messages: number
  /** Messages a second where they come as a stream. */
  readonly rate: number
}

export interface BridgeResult {
  readonly perSecond: number
  /** Of the relay's processor time, user and system. */
  readonly microseconds: number
  /** Messages that did not arrive. */
  readonly lost: number
  /** Messages that arrived once more than they should. */
  readonly twice: number
}

/** How often what has arrived is looked at (milliseconds). */
const INTERVAL = 5
/** Nothing arrives for so long (milliseconds): nothing more will. */
const PATIENCE = 15_000
/** A stream comes in bits of so many milliseconds. */
const TICK = 1
/** Not every broker says how many acknowledgements it waits for: the relay has written the last one so long after (ms). */
const QUIET = 100
/** Nobody sees when a subscriber of a broker that keeps nothing is there: it is sent to until something arrives. */
const PROBE_INTERVAL = 50

/** What had arrived at a moment, and what that had cost. */
interface Sample {
  readonly arrived: number
  readonly at: number
  readonly cpu: number
}

/**
 * The source holds all of it before the relay may take it, as fast as it can. All that it costs counts, to the last
 * acknowledgement: what has not arrived yet may have been paid for already.
 */
export async function measureBacklog(relay: Relay, bridge: Bridge, amounts: Amounts): Promise<BridgeResult> {
  const { source, target } = bridge
  const { warmUp, messages } = amounts
  const total = warmUp + messages
  await source.send(0, warmUp)
  const process = await relay.start(bridge)
  const sample = sampler(process, target.arrived)
  const isAcknowledged = async (): Promise<boolean> => ((await source.left()) ?? 0) === 0
  const acknowledged = async (): Promise<void> => {
    await until(isAcknowledged, { timeout: PATIENCE, message: 'the acknowledgements' })
    await sleep(QUIET)
  }
  try {
    await sampleAt(warmUp, sample)
    await acknowledged()
    process.pause()
    await source.send(warmUp, messages)
    const first = await sample()
    process.resume()
    const { arrived, at } = await sampleAt(total, sample)
    await acknowledged()
    const last = { arrived, at, cpu: cpuOf(process) }
    // Some brokers tell of what is not acknowledged only when nobody holds it any more.
    await process.stop()
    await acknowledged()
    return resultOf(first, last, total, await target.arrived())
  } finally {
    await process.kill()
  }
}

/** The source keeps nothing: messages come at a steady rate while the relay runs. */
export async function measureStream(relay: Relay, bridge: Bridge, amounts: Amounts): Promise<BridgeResult> {
  const { source, target } = bridge
  const process = await relay.start(bridge)
  const sample = sampler(process, target.arrived)
  try {
    let probes = 0
    while ((await target.arrived()) === 0) {
      await source.send(probes++, 1)
      await sleep(PROBE_INTERVAL)
    }
    const before = await target.arrived()
    await stream(source.send, amounts.warmUp, amounts.rate)
    const first = await sample()
    await stream(source.send, amounts.messages, amounts.rate)
    const total = before + amounts.warmUp + amounts.messages
    const last = await sampleAt(total, sample)
    return resultOf(first, last, total, last.arrived)
  } finally {
    await process.stop()
  }
}

async function stream(send: (first: number, count: number) => Promise<void>, count: number, rate: number) {
  const start = performance.now()
  for (let sent = 0; sent < count;) {
    const due = Math.min(count, Math.ceil(((performance.now() - start) / 1_000) * rate))
    if (due > sent) await send(sent, due - sent)
    sent = due
    await sleep(TICK)
  }
}

function resultOf(first: Sample, last: Sample, sent: number, arrived: number): BridgeResult {
  const messages = last.arrived - first.arrived
  return {
    perSecond: (messages / (last.at - first.at)) * 1_000,
    microseconds: (last.cpu - first.cpu) / messages / 1_000,
    lost: Math.max(0, sent - arrived),
    twice: Math.max(0, arrived - sent),
  }
}

function sampler(relay: ManagedProcess, arrived: () => Promise<number>): () => Promise<Sample> {
  return async () => {
    const there = await arrived()
    return { arrived: there, cpu: cpuOf(relay), at: performance.now() }
  }
}

/** @throws Error with what it wrote, where it has ended. */
function cpuOf({ running, pid, stderr }: ManagedProcess): number {
  if (!running) throw new Error(`what was measured has ended:\n${stderr}`)
  return cpuNanoseconds(pid as number)
}

/** The first sample with so many messages; the last one there is, where they do not come. */
async function sampleAt(messages: number, sample: () => Promise<Sample>): Promise<Sample> {
  let best = await sample()
  while (best.arrived < messages) {
    await sleep(INTERVAL)
    const next = await sample()
    if (next.arrived === best.arrived && next.at - best.at > PATIENCE) break
    if (next.arrived !== best.arrived) best = next
  }
  return best
}
