/** The messages of the fault tests: 1 KiB of JSON each, with a number and a hash, so that none is lost, doubled or changed unseen. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'

export const MESSAGE_BYTES = 1_024

interface Content {
  readonly number: number
  readonly key: string
  readonly fill: string
  readonly hash: string
}

/** Messages of one key are to arrive in order. */
export function keyOf(number: number, keys: number): string {
  return `k${number % keys}`
}

export function encode(number: number, key: string): Buffer {
  const empty = JSON.stringify({ number, key, fill: '', hash: hashOf('') })
  const fill = hashOf(`${number}`)
    .repeat(16)
    .slice(0, MESSAGE_BYTES - empty.length)
  return Buffer.from(JSON.stringify({ number, key, fill, hash: hashOf(`${number} ${key} ${fill}`) }))
}

/** @returns undefined where it is not what was sent. */
export function decode(payload: Buffer): { number: number; key: string } | undefined {
  try {
    const { number, key, fill, hash } = JSON.parse(payload.toString()) as Content
    const isWhole = payload.length === MESSAGE_BYTES && hash === hashOf(`${number} ${key} ${fill}`)
    return isWhole ? { number, key } : undefined
  } catch {
    return undefined
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** What has arrived somewhere, message by message. */
export class Receipts {
  corrupted = 0
  /** How often each number came. */
  readonly counts = new Map<number, number>()
  /** By key, the numbers in the order in which each came for the first time. */
  readonly order = new Map<string, number[]>()

  add(payload: Buffer): void {
    const content = decode(payload)
    if (content === undefined) {
      this.corrupted++
      return
    }
    const { number, key } = content
    const count = this.counts.get(number) ?? 0
    this.counts.set(number, count + 1)
    if (count > 0) return
    const numbers = this.order.get(key)
    if (numbers === undefined) this.order.set(key, [number])
    else numbers.push(number)
  }

  get duplicates(): number {
    let duplicates = 0
    for (const count of this.counts.values()) duplicates += count - 1
    return duplicates
  }
}

export interface Difference {
  readonly messages: number
  readonly lost: number
  /** More often at the target than at the source. */
  readonly duplicates: number
  readonly corrupted: number
  /** Messages that came for the first time before one of the same key that is older at the source. */
  readonly disordered: number
}

/** What became of the messages of a source at a target. */
export function compare(source: Receipts, target: Receipts): Difference {
  let lost = 0
  let duplicates = 0
  for (const [number, count] of source.counts) {
    const arrived = target.counts.get(number) ?? 0
    if (arrived === 0) lost++
    duplicates += Math.max(0, arrived - count)
  }
  let disordered = 0
  for (const [key, numbers] of target.order) {
    const places = new Map((source.order.get(key) ?? []).map((number, place) => [number, place]))
    let last = -1
    for (const number of numbers) {
      const place = places.get(number) ?? -1
      if (place < last) disordered++
      last = Math.max(last, place)
    }
  }
  return { messages: source.counts.size, lost, duplicates, corrupted: source.corrupted + target.corrupted, disordered }
}

/**
 * What is missing at a target is what its lane has counted as dropped: to the message, but for those that were with the
 * target when its connection was lost, where the lane sends nothing twice. They are counted as dropped, and may have
 * arrived.
 */
export function assertExact(missing: number, { dropped, inDoubt }: { dropped: number; inDoubt: number }): void {
  assert.ok(dropped > 0, 'messages were dropped')
  assert.ok(missing <= dropped && missing >= dropped - inDoubt, `${missing} are missing, ${dropped} counted as dropped`)
}
