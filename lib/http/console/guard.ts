/**
 * Floor 3. Who may see the console. It has no login of its own: it is off by default, the host's hooks apply to it as
 * to any route, and what is kept out here is other pages in the same browser.
 *
 * - A page whose name was made to resolve to this machine (DNS rebinding) counts as the same origin, but cannot hide
 *   its name: the Host header must be an address, `localhost`, or a name that was allowed.
 * - A page of another origin could open event streams, though not read them: Origin and Sec-Fetch-Site tell.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { errors } from '../../errors.ts'

/** Characters of a foreign name in an error. */
const MAX_NAME = 100

/**
 * @param hosts names that the server is reached by, in lower case, beside addresses and `localhost`.
 * @throws ARALDO_ERR_CONSOLE_FORBIDDEN
 */
export function requireOwnHost(headers: IncomingHttpHeaders, hosts: ReadonlySet<string>): void {
  const name = nameOf(hostOf(headers))
  if (name === '' || name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0 || hosts.has(name)) return
  const known = name.slice(0, MAX_NAME)
  throw new errors.CONSOLE_FORBIDDEN(`'${known}' is not a name that it knows; add it to the option console.hosts`)
}

/** @throws ARALDO_ERR_CONSOLE_FORBIDDEN */
export function requireSameOrigin(headers: IncomingHttpHeaders): void {
  const site = headers['sec-fetch-site']
  const { origin } = headers
  const isForeign =
    (site !== undefined && site !== 'same-origin' && site !== 'none') ||
    (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === hostOf(headers)))
  if (isForeign) throw new errors.CONSOLE_FORBIDDEN('the request comes from a page of another origin')
}

/** HTTP/2 has `:authority` in place of Host. */
function hostOf(headers: IncomingHttpHeaders): string {
  return (headers.host ?? String(headers[':authority'] ?? '')).toLowerCase()
}

/** Without port, brackets and a trailing dot. */
function nameOf(host: string): string {
  const name = host.startsWith('[') ? host.slice(1, host.indexOf(']')) : (host.split(':', 1)[0] as string)
  return name.endsWith('.') ? name.slice(0, -1) : name
}
