/** Floor 1. Schemas of sizes and durations. */
import type { JsonSchema } from '../types.ts'
import { patternOf, type Unit } from './units.ts'

export interface QuantityOptions {
  /** `'64KiB'`, `'30s'`, or a plain number of bytes or milliseconds. */
  readonly default?: string | number
  readonly description?: string
  /** Bytes or milliseconds; 0 if left out. */
  readonly minimum?: number
  /** Bytes or milliseconds. */
  readonly maximum?: number
}

/** Timers hold no more (milliseconds): a longer one would fire at once. */
const MAX_TIMER = 2 ** 31 - 1

/** A size: text such as `64KiB`, `1.5MB`, or a number of bytes. The endpoint's options hold bytes. */
export function size(options: QuantityOptions = {}): JsonSchema {
  return quantity('bytes', '64KiB', { maximum: Number.MAX_SAFE_INTEGER, ...options })
}

/** A duration: text such as `500ms`, `30s`, `5m`, or a number of milliseconds. The endpoint's options hold milliseconds. */
export function duration(options: QuantityOptions = {}): JsonSchema {
  return quantity('milliseconds', '30s', { maximum: MAX_TIMER, ...options })
}

function quantity(
  unit: Unit,
  example: string,
  { description, minimum = 0, maximum, ...rest }: QuantityOptions,
): JsonSchema {
  return {
    type: ['integer', 'string'],
    pattern: patternOf(unit),
    minimum,
    maximum,
    unit,
    ...(description === undefined ? {} : { description }),
    examples: [example],
    ...rest,
  }
}
