/** Floor 3. What the schema of `endpoint-http` cannot say, and what an endpoint with given options can do. */
import { isIP } from 'node:net'
import type { OptionIssue } from '../../endpoint.ts'
import type { Capabilities } from '../../types.ts'
import { isSet, problemOf } from '../common/checks.ts'
import { checkTls } from '../common/tls.ts'
import { isReserved } from './names.ts'
import { addressFilter } from './networks.ts'
import type { HttpOptions, SignatureOptions } from './options.ts'
import { createSigner, signatureHeaders } from './signature.ts'
import { headerProblem } from './text.ts'

export function capabilities(options: HttpOptions): Capabilities {
  const { path, url, acknowledge, 'forward-headers': forwarded } = options
  return {
    source:
      path === undefined
        ? null
        : { ack: acknowledge === 'settled', pause: true, replay: false, headers: true, topics: true },
    target: url === undefined ? null : { confirm: true, headers: forwarded.includes('*'), topics: false, echo: false },
  }
}

export function* check(options: HttpOptions): Iterable<OptionIssue> {
  const { path, url, tls, headers = {}, signature, 'forward-headers': forwarded } = options
  if (path === undefined && url === undefined) {
    yield { path: '', message: "needs 'path' to take requests in, or 'url' to send to" }
  }
  for (const key of ['headers', 'tls', 'allow-private'] as const) {
    if (url === undefined && isSet(options, key)) yield { path: key, message: "is of what is sent: it needs 'url'" }
  }
  if (url !== undefined) yield* checkUrl(url, options)
  yield* checkTls('tls', tls)
  for (const name of forwarded.filter((each) => !each.endsWith('*') && isReserved(each))) {
    yield { path: 'forward-headers', message: `'${name}' is not a message's: HTTP, or araldo, writes it itself` }
  }
  if (signature !== undefined) yield* checkSignature(signature)
  const signed = signature === undefined ? [] : signatureHeaders(signature)
  for (const [name, value] of Object.entries(headers)) {
    if (isReserved(name)) yield { path: 'headers', message: `'${name}' is written by HTTP, or by araldo, itself` }
    if (signed.includes(name.toLowerCase())) yield { path: 'headers', message: `'${name}' holds the signature` }
    const problem = headerProblem(name, value)
    if (problem !== undefined) yield { path: 'headers', message: problem }
  }
}

function* checkUrl(text: string, options: HttpOptions): Iterable<OptionIssue> {
  const { 'allow-private': allowed, tls } = options
  yield* problemOf('allow-private', () => addressFilter(allowed))
  const url = URL.canParse(text) ? new URL(text) : undefined
  // The text itself may hold a secret.
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    yield { path: 'url', message: 'is no URL of http: or https:' }
    return
  }
  if (url.username !== '' || url.password !== '') {
    yield { path: 'url', message: "holds a user or a password: send them in 'headers', as authorization" }
  }
  if (tls !== undefined && url.protocol === 'http:') yield { path: 'tls', message: 'is of no use to a url of http:' }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && !isAllowed(host, allowed)) {
    yield { path: 'url', message: `leads to ${host}, which is not public: name it in 'allow-private', if it is meant` }
  }
}

function isAllowed(host: string, allowed: HttpOptions['allow-private']): boolean {
  try {
    return addressFilter(allowed)(host)
  } catch {
    return true // Told already.
  }
}

const OF_HMAC = ['prefix', 'encoding', 'algorithm', 'timestamp-header'] as const

function* checkSignature(signature: SignatureOptions): Iterable<OptionIssue> {
  const { scheme, header } = signature
  if (scheme === 'hmac' && header === undefined) yield { path: 'signature', message: "'hmac' needs 'header'" }
  if (scheme === 'standard-webhooks' && header !== undefined) {
    yield { path: 'signature', message: "'header' is not of 'standard-webhooks', which has its own" }
  }
  for (const key of scheme === 'hmac' ? [] : OF_HMAC) {
    if (signature[key] !== undefined) yield { path: 'signature', message: `'${key}' is of 'hmac' alone` }
  }
  yield* problemOf('signature', () => createSigner(signature))
}
