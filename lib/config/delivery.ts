/**
 * Floor 1. How a lane delivers: its parameters, what they leave out, and whether its two ends can do what is asked.
 */
import {
  DEFAULT_BUFFER,
  DEFAULT_CONCURRENCY,
  DEFAULT_RETRY,
  type DeliveryConfig,
  defaultOverflow,
  type Guarantee,
  guaranteeOf,
  type Overflow,
  weaknesses,
} from '../guarantee.ts'
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
  readonly buffer?: { readonly messages?: number; readonly bytes?: number }
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

/** What is unknown is taken for able: no error is reported that only follows from another. */
const ABLE_SOURCE: SourceCapabilities = { ack: true, pause: true, replay: true, headers: true, topics: true }
const ABLE_TARGET: TargetCapabilities = { confirm: true, headers: true, topics: true, echo: false }

export class DeliveryReader {
  readonly #capabilitiesOf: (name: string) => Capabilities | undefined
  readonly #validate: Validate
  readonly #diagnostics: Diagnostics

  constructor(
    capabilitiesOf: (name: string) => Capabilities | undefined,
    validate: Validate,
    diagnostics: Diagnostics,
  ) {
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
    const overflow = given.overflow ?? defaultOverflow(source, target, optional)
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
    const ends = { source, target, overflow, optional, deadLetter }
    if (given.delivery === 'at-least-once') {
      const names = { source: from, target: to, 'dead-letter': name, overflow: undefined, optional: undefined }
      const reasons = weaknesses(ends).map(({ part, why }) => {
        const who = names[part]
        return who === undefined ? `${part} ${why}` : `the ${part} ${quote(who)}: ${why}`
      })
      if (reasons.length > 0) {
        this.#diagnostics.error(
          `${label}: delivery: at-least-once cannot be kept: ${reasons.join('; ')}`,
          at('delivery'),
        )
      }
    }
    return {
      guarantee: given.delivery ?? guaranteeOf(ends),
      overflow,
      buffer: { ...DEFAULT_BUFFER, ...given.buffer },
      concurrency: given.concurrency ?? DEFAULT_CONCURRENCY,
      retry,
      deadLetter: name,
    }
  }
}
