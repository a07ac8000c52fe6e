/** Floor 3. `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date. */

/** IMF-fixdate, the one form that is still written (RFC 9110 section 5.6.7). */
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** @returns milliseconds from `now`; undefined where the value is none. */
export function parseRetryAfter(value: unknown, now = Date.now()): number | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  if (/^\d{1,10}$/.test(text)) return Number(text) * 1_000
  const date = HTTP_DATE.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Seconds, between one and three: a crowd that was refused together comes back one by one. */
export function retryAfter(random: () => number = Math.random): string {
  return String(1 + Math.floor(random() * 3))
}
