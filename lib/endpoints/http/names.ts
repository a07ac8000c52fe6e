/** Floor 3. Which headers go along, by their names; names of HTTP are the same in any case. */

/**
 * Headers that belong to one connection or one request, not to a message: RFC 9110 sections 7.6.1, 6.6 and 10.1,
 * RFC 9112. Never read from a request, never sent for a message.
 */
const OF_THE_REQUEST = new Set(
  (
    'connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect host content-length ' +
    'content-encoding http2-settings max-forwards date range accept accept-encoding accept-charset accept-language ' +
    'idempotency-key content-type'
  ).split(' '),
)
/** What says who somebody is: only where the config names it. */
const SECRET = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])
/** What they say of a message is not a header of it. */
const ATTRIBUTES = new Set(['araldo-id', 'araldo-key', 'araldo-time'])

/** Whether no `*` is enough for a header. Those of a relay (`araldo-hops`) are believed by lanes. */
function isByName(name: string): boolean {
  return SECRET.has(name) || name.startsWith('araldo-')
}

/** Whether a header goes along, by its name in small letters. */
export type NameFilter = (name: string) => boolean

/** @param patterns names, `x-*`, `*`. */
export function nameFilter(patterns: readonly string[]): NameFilter {
  const names = new Set<string>()
  const prefixes: string[] = []
  for (const pattern of patterns.map((each) => each.toLowerCase())) {
    if (pattern.endsWith('*')) prefixes.push(pattern.slice(0, -1))
    else names.add(pattern)
  }
  return (name) => {
    if (OF_THE_REQUEST.has(name) || ATTRIBUTES.has(name)) return false
    return names.has(name) || (!isByName(name) && prefixes.some((prefix) => name.startsWith(prefix)))
  }
}

/** Whether the endpoint or HTTP itself writes a header. */
export function isReserved(name: string): boolean {
  const lower = name.toLowerCase()
  return OF_THE_REQUEST.has(lower) || ATTRIBUTES.has(lower)
}
