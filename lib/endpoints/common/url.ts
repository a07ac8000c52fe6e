/** Floor 3. What the URLs of many protocols have in common. No error here repeats one: it may hold a password. */
import type { OptionIssue } from '../../endpoint.ts'

export const DEFAULT_HOST = '127.0.0.1'
const LOOPBACK = new Set(['localhost', '::1', DEFAULT_HOST])

/** A user, a password or a name out of a URL. @throws Error that says how to write it. */
export function decodedPart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error('has a % that begins no % code: write %25')
  }
}

/** A host as sockets want it: an IPv6 address without its brackets. */
export function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}

/** The same for names of this machine, and however they are written. A name and an address of it are two hosts to this. */
export function comparableHost(host: string): string {
  const lower = host.toLowerCase()
  return LOOPBACK.has(lower) ? DEFAULT_HOST : lower
}

/** The same for two that are at one server, as far as host and port tell. */
export function serverName({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${comparableHost(host)}:${port}`
}

/** What is said by the URL, and by an option beside it. */
export function* checkSaidOnce<Key extends string>(
  options: { readonly [key in Key]?: unknown },
  parsed: { readonly [key in Key]?: unknown },
  keys: readonly Key[],
): Iterable<OptionIssue> {
  for (const key of keys) {
    if (options[key] === undefined || parsed[key] === undefined) continue
    yield { path: key, message: 'stands in the url already: leave one of them out' }
  }
}

/**
 * Whether the URL and the option `tls` are of one mind.
 * @param isSecure whether the URL says TLS.
 * @param schemes how it is written without TLS, and with it.
 */
export function* checkUrlTls(
  tls: unknown,
  isSecure: boolean,
  schemes: readonly [plain: string, secure: string],
): Iterable<OptionIssue> {
  const [plain, secure] = schemes
  if (isSecure && tls === false) yield { path: 'tls', message: `the url says TLS: write ${plain} to go without` }
  if (!isSecure && tls !== undefined && tls !== false) {
    yield { path: 'tls', message: `the url says no TLS: write ${secure}` }
  }
}
