/**
 * Floor 3. HMACs of requests (RFC 2104): GitHub's and many others' one header, Stripe's `t=…,v1=…`, and Standard Webhooks
 * (standardwebhooks.com, "Signature scheme"). Compared in constant time, over the bytes as they came.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { SignatureOptions } from './options.ts'

/** Signatures of one request that are looked at: a sender has two while it changes its secret. */
const MAX_CANDIDATES = 8

/** The headers of a request, in small letters. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export interface Signer {
  /**
   * What is wrong with a request's signature; undefined where it is right.
   * @param now milliseconds since 1970.
   */
  problemOf(headers: RequestHeaders, body: Buffer, now: number): string | undefined
  /**
   * The headers that sign a body.
   * @param id of the message, which Standard Webhooks signs, too.
   */
  sign(id: string, body: Buffer, now: number): readonly (readonly [name: string, value: string])[]
}

/** A request's signature, as far as it is one. */
interface Parsed {
  /** In seconds since 1970, as it is written; undefined where the scheme has none. */
  readonly time: string | undefined
  /** What is signed before the body. */
  readonly head: string
  readonly candidates: readonly Buffer[]
}

interface Scheme {
  readonly algorithm: string
  parse(headers: RequestHeaders): Parsed | undefined
  head(id: string, time: string): string
  write(id: string, time: string, mac: Buffer): readonly (readonly [string, string])[]
}

/** @throws Error where the secret cannot be one. */
export function createSigner(options: SignatureOptions): Signer {
  const keys = [options.secret].flat().map((secret) => keyOf(secret, options))
  const scheme = schemeOf(options)
  const { tolerance } = options
  const mac = (key: Buffer, head: string, body: Buffer): Buffer =>
    createHmac(scheme.algorithm, key).update(head).update(body).digest()
  return {
    problemOf(headers, body, now) {
      const parsed = scheme.parse(headers)
      if (parsed === undefined) return 'it has no signature, or one that is none'
      if (parsed.time !== undefined && !isNear(parsed.time, now, tolerance)) return 'its time is too far from now'
      const { head, candidates } = parsed
      // All of them, whichever it is: how long it takes says nothing.
      let isRight = false
      for (const key of keys) {
        const expected = mac(key, head, body)
        for (const candidate of candidates) {
          if (candidate.length === expected.length && timingSafeEqual(candidate, expected)) isRight = true
        }
      }
      return isRight ? undefined : 'its signature is not that of this body and the secret'
    },
    sign(id, body, now) {
      const time = String(Math.floor(now / 1_000))
      return scheme.write(id, time, mac(keys[0] as Buffer, scheme.head(id, time), body))
    },
  }
}

/** Names of the headers that a scheme writes, in small letters. */
export function signatureHeaders(options: SignatureOptions): readonly string[] {
  const { scheme, header, 'timestamp-header': timestamp } = options
  if (scheme === 'standard-webhooks') return ['webhook-id', 'webhook-timestamp', 'webhook-signature']
  if (scheme === 'stripe') return [(header ?? STRIPE_HEADER).toLowerCase()]
  return [header, timestamp].filter((each) => each !== undefined).map((each) => each.toLowerCase())
}

const STRIPE_HEADER = 'stripe-signature'

function keyOf(secret: string, { scheme }: SignatureOptions): Buffer {
  if (scheme !== 'standard-webhooks') return Buffer.from(secret)
  const text = secret.replace(/^whsec_/, '')
  const key = Buffer.from(text, 'base64')
  if (!isBase64(text) || key.length < 16)
    throw new Error('the secret of standard-webhooks is base64, of 16 bytes or more')
  return key
}

function schemeOf(options: SignatureOptions): Scheme {
  if (options.scheme === 'stripe') return stripe((options.header ?? STRIPE_HEADER).toLowerCase())
  return options.scheme === 'standard-webhooks' ? standardWebhooks : plain(options)
}

function plain(options: SignatureOptions): Scheme {
  const { header = '', prefix = '', encoding = 'hex', algorithm = 'sha256', 'timestamp-header': timestamp } = options
  const [name, timeName] = [header.toLowerCase(), timestamp?.toLowerCase()]
  const head = (time: string | undefined): string => (time === undefined ? '' : `${time}.`)
  return {
    algorithm,
    parse(headers) {
      const value = textOf(headers, name)
      const time = timeName === undefined ? undefined : textOf(headers, timeName)
      if (value === undefined || !value.startsWith(prefix) || (timeName !== undefined && time === undefined))
        return undefined
      const candidate = bytesOf(value.slice(prefix.length), encoding)
      return candidate === undefined ? undefined : { time, head: head(time), candidates: [candidate] }
    },
    head: (_id, time) => head(timeName === undefined ? undefined : time),
    write: (_id, time, mac) => [
      [name, prefix + mac.toString(encoding)],
      ...(timeName === undefined ? [] : ([[timeName, time]] as const)),
    ],
  }
}

/** Source: "Verify the webhook signature manually", Stripe's documentation. */
function stripe(name: string): Scheme {
  return {
    algorithm: 'sha256',
    parse(headers) {
      const parts = (textOf(headers, name) ?? '').split(',').map((part) => part.trim())
      const time = parts.find((part) => part.startsWith('t='))?.slice(2)
      const candidates = candidatesOf(parts, 'v1=', 'hex')
      return time === undefined || candidates.length === 0 ? undefined : { time, head: `${time}.`, candidates }
    },
    head: (_id, time) => `${time}.`,
    write: (_id, time, mac) => [[name, `t=${time},v1=${mac.toString('hex')}`]],
  }
}

const standardWebhooks: Scheme = {
  algorithm: 'sha256',
  parse(headers) {
    const [id, time] = [textOf(headers, 'webhook-id'), textOf(headers, 'webhook-timestamp')]
    const parts = (textOf(headers, 'webhook-signature') ?? '').split(' ')
    const candidates = candidatesOf(parts, 'v1,', 'base64')
    if (id === undefined || time === undefined || candidates.length === 0) return undefined
    return { time, head: `${id}.${time}.`, candidates }
  },
  head: (id, time) => `${id}.${time}.`,
  write: (id, time, mac) => [
    ['webhook-id', id],
    ['webhook-timestamp', time],
    ['webhook-signature', `v1,${mac.toString('base64')}`],
  ],
}

function candidatesOf(parts: readonly string[], prefix: string, encoding: 'hex' | 'base64'): Buffer[] {
  return parts
    .filter((part) => part.startsWith(prefix))
    .slice(0, MAX_CANDIDATES)
    .map((part) => bytesOf(part.slice(prefix.length), encoding))
    .filter((bytes) => bytes !== undefined)
}

/** @returns undefined where the text is not of the encoding: Node's own reading stops there in silence. */
function bytesOf(text: string, encoding: 'hex' | 'base64'): Buffer | undefined {
  const isValid = encoding === 'hex' ? /^([\da-f]{2})+$/i.test(text) : isBase64(text)
  return isValid ? Buffer.from(text, encoding) : undefined
}

function isBase64(text: string): boolean {
  return text.length > 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text)
}

function textOf(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function isNear(time: string, now: number, tolerance: number): boolean {
  return /^\d{1,12}$/.test(time) && Math.abs(now - Number(time) * 1_000) <= tolerance
}
