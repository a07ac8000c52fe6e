/**
 * Floor 1. The hop header: where a message has been delivered to already, so that it is delivered there once, whichever
 * way it comes round: through this relay, or through others.
 *
 * `araldo-hops: <instance>/<endpoint>, …`, oldest first. Not the instance alone: a message may rightly pass through one
 * relay twice, into a stream and out of it. Kept only where it can be read again: by lanes whose target hands headers
 * on and lets others hear them. Whoever may write to such a target may write any hops, too, so that what a header says
 * is bounded, and what makes no sense in it is left out.
 */
import { createHash, randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { errors } from './errors.ts'
import { type Message, NO_HEADERS } from './message.ts'
import type { Headers, TargetCapabilities } from './types.ts'

export const HOPS_HEADER = 'araldo-hops'

/** A message that was delivered more often goes round in a way that no header has stopped. */
export const MAX_HOPS = 64
/** An instance, or an endpoint's name. */
const MAX_NAME = 64
const HOP = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\/[A-Za-z][A-Za-z0-9_.-]{0,63}$/
/** Characters of a header that holds as many hops as there may be; a longer one is none of ours. */
const MAX_HEADER = MAX_HOPS * (2 * MAX_NAME + '/, '.length)

/** Whether what is sent there can be heard again with the headers that it was sent with. */
export function carriesHops(target: TargetCapabilities | null | undefined): boolean {
  return target?.headers === true && (target.echo || target.shared === true)
}

/** The hops that a header names, oldest first; what is no hop is left out. */
export function parseHops(header: string | undefined): string[] {
  if (header === undefined || header.length > MAX_HEADER) return []
  return header
    .split(',')
    .map((hop) => hop.trim())
    .filter((hop) => HOP.test(hop))
}

export interface HopGuardInit {
  readonly instance: string
  /** The target's name. */
  readonly endpoint: string
  /** Called with the first message that came round. Must not throw. */
  readonly onFirstLoop: () => void
}

/** A lane's first step: lets each message through to the target once, and adds the target to its hops. */
export class HopGuard {
  readonly name = 'hops'
  /** Messages that had been delivered to the target before. */
  looped = 0
  readonly #own: string
  /** All headers of a message that came without any: the same object for all of these. */
  readonly #first: { readonly headers: Headers }
  readonly #onFirstLoop: () => void

  constructor({ instance, endpoint, onFirstLoop }: HopGuardInit) {
    this.#own = `${instance}/${endpoint}`
    this.#first = { headers: Object.freeze(withHops(NO_HEADERS, this.#own)) }
    this.#onFirstLoop = onFirstLoop
  }

  /**
   * @returns `null` for a message that was delivered to the target before.
   * @throws ARALDO_ERR_TOO_MANY_HOPS
   */
  apply(message: Message): Message | null {
    if (message.headers === NO_HEADERS) return message.with(this.#first)
    const header = message.headers[HOPS_HEADER]
    if (header === undefined) return message.with({ headers: withHops(message.headers, this.#own) })
    const hops = parseHops(header)
    if (hops.includes(this.#own)) {
      this.looped++
      if (this.looped === 1) this.#onFirstLoop()
      return null
    }
    if (hops.length >= MAX_HOPS) throw new errors.TOO_MANY_HOPS(message.id, hops.length)
    return message.with({ headers: withHops(message.headers, [...hops, this.#own].join(', ')) })
  }
}

function withHops(headers: Headers, hops: string): Record<string, string> {
  // Without a prototype, `__proto__` is a name like any other.
  const all = Object.assign(Object.create(null) as Record<string, string>, headers)
  all[HOPS_HEADER] = hops
  return all
}

/** What the relay calls itself in hops where the config says nothing. */
export interface InstanceOrigin {
  /** The config's file; undefined where it is none. */
  readonly file: string | undefined
  /** Absolute: the file's folder. */
  readonly directory: string
  readonly global: { readonly instance?: string; readonly serverPort: number }
}

/**
 * The relay's id in hops. Two relays that take one another for themselves would lose messages; one that does not know
 * itself again delivers what was under way a second time. So where nothing tells relays apart for certain, the id is
 * new with every start; a config's file, on its host and with its port, is the same after a restart.
 */
export function instanceOf({ file, directory, global: { instance, serverPort } }: InstanceOrigin): string {
  if (instance !== undefined) return instance
  if (file === undefined || serverPort === 0) return randomInstance()
  const identity = JSON.stringify([hostname(), directory, file.split(/[\\/]/).at(-1), serverPort])
  return `i${createHash('sha256').update(identity).digest('hex').slice(0, 18)}`
}

/** An id that no other relay has. */
export function randomInstance(): string {
  return `i${randomBytes(9).toString('hex')}`
}
