/**
 * Floor 1. How a lane delivers: its parameters, what they leave out, and whether its two ends can do what is asked.
 */
import { resolve } from 'node:path'
import {
  DEFAULT_BUFFER,
  DEFAULT_CONCURRENCY,
  DEFAULT_DURABLE_BYTES,
  DEFAULT_RETRY,
  type DeliveryConfig,
  defaultOverflow,
  type Guarantee,
  guaranteeOf,
  type LaneEnds,
  type Overflow,
  weaknesses,
} from '../delivery/guarantee.ts'
import type { Capabilities, SourceCapabilities, TargetCapabilities } from '../types.ts'
import type { Diagnostics } from './diagnostics.ts'
import type { MapNode } from './node.ts'
import { quote } from './words.ts'

export const DELIVERY_KEYS = ['delivery', 'overflow', 'buffer', 'concurrency', 'retry', 'dead-letter']

/** @returns the parameters, units converted; undefined where something is wrong with them, which was told. */
export type Validate = (node: MapNode, label: string) => object | undefined

interface Given {
  readonly delivery?: Guarantee
  readonly overflow?: Overflow
  readonly buffer?: {
    readonly messages?: number
    readonly bytes?: number
    readonly durable?: boolean
    readonly path?: string
  }
  readonly concurrency?: number
  readonly retry?: { readonly attempts?: number; readonly 'min-delay'?: number; readonly 'max-delay'?: number }
  readonly 'dead-letter'?: string
}

/** The ends of a lane, by name. */
interface Ends {
  readonly source: string
  readonly optional: boolean
  /** The lane affects nothing else: the source is never paused for it. */
  readonly wiretap: boolean
  /** undefined where errors leave it unknown. */
  readonly to: string | undefined
}

/** Where a buffer stands, and what is behind it. */
interface BufferPlace {
  readonly label: string
  readonly at: number | undefined
  /** undefined where errors leave it unknown; null where it is none. */
  readonly target: TargetCapabilities | null | undefined
  readonly to: string | undefined
}

/** What is unknown is taken for able: no error is reported that only follows from another. */
const ABLE_SOURCE: SourceCapabilities = { ack: true, pause: true, replay: true, headers: true, topics: true }
const ABLE_TARGET: TargetCapabilities = { confirm: true, headers: true, topics: true, echo: false }

export class DeliveryReader {
  readonly #capabilitiesOf: (name: string) => Capabilities | undefined
  readonly #validate: Validate
  readonly #diagnostics: Diagnostics
  readonly #directory: string
  /** Of durable buffers. */
  readonly #paths = new Set<string>()

  /** @param directory absolute; what paths are relative to. */
  constructor(
    capabilitiesOf: (name: string) => Capabilities | undefined,
    validate: Validate,
    diagnostics: Diagnostics,
    directory: string,
  ) {
    this.#directory = directory
    this.#capabilitiesOf = capabilitiesOf
    this.#validate = validate
    this.#diagnostics = diagnostics
  }

