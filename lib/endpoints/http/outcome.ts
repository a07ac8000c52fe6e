/** Floor 3. What a receiver's answer says of a message. RFC 9110 section 15. */
import type { IncomingHttpHeaders } from 'node:http'
import { errors } from '../../errors.ts'
import { parseRetryAfter } from './retry-after.ts'

export interface Outcome {
  /** `null` for delivered. */
  readonly error: Error | null
  /** The receiver wants nothing for so many milliseconds. */
  readonly pause?: number | undefined
}

const DELIVERED: Outcome = { error: null }
/** Request Timeout, Too Early (RFC 8470), Too Many Requests (RFC 6585): the same request may succeed later. */
const PASSING = new Set([408, 425, 429])

/**
 * @param name the endpoint's.
 * @param url where the request went.
 */
export function outcomeOf(name: string, status: number, headers: IncomingHttpHeaders, url: URL): Outcome {
  if (status >= 200 && status < 300) return DELIVERED
  if (status >= 500 || PASSING.has(status)) {
    const error = new errors.SEND_FAILED(name, `the receiver answered ${status}`)
    return { error, pause: parseRetryAfter(headers['retry-after']) }
  }
  const why =
    status < 400 ? `${status}, a redirect to ${placeOf(headers.location, url)}: redirects are not followed` : status
  return { error: new errors.RECEIVER_REFUSED(name, why) }
}

/** As much as is no secret: paths of webhooks often are. */
function placeOf(location: string | undefined, url: URL): string {
  if (location === undefined || !URL.canParse(location, url.href)) return 'nowhere'
  const { origin } = new URL(location, url.href)
  return origin === url.origin ? 'another path of the same server' : origin.slice(0, 200)
}
