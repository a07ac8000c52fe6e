/** Floor 1. Sizes and durations as people write them: `64KiB`, `1.5MB`, `500ms`, `30s`. */

export type Unit = 'bytes' | 'milliseconds'

const FACTORS: Readonly<Record<Unit, Readonly<Record<string, number>>>> = {
  bytes: {
    B: 1,
    kB: 1000,
    KiB: 1024,
    MB: 1000 ** 2,
    MiB: 1024 ** 2,
    GB: 1000 ** 3,
    GiB: 1024 ** 3,
  },
  milliseconds: { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 },
}

/** What is shown as an example, and what a value is printed in. */
const PRINTED: Readonly<Record<Unit, readonly string[]>> = {
  bytes: ['GiB', 'MiB', 'KiB', 'B'],
  milliseconds: ['h', 'm', 's', 'ms'],
}

/** A regular expression for schemas: a number, then one of the unit's names. */
export function patternOf(unit: Unit): string {
  return `^[0-9]{1,15}(\\.[0-9]{1,9})? ?(${Object.keys(FACTORS[unit]).join('|')})$`
}

/** @returns bytes or milliseconds, rounded to a whole number; undefined for text of another form. */
export function parseQuantity(text: string, unit: Unit): number | undefined {
  const [, digits, name] = /^([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)$/.exec(text) ?? []
  const factors = FACTORS[unit]
  if (digits === undefined || name === undefined || !Object.hasOwn(factors, name)) return undefined
  return Math.round(Number(digits) * (factors[name] as number))
}

/** `65536` bytes: `64KiB`; in the largest unit that it is a whole number of. */
export function formatQuantity(value: number, unit: Unit): string {
  const factors = FACTORS[unit]
  const name = PRINTED[unit].find((each) => value !== 0 && value % (factors[each] as number) === 0)
  return name === undefined ? String(value) : `${value / (factors[name] as number)}${name}`
}
