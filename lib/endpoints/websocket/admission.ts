/** Floor 3. Who may connect: decided before the upgrade, so that whoever may not costs no connection. */
import type { FastifyRequest } from 'fastify'

/** The entry of `origins` that admits every page. */
const ANY = '*'
/** What browsers send for pages that have no origin: files, sandboxed frames. */
const OPAQUE = 'null'

/** Whether text is an entry of `origins`: scheme, host and port of a page, without a path. */
export function isOrigin(text: string): boolean {
  return text === ANY || text === OPAQUE || (/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+$/i.test(text) && URL.canParse(text))
}

/** The set that {@link admitsOrigin} asks. */
export function originSet(origins: readonly string[]): ReadonlySet<string> {
  return new Set(origins.map(normalise))
}

/**
 * Whether the page that a request comes from may connect. Browsers tell the page's origin and let no script change it
 * (RFC 6455 section 10.2); a request without one does not come from a page.
 * @param origins undefined: only pages of the host that was asked.
 */
export function admitsOrigin(request: FastifyRequest, origins: ReadonlySet<string> | undefined): boolean {
  const { origin } = request.headers
  if (origin === undefined) return true
  if (origins !== undefined) return origins.has(ANY) || origins.has(normalise(origin))
  const page = parse(origin)
  if (page === undefined || !/^https?:$/.test(page.protocol)) return false
  // Browsers leave the scheme's own port out of both; other clients may not.
  return page.host === parse(`${page.protocol}//${request.host}`)?.host
}

/** An origin as browsers write it. */
function normalise(origin: string): string {
  const url = parse(origin)
  return url === undefined || url.origin === OPAQUE ? origin.toLowerCase() : url.origin
}

function parse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
