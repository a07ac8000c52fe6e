/**
 * How large a fault test is, and what it has measured. `npm test` runs the short form of each, `npm run test:faults` the
 * long one: the figures that araldo's documents promise.
 */
import { appendFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { need } from '../../support/require.ts'

export const isLong = process.env.ARALDO_FAULTS === 'long'

/** For a test's numbers: of the short form, and of the long one. */
export function scaled<Value>(short: Value, long: Value): Value {
  return isLong ? long : short
}

/** Milliseconds that a wait in a fault test may take: it says that something hangs, not that it is slow. */
export const PATIENCE = scaled(60_000, 180_000)

/** For a test's `skip`: memory is read from Linux' /proc. */
export const needs: string | false =
  process.platform === 'linux' ? need('redis-server', 'redis-cli') : 'fault tests read /proc: Linux only'

export type Figures = Readonly<Record<string, string | number>>

/** Shows what a test has measured, and hands it to scripts/test.ts, which makes a table of it. */
export function report(t: TestContext, figures: Figures): void {
  const text = Object.entries(figures).map(([name, value]) => `${name}: ${value}`)
  t.diagnostic(text.join(', '))
  const file = process.env.ARALDO_FIGURES
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ test: t.name, figures })}\n`)
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