  /** @param item the lane's long form; undefined for the short one. */
  read(item: MapNode | undefined, { source: from, to, optional, wiretap }: Ends, label: string): DeliveryConfig {
    const entries = [...(item?.entries ?? [])].filter(([key]) => DELIVERY_KEYS.includes(key))
    const node: MapNode = { kind: 'map', offset: item?.offset, entries: new Map(entries) }
    const given = (entries.length === 0 ? {} : (this.#validate(node, label) ?? {})) as Given
    const source = this.#capabilitiesOf(from)?.source ?? ABLE_SOURCE
    const known = to === undefined ? undefined : this.#capabilitiesOf(to)?.target
    const target = known ?? ABLE_TARGET
    const name = given['dead-letter']
    const deadLetter = name === undefined ? undefined : (this.#capabilitiesOf(name)?.target ?? ABLE_TARGET)
    const isDurable = given.buffer?.durable === true
    const overflow = given.overflow ?? defaultOverflow(source, target, { optional, durable: isDurable })
    const at = (key: string): number | undefined => item?.entries.get(key)?.value.offset

    if (overflow === 'block' && (wiretap || !source.pause)) {
      const why = wiretap ? `a wiretap never pauses ${quote(from)}` : `${quote(from)} cannot be paused`
      const message = `${why}: use 'drop-oldest' or 'drop-newest'`
      this.#diagnostics.error(`${label}: overflow: ${message}`, at('overflow'))
    }
    if (overflow === 'disconnect' && target.clients !== true && known !== undefined) {
      const message = `${quote(to ?? '')} has no clients of its own to disconnect: use 'block', 'drop-oldest' or 'drop-newest'`
      this.#diagnostics.error(`${label}: overflow: ${message}`, at('overflow'))
    }
    const retry = {
      attempts: given.retry?.attempts ?? DEFAULT_RETRY.attempts,
      minDelay: given.retry?.['min-delay'] ?? DEFAULT_RETRY.minDelay,
      maxDelay: given.retry?.['max-delay'] ?? Math.max(DEFAULT_RETRY.maxDelay, given.retry?.['min-delay'] ?? 0),
    }
    if (retry.minDelay > retry.maxDelay) {
      this.#diagnostics.error(`${label}: retry: 'min-delay' is longer than 'max-delay'`, at('retry'))
    }
    const ends = { source, target, overflow, optional, durable: isDurable, deadLetter }
    if (given.delivery === 'at-least-once') {
      const names = { source: from, target: to, 'dead-letter': name, overflow: undefined, optional: undefined }
      const reasons = weaknesses(ends).map(({ part, why }) => {
        const who = names[part]
        return who === undefined ? `${part} ${why}` : `the ${part} ${quote(who)}: ${why}`
      })
      if (reasons.length > 0) {
        const advice = wouldDiskHelp(ends) ? "; a durable buffer can: 'buffer: { durable: true, path: … }'" : ''
        this.#diagnostics.error(
          `${label}: delivery: at-least-once cannot be kept: ${reasons.join('; ')}${advice}`,
          at('delivery'),
        )
      }
    }
    return {
      guarantee: given.delivery ?? guaranteeOf(ends),
      overflow,
      ...this.#buffer(given, overflow, { label, at: at('buffer'), target: known, to }),
      concurrency: given.concurrency ?? DEFAULT_CONCURRENCY,
      retry,
      deadLetter: name,
    }
  }

  #buffer(
    { buffer: { messages, bytes, durable = false, path } = {} }: Given,
    overflow: Overflow,
    { label, at, target, to = '' }: BufferPlace,
  ): Pick<DeliveryConfig, 'buffer' | 'durable'> {
    const inMemory = { ...DEFAULT_BUFFER, ...(messages === undefined ? {} : { messages }) }
    const complain = (message: string): void => this.#diagnostics.error(`${label}: buffer: ${message}`, at)
    if (!durable) {
      if (path !== undefined) complain("'path' is for a durable buffer: add 'durable: true'")
      return { buffer: { ...inMemory, ...(bytes === undefined ? {} : { bytes }) } }
    }
    const folder = path === undefined ? undefined : resolve(this.#directory, path)
    if (folder === undefined) complain("a durable buffer needs a 'path': a folder of its own")
    else if (this.#paths.has(folder))
      complain('another lane has this path: each durable buffer needs a folder of its own')
    else this.#paths.add(folder)
    if (target?.confirm === false) {
      complain(`${quote(to)} does not confirm what it is sent: nobody would know what may be taken off the disk`)
    }
    if (overflow === 'drop-oldest' || overflow === 'disconnect') {
      complain(
        `'${overflow}' is not for a durable buffer, which keeps what it has taken in: use 'block' or 'drop-newest'`,
      )
    }
    return { buffer: inMemory, durable: { path: folder ?? '', bytes: bytes ?? DEFAULT_DURABLE_BYTES } }
  }
}

/** Whether all that is in the way is a source that keeps nothing: then a disk that does would help. */
function wouldDiskHelp(ends: LaneEnds): boolean {
  return ends.optional !== true && ends.durable !== true && weaknesses({ ...ends, durable: true }).length === 0
}
