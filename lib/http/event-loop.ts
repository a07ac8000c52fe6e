/** Floor 3. How late the event loop is: what a single busy turn costs everybody. */
import type { IntervalHistogram } from 'node:perf_hooks'
import type { Emit } from './families.ts'

/** Time between two looks at the event loop (milliseconds); what is measured includes it. */
export const DELAY_RESOLUTION = 20
const QUANTILES = [0.5, 0.9, 0.99, 1]

/** Emits the delay of the event loop since the last time, in seconds, and begins anew. */
export function readEventLoopDelay(histogram: IntervalHistogram, emit: Emit): void {
  for (const quantile of QUANTILES) {
    const milliseconds = histogram.percentile(quantile * 100) / 1e6 - DELAY_RESOLUTION
    emit({ quantile: String(quantile) }, Math.max(0, milliseconds) / 1_000)
  }
  histogram.reset()
}
